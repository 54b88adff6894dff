//! The limit: the standard library's map, filled once and never written again, with the hasher of the bare maps.
//!
//! No map that can be written meanwhile can be expected to do better: nothing is pinned, locked or counted. It stands for
//! lookups and messages only; nobody can be registered in it or bound.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use registry_router::{
    AdmissionError, BindError, DenyReason, RegisterErrorKind, RouteError, ServerId, ServerMailbox, ToServer,
    TransportId, TransportMailbox,
};
use tokio::sync::mpsc::Sender;

use super::{FastHash, put, sender};
use crate::subject::{Session, Subject};
use crate::world::{Message, World};

type Map = HashMap<ServerId, Sender<ToServer<Message>>, FastHash>;

/// A map to read.
#[derive(Debug, Default)]
pub struct Limit(Arc<Mutex<Arc<Map>>>);

/// The map as it was when the session began.
#[derive(Debug)]
pub struct LimitSession {
    map: Arc<Map>,
    /// Where sessions to come find what this one fills in.
    home: Arc<Mutex<Arc<Map>>>,
}

impl Subject for Limit {
    type Session = LimitSession;

    fn session(&self) -> LimitSession {
        let map = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        LimitSession { map, home: Arc::clone(&self.0) }
    }
}

impl Session for LimitSession {
    type Lease = ();

    #[inline]
    fn lookup(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Option<bool> {
        self.map.get(id).map(|held| held.same_channel(sender(mailbox)))
    }

    #[inline]
    fn route(&self, server: &ServerId, from: &TransportId, message: Message) -> Result<(), RouteError<Message>> {
        let sender = self.map.get(server).ok_or(RouteError::NotFound(message))?;
        put(sender, from, message)
    }

    fn register(&self, _: &ServerId, _: &ServerMailbox<Message>) -> Result<(), RegisterErrorKind> {
        Err(AdmissionError {
            reason: DenyReason::Policy,
            message: "the map is never written".into(),
            retry_after: None,
        }
        .into())
    }

    fn release(&self, _: &ServerId, (): ()) {}

    fn add_server(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) {
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut home).insert(id.clone(), sender(mailbox).clone());
    }

    fn add_transport(&self, _: &TransportId, _: &TransportMailbox<Message>) {}

    fn bind(&self, _: &TransportId, _: &ServerId) -> Result<(), BindError> {
        Err(BindError::TransportNotFound)
    }

    /// With room for all from the start, as the other maps have.
    fn fill(&self, world: &World) {
        let mut map = Map::with_capacity_and_hasher(world.servers.len(), FastHash::default());
        map.extend(world.servers.iter().enumerate().map(|(n, id)| (id.clone(), sender(world.mailbox(n)).clone())));
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Counts;

    #[test]
    fn it_is_read_by_sessions_that_begin_after_it_was_filled() {
        let world = World::new(Counts { servers: 10, strangers: 1, claims: 0, transports: 0 }, 1);
        let limit = Limit::default();
        limit.session().fill(&world);
        let session = limit.session();
        assert_eq!(session.lookup(&world.servers[3], world.mailbox(3)), Some(true));
        assert_eq!(session.lookup(&world.servers[3], world.mailbox(4)), Some(false));
        assert_eq!(session.lookup(&world.strangers[0], world.mailbox(0)), None);
        assert_eq!(session.route(&world.servers[0], &world.sender, 1), Ok(()));
        session.add_server(&world.strangers[0], world.mailbox(0));
        assert_eq!(limit.session().lookup(&world.strangers[0], world.mailbox(0)), Some(true));
    }
}
