//! The limit: a standard map that is filled once and never written again, with the hasher of the bare maps.
//!
//! It is a lower bound for a map that can be written: nothing is pinned, locked or counted. It supports lookups and
//! messages only, no registrations and no bindings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use registry_router::{
    AdmissionError, BindError, DenyReason, RegisterErrorKind, RouteError, ServerId, ServerMailbox, ToServer,
    TransportId, TransportMailbox,
};
use tokio::sync::mpsc::Sender;

use super::{FastHash, put, sender};
use crate::fixture::{Fixture, Message};
use crate::subject::{Session, Subject};

type Map = HashMap<ServerId, Sender<ToServer<Message>>, FastHash>;

/// An immutable map.
#[derive(Debug, Default)]
pub struct Limit(Arc<Mutex<Arc<Map>>>);

/// The map as of the start of the session.
#[derive(Debug)]
pub struct LimitSession {
    map: Arc<Map>,
    /// The map of later sessions.
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
        Err(AdmissionError::new(DenyReason::Policy, "the map is never written").into())
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

    /// With capacity for all entries, as the other maps.
    fn fill(&self, fixture: &Fixture) {
        let mut map = Map::with_capacity_and_hasher(fixture.servers.len(), FastHash::default());
        map.extend(fixture.servers.iter().enumerate().map(|(n, id)| (id.clone(), sender(fixture.mailbox(n)).clone())));
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Counts;

    #[test]
    fn later_sessions_read_the_filled_map() {
        let fixture = Fixture::new(Counts { servers: 10, absent_ids: 1, claims: 0, transports: 0 }, 1);
        let limit = Limit::default();
        limit.session().fill(&fixture);
        let session = limit.session();
        assert_eq!(session.lookup(&fixture.servers[3], fixture.mailbox(3)), Some(true));
        assert_eq!(session.lookup(&fixture.servers[3], fixture.mailbox(4)), Some(false));
        assert_eq!(session.lookup(&fixture.absent_ids[0], fixture.mailbox(0)), None);
        assert_eq!(session.route(&fixture.servers[0], &fixture.sender, 1), Ok(()));
        session.add_server(&fixture.absent_ids[0], fixture.mailbox(0));
        assert_eq!(limit.session().lookup(&fixture.absent_ids[0], fixture.mailbox(0)), Some(true));
    }
}
