//! The leanest mailbox that waits for its first message: a queue that has no room until it needs some.
//!
//! A tokio channel lays out room for 32 messages when it is made, so most of what a million connections take that say
//! nothing is room for what they do not say. A flume channel grows when messages come. `cargo xtask bench --mailboxes`
//! measures both, beside others.

use std::fmt;
use std::hint::black_box;

use flume::TrySendError;
use registry_core::{Mailbox, Mailboxes, Undelivered};

use super::CapacityError;
use super::life::Life;

/// Makes a bounded mailbox for `capacity` messages, which takes little until there are some.
///
/// It is a mailbox of the family [`Lean`], which a registry names in its type: `Registry<Message, Papaya, Lean>`.
/// Its queue keeps the most room that it ever needed. To put a message in takes a lock for a moment, shared with the
/// receiver of that mailbox and nobody else.
/// No sender can wait for room in it: `route_*` and `broadcast` work, `send_*` do not.
///
/// ```
/// use registry_router::backends::Papaya;
/// use registry_router::{Lean, Registry, TransportId, lean_mailbox};
///
/// let registry: Registry<&str, Papaya, Lean> = Registry::builder().build()?;
/// let (mailbox, inbox) = lean_mailbox(16)?;
/// let server = registry.register_server("echo", mailbox, ())?;
/// registry.route_to_server("echo", &TransportId::new("conn-1")?, "hello")?;
/// assert_eq!(inbox.try_recv().map(|delivery| delivery.message), Some("hello"));
/// # drop(server);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`CapacityError`] when `capacity` is zero or above [`MAX_MAILBOX_CAPACITY`](crate::MAX_MAILBOX_CAPACITY).
pub fn lean_mailbox<T>(capacity: usize) -> Result<(LeanMailbox<T>, LeanInbox<T>), CapacityError> {
    CapacityError::check(capacity)?;
    let (sender, receiver) = flume::bounded(capacity);
    let life = Life::begin();
    Ok((LeanMailbox { sender, life: life.clone() }, LeanInbox { receiver, _end: End(life) }))
}

/// The sending end of a mailbox that takes little until there are messages.
pub struct LeanMailbox<T> {
    sender: flume::Sender<T>,
    life: Life,
}

/// The receiving end of a [`LeanMailbox`]; dropping it closes the mailbox.
pub struct LeanInbox<T> {
    receiver: flume::Receiver<T>,
    /// After the receiver: nobody may be told that it is gone and then still get a message into it.
    _end: End,
}

/// Tells that the receiver is gone.
struct End(Life);

/// The family of [`LeanMailbox`]es.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lean;

impl<T> LeanInbox<T> {
    /// The next item; `None` when the inbox is empty and all sending ends are gone. Cancel-safe.
    pub async fn recv(&self) -> Option<T> {
        self.receiver.recv_async().await.ok()
    }

    /// The next item if there is one now.
    pub fn try_recv(&self) -> Option<T> {
        self.receiver.try_recv().ok()
    }

    /// The next item, for which it blocks the thread; `None` when the inbox is empty and all sending ends are gone.
    pub fn blocking_recv(&self) -> Option<T> {
        self.receiver.recv().ok()
    }

    /// How many items there are now.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether there are none now.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<T> Drop for LeanInbox<T> {
    fn drop(&mut self) {
        // What nobody will receive should not wait in the queue until the last sending end is gone.
        self.receiver.drain();
    }
}

impl<T> Clone for LeanMailbox<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), life: self.life.clone() }
    }
}

impl<T: Send + 'static> Mailbox<T> for LeanMailbox<T> {
    #[inline]
    fn try_deliver(&self, item: T) -> Result<(), Undelivered<T>> {
        self.sender.try_send(item).map_err(|error| match error {
            TrySendError::Full(item) => Undelivered::Full(item),
            TrySendError::Disconnected(item) => Undelivered::Closed(item),
        })
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.life.is_over().unwrap_or_else(|| self.sender.is_disconnected())
    }

    #[inline]
    fn approach(&self) {
        black_box(self.sender.is_disconnected());
    }
}

impl Mailboxes for Lean {
    type Mailbox<T: Send + 'static> = LeanMailbox<T>;
}

impl<T> fmt::Debug for LeanMailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeanMailbox")
            .field("capacity", &self.sender.capacity())
            .field("items", &self.sender.len())
            .field("closed", &self.sender.is_disconnected())
            .finish()
    }
}

impl<T> fmt::Debug for LeanInbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeanInbox").field("items", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn items_come_back_with_the_reason() {
        let (mailbox, inbox) = lean_mailbox(1).unwrap();
        assert!(mailbox.try_deliver(1).is_ok());
        assert_eq!(mailbox.try_deliver(2), Err(Undelivered::Full(2)));
        assert_eq!((inbox.len(), inbox.try_recv(), inbox.try_recv()), (1, Some(1), None));
        drop(inbox);
        assert!(mailbox.is_closed() && mailbox.clone().is_closed());
        assert_eq!(mailbox.try_deliver(3), Err(Undelivered::Closed(3)));
    }

    #[test]
    fn absurd_capacities_are_errors() {
        for given in [0, usize::MAX] {
            assert_eq!(lean_mailbox::<()>(given).unwrap_err(), CapacityError { given });
        }
    }

    #[test]
    fn nothing_waits_where_nobody_receives() {
        let (mailbox, inbox) = lean_mailbox(2).unwrap();
        let item = Arc::new(());
        assert!(mailbox.try_deliver(Arc::clone(&item)).is_ok());
        drop(inbox);
        assert_eq!(Arc::strong_count(&item), 1);
    }

    #[test]
    fn an_inbox_ends_with_the_last_sending_end() {
        let (mailbox, inbox) = lean_mailbox(2).unwrap();
        assert!(mailbox.try_deliver(1).is_ok());
        drop(mailbox);
        assert_eq!((inbox.blocking_recv(), inbox.blocking_recv()), (Some(1), None));
    }
}
