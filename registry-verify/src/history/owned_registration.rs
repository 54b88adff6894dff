//! A registration of a client: its lease, its inbox, and the messages read so far.

use registry_core::{Incarnation, ToServer, ToTransport};

use super::client::number;
use super::mailbox_factory::{MailboxFactory, Receiver, Rejections};
use crate::any_lease::AnyLease;
use crate::spec::Name;

/// A registration with its inbox.
pub(super) struct OwnedRegistration<X: MailboxFactory> {
    pub(super) name: Name,
    pub(super) incarnation: Incarnation,
    /// `None` once released.
    pub(super) lease: Option<AnyLease>,
    pub(super) closed: bool,
    /// The messages read: sender id and message.
    pub(super) read: Vec<(u8, u64)>,
    inbox: AnyInbox<X>,
}

pub(super) enum AnyInbox<X: MailboxFactory> {
    Server(X::Inbox<ToServer<u64>>),
    Transport(X::Inbox<ToTransport<u64>>),
}

impl<X: MailboxFactory> OwnedRegistration<X> {
    pub(super) fn new(name: Name, lease: AnyLease, inbox: AnyInbox<X>) -> Self {
        Self { name, incarnation: lease.incarnation(), lease: Some(lease), closed: false, read: Vec::new(), inbox }
    }

    /// Closes the inbox, which makes the registration dead.
    pub(super) fn close(&mut self) {
        self.closed = true;
        match &mut self.inbox {
            AnyInbox::Server(inbox) => inbox.close(),
            AnyInbox::Transport(inbox) => inbox.close(),
        }
    }

    /// Reads all messages in the inbox.
    pub(super) fn read(&mut self) {
        match &mut self.inbox {
            AnyInbox::Server(inbox) => {
                self.read.extend(inbox.drain().into_iter().map(|delivery| (number(&delivery.from), delivery.message)));
            }
            AnyInbox::Transport(inbox) => {
                self.read.extend(inbox.drain().into_iter().map(|delivery| (number(&delivery.from), delivery.message)));
            }
        }
    }

    pub(super) fn rejections(&self) -> Option<Rejections> {
        match &self.inbox {
            AnyInbox::Server(inbox) => inbox.rejections(),
            AnyInbox::Transport(inbox) => inbox.rejections(),
        }
    }
}
