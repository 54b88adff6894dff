//! Owners that die in storms: their leases and inboxes.

use std::fmt::Debug;

use registry_core::{Backend, RegisterError};
use registry_router::{Inbox, Registry, ServerId, ToServer, ToTransport, TransportId, mailbox};

use crate::any_lease::AnyLease;

/// The capacity of an owner's mailbox.
const CAPACITY: usize = 32;

/// An inbox of either kind.
#[expect(dead_code, reason = "held only to be dropped")]
pub(super) enum AnyInbox {
    Server(Inbox<ToServer<u64>>),
    Transport(Inbox<ToTransport<u64>>),
}

/// An owner with its own inbox.
pub(super) struct Owner {
    pub(super) lease: AnyLease,
    pub(super) inbox: AnyInbox,
}

impl Owner {
    /// Registers a server.
    pub(super) fn server<B: Backend>(registry: &Registry<u64, B>, id: ServerId) -> Self {
        let (mailbox, inbox) = mailbox(CAPACITY);
        let lease = expect_lease(registry.register_server(id, mailbox, ()));
        Self { lease: AnyLease::Server(lease), inbox: AnyInbox::Server(inbox) }
    }

    /// Registers an unbound transport.
    pub(super) fn transport<B: Backend>(registry: &Registry<u64, B>, id: TransportId) -> Self {
        let (mailbox, inbox) = mailbox(CAPACITY);
        let lease = expect_lease(registry.register_transport(id, mailbox, ()));
        Self { lease: AnyLease::Transport(lease), inbox: AnyInbox::Transport(inbox) }
    }

    /// Registers a transport bound to a server.
    pub(super) fn bound<B: Backend>(registry: &Registry<u64, B>, id: TransportId, server: &ServerId) -> Self {
        let (mailbox, inbox) = mailbox(CAPACITY);
        let lease = expect_lease(registry.register_transport_bound_to(id, mailbox, (), server));
        Self { lease: AnyLease::Transport(lease), inbox: AnyInbox::Transport(inbox) }
    }

    /// Drops the inbox but leaves the registration.
    pub(super) fn die_silently(self) {
        self.lease.detach();
        drop(self.inbox);
    }
}

/// Returns the lease of a registration that must succeed.
#[track_caller]
pub(super) fn expect_lease<L, Mb>(registration: Result<L, RegisterError<Mb>>) -> L
where
    RegisterError<Mb>: Debug,
{
    registration.expect("the name is free and admission open")
}
