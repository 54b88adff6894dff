//! The sending end of the default mailbox: tokio's bounded channel.

use std::fmt;
use std::hint::black_box;

use registry_core::{Closed, Mailbox, MailboxFamily, Permit, ReserveMailbox, TrySendError};
use tokio::sync::mpsc;

use super::closed_flag::ClosedFlag;
use super::inbox::{Inbox, Receiver};
use super::is_large;

/// Makes the two ends of a channel, which must have room for at least one item.
pub(super) fn pair<T>(capacity: usize) -> (TokioMailbox<T>, Inbox<T>) {
    let closed_flag = ClosedFlag::begin();
    let told = closed_flag.clone();
    if const { is_large::<T>() } {
        let (sender, receiver) = mpsc::channel(capacity);
        (TokioMailbox(Channel::Boxed(closed_flag, sender)), Inbox::new(Receiver::Boxed(receiver), told))
    } else {
        let (sender, receiver) = mpsc::channel(capacity);
        (TokioMailbox(Channel::ByValue(closed_flag, sender)), Inbox::new(Receiver::ByValue(receiver), told))
    }
}

/// The sending end of a bounded tokio channel.
///
/// Items of more than 1,024 bytes lie in the channel in boxes of their own.
///
/// Made from a channel's own [`Sender`](mpsc::Sender) it works as well; lookups then ask the channel whether its
/// receiver is gone, which is a cache miss, and not the [`Inbox`].
pub struct TokioMailbox<T>(Channel<T>);

/// A channel of items or of boxes; with the share in the slot inside, so that both take 16 bytes.
enum Channel<T> {
    ByValue(ClosedFlag, mpsc::Sender<T>),
    Boxed(ClosedFlag, mpsc::Sender<Box<T>>),
}

/// Does the same with either sender.
macro_rules! with_sender {
    ($mailbox:expr, $sender:ident => $act:expr) => {
        match &$mailbox.0 {
            Channel::ByValue(_, $sender) => $act,
            Channel::Boxed(_, $sender) => $act,
        }
    };
}

impl<T> TokioMailbox<T> {
    /// Returns the channel's own sender; `None` where the channel is one of boxes.
    pub fn as_sender(&self) -> Option<&mpsc::Sender<T>> {
        match &self.0 {
            Channel::ByValue(_, sender) => Some(sender),
            Channel::Boxed(..) => None,
        }
    }

    /// Returns whether both are sending ends of one channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Channel::ByValue(_, one), Channel::ByValue(_, other)) => one.same_channel(other),
            (Channel::Boxed(_, one), Channel::Boxed(_, other)) => one.same_channel(other),
            _ => false,
        }
    }

    /// Returns how many more items there is room for now.
    pub fn capacity(&self) -> usize {
        with_sender!(self, sender => sender.capacity())
    }

    /// Returns how many items there is room for in all.
    pub fn max_capacity(&self) -> usize {
        with_sender!(self, sender => sender.max_capacity())
    }

    /// Waits until the inbox is closed or dropped. Cancel-safe.
    pub async fn closed(&self) {
        with_sender!(self, sender => sender.closed().await);
    }

    #[inline]
    fn closed_flag(&self) -> &ClosedFlag {
        match &self.0 {
            Channel::ByValue(closed_flag, _) | Channel::Boxed(closed_flag, _) => closed_flag,
        }
    }
}

impl<T> From<mpsc::Sender<T>> for TokioMailbox<T> {
    fn from(sender: mpsc::Sender<T>) -> Self {
        Self(Channel::ByValue(ClosedFlag::untold(), sender))
    }
}

impl<T> Clone for TokioMailbox<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Channel::ByValue(closed_flag, sender) => Channel::ByValue(closed_flag.clone(), sender.clone()),
            Channel::Boxed(closed_flag, sender) => Channel::Boxed(closed_flag.clone(), sender.clone()),
        })
    }
}

impl<T> fmt::Debug for TokioMailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioMailbox")
            .field("capacity", &self.max_capacity())
            .field("room", &self.capacity())
            .field("closed", &with_sender!(self, sender => sender.is_closed()))
            .finish()
    }
}

impl<T: Send + 'static> Mailbox<T> for TokioMailbox<T> {
    #[inline]
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        match &self.0 {
            Channel::ByValue(_, sender) => sender.try_send(item).map_err(try_send_error),
            Channel::Boxed(..) => {
                self.try_send_boxed(Box::new(item)).map_err(|try_send_error| try_send_error.map(|item| *item))
            }
        }
    }

    fn try_send_boxed(&self, item: Box<T>) -> Result<(), TrySendError<Box<T>>> {
        match &self.0 {
            Channel::ByValue(_, sender) => by_value(sender, item),
            Channel::Boxed(_, sender) => sender.try_send(item).map_err(try_send_error),
        }
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.closed_flag().is_over().unwrap_or_else(|| with_sender!(self, sender => sender.is_closed()))
    }

    #[inline]
    fn prefetch(&self) {
        with_sender!(self, sender => black_box(sender.is_closed()));
    }
}

/// Apart, so that no other way through has room for an item on its stack.
#[inline(never)]
#[expect(clippy::boxed_local, reason = "it comes in a box, for which there is no room in the channel")]
fn by_value<T>(sender: &mpsc::Sender<T>, item: Box<T>) -> Result<(), TrySendError<Box<T>>> {
    sender.try_send(*item).map_err(|error| try_send_error(error).map(Box::new))
}

#[inline]
fn try_send_error<T>(error: mpsc::error::TrySendError<T>) -> TrySendError<T> {
    match error {
        mpsc::error::TrySendError::Full(item) => TrySendError::Full(item),
        mpsc::error::TrySendError::Closed(item) => TrySendError::Closed(item),
    }
}

impl<T: Send + 'static> ReserveMailbox<T> for TokioMailbox<T> {
    type Permit<'a> = TokioPermit<'a, T>;

    async fn reserve(&self) -> Result<TokioPermit<'_, T>, Closed> {
        let room = match &self.0 {
            Channel::ByValue(_, sender) => sender.reserve().await.map(Room::ByValue),
            Channel::Boxed(_, sender) => sender.reserve().await.map(Room::Boxed),
        };
        room.map(TokioPermit).map_err(|_| Closed)
    }
}

/// Room for one message in a [`TokioMailbox`].
pub struct TokioPermit<'a, T>(Room<'a, T>);

enum Room<'a, T> {
    ByValue(mpsc::Permit<'a, T>),
    Boxed(mpsc::Permit<'a, Box<T>>),
}

impl<T> Permit<T> for TokioPermit<'_, T> {
    fn send(self, item: T) {
        match self.0 {
            Room::ByValue(room) => room.send(item),
            Room::Boxed(room) => room.send(Box::new(item)),
        }
    }

    fn send_boxed(self, item: Box<T>) {
        match self.0 {
            Room::ByValue(room) => room.send(*item),
            Room::Boxed(room) => room.send(item),
        }
    }
}

impl<T> fmt::Debug for TokioPermit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioSlot").finish_non_exhaustive()
    }
}

/// The family of [`TokioMailbox`]es.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl MailboxFamily for Tokio {
    type Mailbox<T: Send + 'static> = TokioMailbox<T>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_of_either_kind_takes_two_words() {
        assert_eq!(size_of::<TokioMailbox<u8>>(), 16);
        assert_eq!(size_of::<TokioMailbox<[u8; 4096]>>(), 16);
    }
}
