//! An inbox of either side.

use registry_router::{Inbox, ToServer, ToTransport};

use super::ids::number;
use crate::spec::{Message, Name};

/// An inbox of a server or of a transport.
#[derive(Debug)]
pub(super) enum AnyInbox {
    /// A server's inbox.
    Server(Inbox<ToServer<Message>>),
    /// A transport's inbox.
    Transport(Inbox<ToTransport<Message>>),
}

impl AnyInbox {
    /// Returns the number of messages in it.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Server(inbox) => inbox.len(),
            Self::Transport(inbox) => inbox.len(),
        }
    }

    /// Closes the mailbox; what it contains can still be read.
    pub(super) fn close(&mut self) {
        match self {
            Self::Server(inbox) => inbox.close(),
            Self::Transport(inbox) => inbox.close(),
        }
    }

    /// Removes and returns all messages with their senders, in order.
    pub(super) fn drain(&mut self) -> Vec<(Name, Message)> {
        let mut read = Vec::new();
        match self {
            Self::Server(inbox) => {
                while let Ok(delivery) = inbox.try_recv() {
                    read.push((Name::transport(number(&delivery.from)), delivery.message));
                }
            }
            Self::Transport(inbox) => {
                while let Ok(delivery) = inbox.try_recv() {
                    read.push((Name::server(number(&delivery.from)), delivery.message));
                }
            }
        }
        read
    }
}
