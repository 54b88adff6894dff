//! Mailbox families of which a client can create, read and close mailboxes.

use registry_core::MailboxFamily;
use registry_router::{Inbox, Tokio};

/// A mailbox family that can create mailboxes with their receiving end.
pub trait MailboxFactory: MailboxFamily {
    /// The receiving end.
    type Inbox<T: Send + 'static>: Receiver<T>;

    /// Creates a mailbox with the given capacity.
    fn mailbox<T: Send + 'static>(capacity: usize) -> (Self::Mailbox<T>, Self::Inbox<T>);
}

/// The receiving end of a mailbox.
pub trait Receiver<T>: Send {
    /// Closes the mailbox: later sends fail.
    fn close(&mut self);

    /// Removes and returns all messages, in order.
    fn drain(&mut self) -> Vec<T>;

    /// Returns how many messages the mailbox has rejected, if it counts them.
    fn rejections(&self) -> Option<Rejections>;
}

/// The number of messages that a mailbox has rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Rejected because the mailbox was full.
    pub full: usize,
    /// Rejected because the mailbox was closed.
    pub closed: usize,
}

impl MailboxFactory for Tokio {
    type Inbox<T: Send + 'static> = Inbox<T>;

    fn mailbox<T: Send + 'static>(capacity: usize) -> (Self::Mailbox<T>, Self::Inbox<T>) {
        registry_router::mailbox(capacity)
    }
}

impl<T: Send> Receiver<T> for Inbox<T> {
    fn close(&mut self) {
        Self::close(self);
    }

    fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.try_recv().ok()).collect()
    }

    fn rejections(&self) -> Option<Rejections> {
        None
    }
}
