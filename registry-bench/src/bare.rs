//! The bare maps: the map of each crate as its users would use it, in the place of a registry.
//!
//! One map, without shards of the registry, with capacity for all entries and `foldhash` as its hasher, keyed by the
//! same ids and holding one pointer per entry: the sending end of a tokio channel. There are no leases, no incarnations
//! and no statistics, and `insert` replaces an existing entry. Bindings are a second map, from transports to servers.

pub mod dashmap;
pub mod evmap;
pub mod left_right;
pub mod limit;
pub mod papaya;
pub mod reference;

use std::fmt;
use std::hash::Hash;

use registry_router::{
    BindError, Delivery, RegisterErrorKind, RouteError, ServerId, ServerMailbox, ToServer, ToTransport, TokioMailbox,
    TransportId, TransportMailbox,
};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::fixture::Message;
use crate::registry::Layout;
use crate::subject::{Session, Subject};

/// The hasher of all bare maps: foldhash, made for short keys in hash tables.
pub type FastHash = foldhash::fast::FixedState;

/// A key of a bare map: ids only, because evmap requires keys whose hash never changes.
pub trait Key: Clone + Eq + Hash + Send + Sync + 'static + sealed::Sealed {}

impl Key for ServerId {}
impl Key for TransportId {}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::ServerId {}
    impl Sealed for super::TransportId {}
}

/// A value of a bare map.
pub trait Value: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> Value for V {}

/// The map of a crate, generic over keys and values.
pub trait Family: Send + Sync + 'static {
    /// The map.
    type Map<K: Key, V: Value>: Map<K, V>;
}

/// A concurrent map.
pub trait Map<K: Key, V: Value>: Send + Sync + 'static {
    /// The access of a thread.
    type Handle: Handle<K, V>;

    /// Makes a map with a capacity.
    fn with_capacity(capacity: usize) -> Self;

    /// Returns a handle for the calling thread.
    fn handle(&self) -> Self::Handle;
}

/// The access of one thread to a map.
pub trait Handle<K: Key, V: Value>: Send + 'static {
    /// Reads an entry in place.
    fn with<R>(&self, key: &K, read: impl FnOnce(&V) -> R) -> Option<R>;

    /// Inserts an entry, visible to all threads when it returns.
    fn insert(&self, key: K, value: V);

    /// Removes an entry, and returns whether there was one.
    fn remove(&self, key: &K) -> bool;
}

/// Bare maps in the place of a registry.
pub struct OverBare<F: Family> {
    servers: F::Map<ServerId, Sender<ToServer<Message>>>,
    transports: F::Map<TransportId, Sender<ToTransport<Message>>>,
    bindings: F::Map<TransportId, ServerId>,
}

impl<F: Family> OverBare<F> {
    /// Makes maps with capacity for the entries.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self {
            servers: Map::with_capacity(layout.servers),
            transports: Map::with_capacity(layout.transports),
            bindings: Map::with_capacity(layout.transports),
        }
    }
}

impl<F: Family> fmt::Debug for OverBare<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverBare").finish_non_exhaustive()
    }
}

impl<F: Family> Subject for OverBare<F> {
    type Session = BareSession<F>;

    fn session(&self) -> Self::Session {
        BareSession {
            servers: self.servers.handle(),
            transports: self.transports.handle(),
            bindings: self.bindings.handle(),
        }
    }
}

type HandleOf<F, K, V> = <<F as Family>::Map<K, V> as Map<K, V>>::Handle;

/// Handles to the bare maps.
pub struct BareSession<F: Family> {
    servers: HandleOf<F, ServerId, Sender<ToServer<Message>>>,
    transports: HandleOf<F, TransportId, Sender<ToTransport<Message>>>,
    bindings: HandleOf<F, TransportId, ServerId>,
}

impl<F: Family> fmt::Debug for BareSession<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BareSession").finish_non_exhaustive()
    }
}

/// Returns the sender of a mailbox of small messages, which is what the bare maps hold.
#[inline]
pub(crate) fn sender<T>(mailbox: &TokioMailbox<T>) -> &Sender<T> {
    mailbox.as_sender().expect("small messages lie in the channel by value")
}

impl<F: Family> Session for BareSession<F> {
    type Lease = ();

    #[inline]
    fn lookup(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Option<bool> {
        self.servers.with(id, |held| held.same_channel(sender(mailbox)))
    }

    #[inline]
    fn route(&self, server: &ServerId, from: &TransportId, message: Message) -> Result<(), RouteError<Message>> {
        let delivered = self.servers.with(server, |sender| put(sender, from, message));
        delivered.unwrap_or(Err(RouteError::NotFound(message)))
    }

    #[inline]
    fn register(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Result<(), RegisterErrorKind> {
        self.servers.insert(id.clone(), sender(mailbox).clone());
        Ok(())
    }

    #[inline]
    fn release(&self, id: &ServerId, (): ()) {
        self.servers.remove(id);
    }

    fn add_server(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) {
        self.servers.insert(id.clone(), sender(mailbox).clone());
    }

    fn add_transport(&self, id: &TransportId, mailbox: &TransportMailbox<Message>) {
        self.transports.insert(id.clone(), sender(mailbox).clone());
    }

    #[inline]
    fn bind(&self, transport: &TransportId, server: &ServerId) -> Result<(), BindError> {
        self.servers.with(server, |_| ()).ok_or(BindError::ServerNotFound)?;
        self.transports.with(transport, |_| ()).ok_or(BindError::TransportNotFound)?;
        self.bindings.insert(transport.clone(), server.clone());
        Ok(())
    }
}

/// Sends a message if there is room, or returns it.
#[inline]
fn put(sender: &Sender<ToServer<Message>>, from: &TransportId, message: Message) -> Result<(), RouteError<Message>> {
    sender.try_send(Delivery { from: from.clone(), message }).map_err(|error| match error {
        TrySendError::Full(delivery) => RouteError::Full(delivery.message),
        TrySendError::Closed(delivery) => RouteError::Closed(delivery.message),
    })
}
