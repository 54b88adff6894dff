//! The registry itself as contracts, so that a program can be written against them and not against one registry.
//!
//! Looking up, binding, routing and observing are the same for a local and for a clustered registry: synchronous and
//! local. Only claiming a name differs, so it stands apart: [`Register`] is for registries that decide at once.
//!
//! A name to look up is anything that gives bytes: `&str`, `&String`, `&ServerId`. It is compared, not validated.

use std::time::Duration;

use crate::broadcast::BroadcastReport;
use crate::end::EndReason;
use crate::entry::{Entry, EntryInfo, EntryRef};
use crate::error::{AwaitError, BindError, RegisterError, RouteError};
use crate::id::{InvalidId, ServerId, TransportId};
use crate::incarnation::Incarnation;
use crate::key::AsId;
use crate::metadata::Metadata;
use crate::select::Select;
use crate::stats::{ContentionStatus, ShardStats};

/// Finds registrations by id.
///
/// A registration must be found by every lookup that starts after it was made and ends before it ends, and by none
/// that starts after it has ended. Text that is no valid id is never found.
pub trait Directory {
    /// The mailbox of a server.
    type ServerMailbox: Clone;
    /// The mailbox of a transport.
    type TransportMailbox: Clone;

    /// Reads a server in place. The closure must not write to the registry.
    fn with_server<R>(
        &self,
        id: impl AsId<ServerId>,
        read: impl FnOnce(EntryRef<'_, ServerId, Self::ServerMailbox>) -> R,
    ) -> Option<R>;

    /// Reads a transport in place. The closure must not write to the registry.
    fn with_transport<R>(
        &self,
        id: impl AsId<TransportId>,
        read: impl FnOnce(EntryRef<'_, TransportId, Self::TransportMailbox>) -> R,
    ) -> Option<R>;

    /// An owned handle to a server.
    fn find_server(&self, id: impl AsId<ServerId>) -> Option<Entry<ServerId, Self::ServerMailbox>> {
        self.with_server(id, |entry| entry.to_entry())
    }

    /// An owned handle to a transport.
    fn find_transport(&self, id: impl AsId<TransportId>) -> Option<Entry<TransportId, Self::TransportMailbox>> {
        self.with_transport(id, |entry| entry.to_entry())
    }

    /// The servers that `select` takes: each that is there throughout, none twice, in no order.
    fn select_servers(&self, select: Select<'_>) -> Vec<EntryInfo<ServerId>>;

    /// The transports that `select` takes: each that is there throughout, none twice, in no order.
    fn select_transports(&self, select: Select<'_>) -> Vec<EntryInfo<TransportId>>;

    /// How many servers there are: exact while no write is running.
    fn server_count(&self) -> usize;

    /// How many transports there are: exact while no write is running.
    fn transport_count(&self) -> usize;
}

/// Ties transports to servers. A transport has at most one server; a server has any number of transports.
///
/// A binding must end with either side, before the name of that side is free, and a later registration under the same
/// name must not inherit it.
pub trait Bindings {
    /// Binds a transport to a server, moving it if it is bound to another one.
    ///
    /// # Errors
    ///
    /// [`BindError`], telling which side is missing; what was bound before stays as it was.
    fn bind_transport_to_server(
        &self,
        transport: impl AsId<TransportId>,
        server: impl AsId<ServerId>,
    ) -> Result<(), BindError>;

    /// Undoes the binding of a transport, and says whether there was one.
    fn unbind_transport(&self, transport: impl AsId<TransportId>) -> bool;

    /// The server that a transport is bound to.
    fn server_for_transport(&self, transport: impl AsId<TransportId>) -> Option<ServerId>;

    /// The transports that are bound to a server, in no order.
    fn transports_of(&self, server: impl AsId<ServerId>) -> Vec<TransportId>;
}

/// Delivers messages.
///
/// `Ok` must mean that the message is in the mailbox, once, behind those that the same thread sent to it before.
pub trait Route<M> {
    /// Puts a message into the mailbox of a server.
    ///
    /// # Errors
    ///
    /// [`RouteError`] with the message.
    fn route_to_server(&self, server: impl AsId<ServerId>, from: &TransportId, message: M)
    -> Result<(), RouteError<M>>;

    /// Puts a message into the mailbox of a transport.
    ///
    /// # Errors
    ///
    /// [`RouteError`] with the message.
    fn route_to_transport(
        &self,
        transport: impl AsId<TransportId>,
        from: &ServerId,
        message: M,
    ) -> Result<(), RouteError<M>>;

    /// Puts a copy of a message into the mailbox of every transport that is bound to `server`.
    fn broadcast(&self, server: impl AsId<ServerId>, message: M) -> BroadcastReport
    where
        M: Clone;
}

/// Claims names, deciding at once.
pub trait Register: Directory {
    /// Ownership of a server's registration.
    type ServerLease: Ownership<Id = ServerId>;
    /// Ownership of a transport's registration.
    type TransportLease: Ownership<Id = TransportId>;

    /// Registers a server. Of several concurrent calls for one id, exactly one must succeed.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] with mailbox and metadata.
    fn register_server<I>(
        &self,
        id: I,
        mailbox: Self::ServerMailbox,
        metadata: impl Into<Metadata>,
    ) -> Result<Self::ServerLease, RegisterError<Self::ServerMailbox>>
    where
        I: TryInto<ServerId>,
        I::Error: Into<InvalidId>;

    /// Registers a transport. Of several concurrent calls for one id, exactly one must succeed.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] with mailbox and metadata.
    fn register_transport<I>(
        &self,
        id: I,
        mailbox: Self::TransportMailbox,
        metadata: impl Into<Metadata>,
    ) -> Result<Self::TransportLease, RegisterError<Self::TransportMailbox>>
    where
        I: TryInto<TransportId>,
        I::Error: Into<InvalidId>;

    /// Registers a transport that is bound to `server` from the first instant at which it can be found.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] with mailbox and metadata.
    fn register_transport_bound_to<I>(
        &self,
        id: I,
        mailbox: Self::TransportMailbox,
        metadata: impl Into<Metadata>,
        server: impl AsId<ServerId>,
    ) -> Result<Self::TransportLease, RegisterError<Self::TransportMailbox>>
    where
        I: TryInto<TransportId>,
        I::Error: Into<InvalidId>;

    /// Ends a server's registration, regardless of its owner, and says whether there was one.
    fn unregister_server(&self, id: impl AsId<ServerId>) -> bool;

    /// Ends a transport's registration, regardless of its owner, and says whether there was one.
    fn unregister_transport(&self, id: impl AsId<TransportId>) -> bool;
}

/// Ownership of one registration: a lease. Dropping it must end exactly that registration.
pub trait Ownership {
    /// The id of a server or of a transport.
    type Id;

    /// The id that is registered.
    fn id(&self) -> &Self::Id;

    /// Which registration of that id this lease owns.
    fn incarnation(&self) -> Incarnation;

    /// Whether that registration is still there.
    fn is_current(&self) -> bool;

    /// Returns why the registration has ended, or `None` if it has not ended.
    fn end_reason(&self) -> Option<EndReason>;

    /// Waits until the registration has ended, and returns the reason. Cancel-safe.
    fn ended(&self) -> impl Future<Output = EndReason> + Send;

    /// Ends the registration now, and says whether it was still there.
    fn release(self) -> bool;

    /// Leaves the registration in place; from now on only its name, or its closed mailbox, ends it.
    fn detach(self);
}

/// Waits for registrations.
pub trait Await: Directory {
    /// Waits until a server is registered under the id, and returns its entry; at once if it is registered. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`AwaitError::InvalidId`] if nothing can be registered under the id, and [`AwaitError::TimedOut`] if there is a
    /// `limit` and nothing was registered within it.
    fn await_server<I>(
        &self,
        id: I,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Entry<ServerId, Self::ServerMailbox>, AwaitError>> + Send
    where
        I: TryInto<ServerId> + Send,
        I::Error: Into<InvalidId>;

    /// Waits until a transport is registered under the id, as [`await_server`](Self::await_server) does for a server.
    ///
    /// # Errors
    ///
    /// As [`await_server`](Self::await_server).
    fn await_transport<I>(
        &self,
        id: I,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Entry<TransportId, Self::TransportMailbox>, AwaitError>> + Send
    where
        I: TryInto<TransportId> + Send,
        I::Error: Into<InvalidId>;
}

/// Says how the registry is.
pub trait Observe {
    /// The figures of one shard, or `None` when there is no such shard.
    fn shard_stats(&self, shard: usize) -> Option<ShardStats>;

    /// The figures of all shards, in order.
    fn all_shard_stats(&self) -> Vec<ShardStats>;

    /// Sets all counts and latencies back to zero; entries and alarms are not figures and stay.
    fn reset_stats(&self);

    /// Where it hurts.
    fn contention_status(&self) -> ContentionStatus;

    /// How many shards there are.
    fn shard_count(&self) -> usize;

    /// The shard that an id is in, registered or not: the same for the same seed and number of shards, always.
    fn shard_of(&self, id: impl AsRef<[u8]>) -> usize;
}
