//! What is measured: a registry, or a bare map used in its place.

use registry_router::{
    BindError, RegisterErrorKind, RouteError, ServerId, ServerMailbox, TransportId, TransportMailbox,
};

use crate::fixture::{Fixture, Message};

/// A registry or a bare map.
pub trait Subject: Send + Sync + 'static {
    /// The access of one thread.
    type Session: Session;

    /// Returns the access of the calling thread; called once per thread, before anything is timed.
    fn session(&self) -> Self::Session;

    /// Returns the skew of the entries over the shards; `None` without shards.
    fn skew(&self) -> Option<f64> {
        None
    }
}

/// The access of one thread to a subject.
pub trait Session: Send + 'static {
    /// A registration that can be ended.
    type Lease: Send + 'static;

    /// Called before operations are timed.
    fn prepare(&self) {}

    /// Reads an entry in place and returns whether its mailbox is the given one, which loads the pointer in the entry
    /// and does not follow it. `None` if there is no such server.
    fn lookup(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Option<bool>;

    /// Puts a message into the mailbox of a server.
    ///
    /// # Errors
    ///
    /// If there is no such server, or its mailbox is full or closed.
    fn route(&self, server: &ServerId, from: &TransportId, message: Message) -> Result<(), RouteError<Message>>;

    /// Registers a server.
    ///
    /// # Errors
    ///
    /// If the id is taken and the subject checks that, or the registration is denied.
    fn register(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Result<Self::Lease, RegisterErrorKind>;

    /// Ends a registration.
    fn release(&self, id: &ServerId, lease: Self::Lease);

    /// Registers a server without a lease.
    fn add_server(&self, id: &ServerId, mailbox: &ServerMailbox<Message>);

    /// Registers a transport without a lease.
    fn add_transport(&self, id: &TransportId, mailbox: &TransportMailbox<Message>);

    /// Binds a transport to a server.
    ///
    /// # Errors
    ///
    /// If one of them is not registered.
    fn bind(&self, transport: &TransportId, server: &ServerId) -> Result<(), BindError>;

    /// Removes some of the entries whose owners are dead, if the subject knows them; another part at each turn.
    fn sweep(&self, _turn: usize) {}

    /// Registers all servers and transports.
    fn fill(&self, fixture: &Fixture) {
        for (n, id) in fixture.servers.iter().enumerate() {
            self.add_server(id, fixture.mailbox(n));
        }
        for id in &fixture.transports {
            self.add_transport(id, fixture.transport_mailbox());
        }
    }
}
