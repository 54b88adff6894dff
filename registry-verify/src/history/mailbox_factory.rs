//! Families of mailboxes that a thread of a history can open, read and close.

use registry_core::MailboxFamily;
use registry_router::{Inbox, Tokio};

/// A family of mailboxes of which both ends are known.
pub trait MailboxFactory: MailboxFamily {
    /// The receiving end.
    type Inbox<T: Send + 'static>: Receiver<T>;

    /// Both ends of a mailbox with room for so many.
    fn mailbox<T: Send + 'static>(capacity: usize) -> (Self::Mailbox<T>, Self::Inbox<T>);
}

/// The receiving end of a mailbox.
pub trait Receiver<T>: Send {
    /// From here on nothing is put in.
    fn close(&mut self);

    /// What is in it, in order.
    fn drain(&mut self) -> Vec<T>;

    /// How many messages it has turned down, if it counts them.
    fn rejections(&self) -> Option<Rejections>;
}

/// How many messages a mailbox has turned down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// For want of room.
    pub full: usize,
    /// Because it was closed.
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
