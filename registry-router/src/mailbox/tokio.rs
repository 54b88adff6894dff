//! The sending end of the default mailbox, a bounded tokio channel.

use std::fmt;
use std::hint::black_box;

use registry_core::{Closed, Mailbox, MailboxFamily, Permit, ReserveMailbox, TrySendError};
use tokio::sync::mpsc;

use super::inbox::{Inbox, Receiver};
use super::is_large;
use super::slot::{self, SenderSlot};

/// Creates the two ends of a channel. `capacity` must be valid.
pub(super) fn pair<T>(capacity: usize) -> (TokioMailbox<T>, Inbox<T>) {
    let (sender_slot, inbox_slot) = slot::allocate();
    if const { is_large::<T>() } {
        let (sender, receiver) = mpsc::channel(capacity);
        (TokioMailbox(Channel::Boxed(sender_slot, sender)), Inbox::new(Receiver::Boxed(receiver), inbox_slot))
    } else {
        let (sender, receiver) = mpsc::channel(capacity);
        (TokioMailbox(Channel::ByValue(sender_slot, sender)), Inbox::new(Receiver::ByValue(receiver), inbox_slot))
    }
}

/// The sending end of a bounded tokio channel.
///
/// Items of more than 1,024 bytes are boxed in the channel.
///
/// A mailbox can also be created from a channel's own [`Sender`](mpsc::Sender), without an [`Inbox`]. Lookups then ask the
/// channel whether its receiver is gone, which costs a cache miss.
pub struct TokioMailbox<T>(Channel<T>);

/// A channel of items or of boxes. Each variant contains the slot, so that the whole takes 16 bytes.
enum Channel<T> {
    ByValue(SenderSlot, mpsc::Sender<T>),
    Boxed(SenderSlot, mpsc::Sender<Box<T>>),
}

/// Evaluates the same expression for either sender.
macro_rules! with_sender {
    ($mailbox:expr, $sender:ident => $act:expr) => {
        match &$mailbox.0 {
            Channel::ByValue(_, $sender) => $act,
            Channel::Boxed(_, $sender) => $act,
        }
    };
}

impl<T> TokioMailbox<T> {
    /// Returns the channel's own sender; `None` if the channel carries boxes.
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

    /// Returns for how many more items there is room now.
    pub fn capacity(&self) -> usize {
        with_sender!(self, sender => sender.capacity())
    }

    /// Returns for how many items there is room in total.
    pub fn max_capacity(&self) -> usize {
        with_sender!(self, sender => sender.max_capacity())
    }

    /// Waits until the inbox is closed or dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn closed(&self) {
        with_sender!(self, sender => sender.closed().await);
    }

    #[inline]
    fn slot(&self) -> &SenderSlot {
        match &self.0 {
            Channel::ByValue(slot, _) | Channel::Boxed(slot, _) => slot,
        }
    }

    fn slot_mut(&mut self) -> &mut SenderSlot {
        match &mut self.0 {
            Channel::ByValue(slot, _) | Channel::Boxed(slot, _) => slot,
        }
    }
}

impl<T> From<mpsc::Sender<T>> for TokioMailbox<T> {
    fn from(sender: mpsc::Sender<T>) -> Self {
        Self(Channel::ByValue(SenderSlot::untracked(), sender))
    }
}

impl<T> Clone for TokioMailbox<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Channel::ByValue(slot, sender) => Channel::ByValue(slot.clone(), sender.clone()),
            Channel::Boxed(slot, sender) => Channel::Boxed(slot.clone(), sender.clone()),
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
            Channel::Boxed(..) => self.try_send_boxed(Box::new(item)).map_err(|error| error.map(|item| *item)),
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
        self.slot().is_closed().unwrap_or_else(|| with_sender!(self, sender => sender.is_closed()))
    }

    #[inline]
    fn prefetch(&self) {
        with_sender!(self, sender => black_box(sender.is_closed()));
    }

    fn make_weak(&mut self) {
        self.slot_mut().make_weak();
    }

    fn registration_started(&mut self) {
        self.slot_mut().registration_started();
    }

    fn token(&self) -> u64 {
        self.slot().token()
    }

    fn registration_ended(token: u64) {
        slot::registration_ended(token);
    }
}

/// A function of its own, so that no other path has an item on its stack.
#[inline(never)]
#[expect(clippy::boxed_local, reason = "the item is given in a box, and the channel carries items")]
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
        let reserved = match &self.0 {
            Channel::ByValue(_, sender) => sender.reserve().await.map(Reserved::ByValue),
            Channel::Boxed(_, sender) => sender.reserve().await.map(Reserved::Boxed),
        };
        reserved.map(TokioPermit).map_err(|_| Closed)
    }
}

/// Reserved room for one message in a [`TokioMailbox`].
pub struct TokioPermit<'a, T>(Reserved<'a, T>);

enum Reserved<'a, T> {
    ByValue(mpsc::Permit<'a, T>),
    Boxed(mpsc::Permit<'a, Box<T>>),
}

impl<T> Permit<T> for TokioPermit<'_, T> {
    fn send(self, item: T) {
        match self.0 {
            Reserved::ByValue(permit) => permit.send(item),
            Reserved::Boxed(permit) => permit.send(Box::new(item)),
        }
    }

    fn send_boxed(self, item: Box<T>) {
        match self.0 {
            Reserved::ByValue(permit) => permit.send(*item),
            Reserved::Boxed(permit) => permit.send(item),
        }
    }
}

impl<T> fmt::Debug for TokioPermit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioPermit").finish_non_exhaustive()
    }
}

/// The family of [`TokioMailbox`]es, the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl MailboxFamily for Tokio {
    type Mailbox<T: Send + 'static> = TokioMailbox<T>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_takes_two_words_with_and_without_boxes() {
        assert_eq!(size_of::<TokioMailbox<u8>>(), 16);
        assert_eq!(size_of::<TokioMailbox<[u8; 4096]>>(), 16);
    }
}
