//! The transports of one server: an index from the server to those that say they are bound to it.
//!
//! The transport's own bond is the truth about a binding; a group only finds the transports quickly.
//! A transport enters the group before its bond says so and leaves it after, so the group never misses one, and who
//! reads a group asks each bond.
//! Closing a group undoes all of its bindings at one instant, however many there are: a bond that points to a closed
//! group binds nothing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use registry_core::{BindError, Incarnation, ServerId, TransportId};

use crate::roll::Roll;
use crate::seeded::SeededBug;
use crate::sync::{AtomicBool, Global, Mutex, MutexGuard};
use crate::ticket::Ticket;

/// The bound transports of one registration of a server.
#[derive(Debug)]
pub(crate) struct Group {
    server: ServerId,
    leader: Incarnation,
    /// Where its transports are counted, and under which shard.
    roll: Arc<Roll>,
    shard: usize,
    open: AtomicBool,
    members: Mutex<Members>,
}

/// The group of those whose registration has ended: closed from the start, and nobody is in it.
pub(crate) fn limbo() -> &'static Arc<Group> {
    static LIMBO: Global<Arc<Group>> = Global::new(|| {
        let roll = Arc::new(Roll::new(1, None, Duration::ZERO));
        let server = ServerId::new("limbo").expect("the id is valid");
        let group = Group::new(server, Incarnation::from_u64(0), roll, 0);
        drop(group.close());
        Arc::new(group)
    });
    LIMBO.get()
}

/// Keyed by incarnation, so that a transport that comes back under the same id is another member.
type ByIncarnation<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

/// Who is in a group.
#[derive(Debug, Default)]
pub(crate) struct Members {
    ids: ByIncarnation<TransportId>,
    /// For those whose binding somebody remembers: few or none.
    tickets: Option<Box<ByIncarnation<Arc<Ticket>>>>,
}

impl Group {
    pub(crate) fn new(server: ServerId, leader: Incarnation, roll: Arc<Roll>, shard: usize) -> Self {
        Self { server, leader, roll, shard, open: AtomicBool::new(true), members: Mutex::default() }
    }

    pub(crate) fn server(&self) -> &ServerId {
        &self.server
    }

    /// Which registration of the server it is.
    #[inline]
    pub(crate) fn leader(&self) -> Incarnation {
        self.leader
    }

    /// Whether the server's registration still stands.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Adds a transport, unless the group is closed or full. Adding it twice changes nothing.
    pub(crate) fn add(&self, incarnation: Incarnation, transport: TransportId) -> Result<(), BindError> {
        let mut members = self.lock();
        if !self.is_open() && !SeededBug::BindJoinsTheDead.is_on() {
            return Err(BindError::ServerNotFound);
        }
        if !members.ids.contains_key(&incarnation.as_u64()) {
            self.roll.enter(self.shard, members.ids.len())?;
            members.ids.insert(incarnation.as_u64(), transport);
        }
        Ok(())
    }

    /// Something that tells whether a member is still in the group; `None` if it is not. All who ask get the same.
    ///
    /// It does not tell when the group is closed: closing does not depend on how many tickets there are.
    pub(crate) fn ticket(&self, incarnation: Incarnation) -> Option<Arc<Ticket>> {
        let mut members = self.lock();
        let Members { ids, tickets } = &mut *members;
        ids.contains_key(&incarnation.as_u64()).then(|| {
            let tickets = tickets.get_or_insert_default();
            Arc::clone(tickets.entry(incarnation.as_u64()).or_default())
        })
    }

    /// Takes a transport out, and says whether it was in, which it is not once the group is closed.
    pub(crate) fn remove(&self, incarnation: Incarnation) -> bool {
        let mut members = self.lock();
        let Members { ids, tickets } = &mut *members;
        let was_in = ids.remove(&incarnation.as_u64()).is_some();
        self.roll.strike(self.shard, usize::from(was_in));
        if ids.capacity() > 64 && ids.len() < ids.capacity() / 8 {
            ids.shrink_to(ids.len() * 2);
        }
        if let Some(given) = tickets {
            if let Some(ticket) = given.remove(&incarnation.as_u64()) {
                ticket.revoke();
            }
            if given.is_empty() {
                *tickets = None;
            }
        }
        was_in
    }

    /// Ends all bindings to the server, at a cost that does not depend on their number. Closing twice changes nothing.
    ///
    /// The members come back so that the caller can drop them, which may take long, when it holds nothing.
    pub(crate) fn close(&self) -> Members {
        let mut members = self.lock();
        self.open.store(false, Ordering::Release);
        self.roll.strike(self.shard, members.ids.len());
        std::mem::take(&mut *members)
    }

    /// A copy of the members as they are now.
    pub(crate) fn members(&self) -> Vec<(Incarnation, TransportId)> {
        let members = self.lock();
        members.ids.iter().map(|(incarnation, id)| (Incarnation::from_u64(*incarnation), id.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // Nothing in here calls code that can panic half-way, so a poisoned table is whole.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spreads incarnations, which are consecutive numbers, over all bits; nobody outside chooses them.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("incarnations are hashed as u64");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> TransportId {
        TransportId::new(format!("t{number}")).unwrap()
    }

    fn group_of(members: u64) -> Group {
        group_with_cap(members, None)
    }

    fn group_with_cap(members: u64, max: Option<usize>) -> Group {
        let group = Group::new(
            ServerId::new("s").unwrap(),
            Incarnation::from_u64(1),
            Arc::new(Roll::new(8, max, Duration::ZERO)),
            5,
        );
        for number in 0..members {
            assert_eq!(group.add(Incarnation::from_u64(number), id(number)), Ok(()));
        }
        group
    }

    #[test]
    fn members_come_and_go() {
        let group = group_of(3);
        assert!(group.remove(Incarnation::from_u64(1)));
        assert!(!group.remove(Incarnation::from_u64(1)));
        let mut members = group.members();
        members.sort();
        assert_eq!(members, [(Incarnation::from_u64(0), id(0)), (Incarnation::from_u64(2), id(2))]);
    }

    #[test]
    fn a_closed_group_is_empty_and_takes_nobody() {
        let group = group_of(3);
        assert_eq!((group.close().ids.len(), group.close().ids.len()), (3, 0));
        assert!(!group.is_open());
        assert_eq!(group.add(Incarnation::from_u64(9), id(9)), Err(BindError::ServerNotFound));
        assert!(!group.remove(Incarnation::from_u64(1)));
        assert_eq!(group.members(), []);
    }

    #[test]
    fn members_are_counted_once_and_never_too_many() {
        let group = group_with_cap(3, Some(3));
        let full = BindError::ServerFull { max: 3, retry_after: Duration::ZERO };
        assert_eq!(group.add(Incarnation::from_u64(9), id(9)), Err(full));
        assert_eq!(group.add(Incarnation::from_u64(1), id(1)), Ok(()), "who is in is in");
        assert_eq!((group.roll.bound(5), group.roll.bound(4), group.roll.len()), (3, 0, 3));
        group.remove(Incarnation::from_u64(1));
        group.remove(Incarnation::from_u64(1));
        assert_eq!(group.add(Incarnation::from_u64(9), id(9)), Ok(()));
        assert_eq!((group.roll.len(), group.roll.usage().unwrap().hits), (3, 1));
        group.close();
        group.close();
        group.remove(Incarnation::from_u64(9));
        assert_eq!(group.roll.len(), 0);
    }

    #[test]
    fn a_ticket_is_for_one_stay_of_one_member() {
        let group = group_of(2);
        let [zero, one] = [0, 1].map(Incarnation::from_u64);
        assert!(group.ticket(Incarnation::from_u64(9)).is_none());
        let (ticket, same, other) =
            (group.ticket(zero).unwrap(), group.ticket(zero).unwrap(), group.ticket(one).unwrap());
        assert!(Arc::ptr_eq(&ticket, &same) && ticket.holds());
        group.remove(zero);
        assert!(!ticket.holds() && other.holds());
        assert_eq!(group.add(zero, id(0)), Ok(()));
        assert!(!ticket.holds() && group.ticket(zero).unwrap().holds());
        group.remove(zero);
        group.remove(one);
        assert!(group.lock().tickets.is_none(), "no room is kept for nobody");
        drop(group.close());
        assert!(group.ticket(one).is_none());
    }

    #[test]
    fn room_is_given_back_when_most_have_left() {
        let group = group_of(10_000);
        for number in 0..9_990 {
            group.remove(Incarnation::from_u64(number));
        }
        let room = group.lock().ids.capacity();
        assert!(room < 200, "room for {room}");
        assert_eq!(group.members().len(), 10);
    }
}
