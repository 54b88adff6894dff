//! What is measured, seen from the driver: a registry, or a bare map used in its place.

use registry_router::{
    BindError, RegisterErrorKind, RouteError, ServerId, ServerMailbox, TransportId, TransportMailbox,
};

use crate::world::{Message, World};

/// Something that a workload can be run on.
pub trait Subject: Send + Sync + 'static {
    /// One thread's access to it.
    type Session: Session;

    /// Access for the calling thread, made once per thread and before the clock is read.
    fn session(&self) -> Self::Session;

    /// How unevenly the entries lie over the shards; `None` where there are none.
    fn skew(&self) -> Option<f64> {
        None
    }
}

/// One thread's access to a subject.
pub trait Session: Send + 'static {
    /// What stands for a registration that may end.
    type Lease: Send + 'static;

    /// Done before operations are timed, each time.
    fn prepare(&self) {}

    /// Reads a server in place: whether its mailbox is the given one, which loads the pointer that the map holds and
    /// nothing behind it. `None` if there is no such server.
    fn lookup(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Option<bool>;

    /// Puts a message into the mailbox of a server.
    ///
    /// # Errors
    ///
    /// If there is no such server, or its mailbox does not take the message.
    fn route(&self, server: &ServerId, from: &TransportId, message: Message) -> Result<(), RouteError<Message>>;

    /// Registers a server.
    ///
    /// # Errors
    ///
    /// If the id is taken and the subject notices, or the registration is refused.
    fn register(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Result<Self::Lease, RegisterErrorKind>;

    /// Ends a registration.
    fn release(&self, id: &ServerId, lease: Self::Lease);

    /// Registers a server for good.
    fn add_server(&self, id: &ServerId, mailbox: &ServerMailbox<Message>);

    /// Registers a transport for good.
    fn add_transport(&self, id: &TransportId, mailbox: &TransportMailbox<Message>);

    /// Binds a transport to a server.
    ///
    /// # Errors
    ///
    /// If one of them is not registered.
    fn bind(&self, transport: &TransportId, server: &ServerId) -> Result<(), BindError>;

    /// Takes out some of those whose owners are dead, where the subject can tell; another part at each turn.
    fn sweep(&self, _turn: usize) {}

    /// Registers all that is to be there from the beginning.
    fn fill(&self, world: &World) {
        for (n, id) in world.servers.iter().enumerate() {
            self.add_server(id, world.mailbox(n));
        }
        for id in &world.transports {
            self.add_transport(id, world.transport_mailbox());
        }
    }
}
