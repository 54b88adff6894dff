//! The four type parameters of a registry as one, for everything that is not public.

use std::marker::PhantomData;

use registry_core::{Backend, MailboxFamily, Probe};

/// The types that a registry is generic over.
pub(crate) trait Types: 'static {
    /// The messages.
    type Message: Send + 'static;
    /// The map that a shard is built on.
    type Backend: Backend;
    /// The kind of mailbox.
    type Mailboxes: MailboxFamily;
    /// What records statistics.
    type Probe: Probe;
}

/// The types of a [`Registry`](crate::Registry) with these parameters.
pub(crate) struct TypesOf<M, B, X, P>(PhantomData<(M, B, X, P)>);

impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Types for TypesOf<M, B, X, P> {
    type Message = M;
    type Backend = B;
    type Mailboxes = X;
    type Probe = P;
}
