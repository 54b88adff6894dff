//! The transports of one server: an index from the server to those that say they are bound to it.
//!
//! The transport's own bond is the truth about a binding; a group only finds the transports quickly.
//! A transport enters the group before its bond says so and leaves it after, so the group never misses one, and who
//! reads a group asks each bond.
//! Closing a group undoes all of its bindings at one instant, however many there are: a bond that points to a closed
//! group binds nothing.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use registry_core::{BindError, Incarnation, ServerId, TransportId};

use crate::binding::counts::BindingCounts;
use crate::binding::token::BindingToken;
use crate::seeded::SeededBug;
use crate::sync::{AtomicBool, Global, Mutex, MutexGuard};

/// The bound transports of one registration of a server.
#[derive(Debug)]
pub(crate) struct Group {
    server: ServerId,
    leader: Incarnation,
    /// Where its transports are counted, and under which shard.
    binding_counts: Arc<BindingCounts>,
    shard: usize,
    open: AtomicBool,
    members: Mutex<Members>,
}

/// The group of those whose registration has ended: closed from the start, and nobody is in it.
pub(crate) fn limbo() -> &'static Arc<Group> {
    static LIMBO: Global<Arc<Group>> = Global::new(|| {
        let binding_counts = Arc::new(BindingCounts::new(1, None, Duration::ZERO));
        let server = ServerId::new("limbo").expect("the id is valid");
        let group = Group::new(server, Incarnation::from_u64(0), binding_counts, 0);
        drop(group.close());
        Arc::new(group)
    });
    LIMBO.get()
}

/// Keyed by [`key`] of the incarnation, so that a transport that comes back under the same id is another member.
///
/// A tree, because no operation on it, nor its drop in pieces, takes long however many there are: a hash table is moved
/// as a whole when it grows, and freed as a whole.
type ByIncarnation<T> = BTreeMap<u64, T>;

/// The reversed bits of an incarnation: consecutive numbers go to nodes all over the tree, which fills them better.
fn key(incarnation: Incarnation) -> u64 {
    incarnation.as_u64().reverse_bits()
}

fn incarnation_of(key: u64) -> Incarnation {
    Incarnation::from_u64(key.reverse_bits())
}

/// How many members are copied with the group's lock held.
const CHUNK: usize = 1_024;

/// Who is in a group.
#[derive(Debug, Default)]
pub(crate) struct Members {
    ids: ByIncarnation<TransportId>,
    /// For those whose binding somebody remembers: few or none.
    tickets: ByIncarnation<Arc<BindingToken>>,
}

/// What is left of the members of a closed group, to be freed in pieces.
#[derive(Debug)]
pub(crate) struct Leftover {
    ids: btree_map::IntoIter<u64, TransportId>,
    tickets: btree_map::IntoIter<u64, Arc<BindingToken>>,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

impl From<Members> for Leftover {
    fn from(Members { ids, tickets }: Members) -> Self {
        Self { ids: ids.into_iter(), tickets: tickets.into_iter() }
    }
}

impl Leftover {
    /// Frees at most so many, and returns how many there were.
    pub(crate) fn free(&mut self, most: usize) -> usize {
        self.tickets.by_ref().take(most).for_each(drop);
        self.ids.by_ref().take(most).count()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

impl Group {
    pub(crate) fn new(server: ServerId, leader: Incarnation, binding_counts: Arc<BindingCounts>, shard: usize) -> Self {
        Self { server, leader, binding_counts, shard, open: AtomicBool::new(true), members: Mutex::default() }
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
        if !members.ids.contains_key(&key(incarnation)) {
            self.binding_counts.enter(self.shard, members.ids.len())?;
            members.ids.insert(key(incarnation), transport);
        }
        Ok(())
    }

    /// Something that tells whether a member is still in the group; `None` if it is not. All who ask get the same.
    ///
    /// It does not tell when the group is closed: closing does not depend on how many tickets there are.
    pub(crate) fn token(&self, incarnation: Incarnation) -> Option<Arc<BindingToken>> {
        let mut members = self.lock();
        let Members { ids, tickets } = &mut *members;
        ids.contains_key(&key(incarnation)).then(|| Arc::clone(tickets.entry(key(incarnation)).or_default()))
    }

    /// Takes back a ticket from one who needs it no more; the last one to give it back leaves nothing behind.
    pub(crate) fn take_back(&self, incarnation: Incarnation, token: &Arc<BindingToken>) {
        let mut members = self.lock();
        if let btree_map::Entry::Occupied(kept) = members.tickets.entry(key(incarnation))
            && Arc::ptr_eq(kept.get(), token)
            // Ours, and the one that is given back; under the lock nobody gets another.
            && Arc::strong_count(token) == 2
        {
            kept.remove();
        }
    }

    /// Takes a transport out, and says whether it was in, which it is not once the group is closed.
    pub(crate) fn remove(&self, incarnation: Incarnation) -> bool {
        let mut members = self.lock();
        let was_in = members.ids.remove(&key(incarnation)).is_some();
        self.binding_counts.strike(self.shard, usize::from(was_in));
        if let Some(token) = members.tickets.remove(&key(incarnation)) {
            token.revoke();
        }
        was_in
    }

    /// Ends all bindings to the server, at a cost that does not depend on their number. Closing twice changes nothing.
    ///
    /// The members come back so that the caller can drop them, which may take long, when it holds nothing.
    pub(crate) fn close(&self) -> Members {
        let mut members = self.lock();
        self.open.store(false, Ordering::Release);
        self.binding_counts.strike(self.shard, members.ids.len());
        std::mem::take(&mut *members)
    }

    /// Copies of the members, in pieces: the group's lock is held for one piece at a time, whatever their number.
    ///
    /// Who is a member throughout is in exactly one piece; who comes or goes meanwhile is in one or in none.
    pub(crate) fn members(&self) -> Pieces<'_> {
        Pieces { group: self, after: Bound::Unbounded }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // Nothing in here calls code that can panic half-way, so a poisoned table is whole.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Group::members`].
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    group: &'a Group,
    after: Bound<u64>,
}

impl Iterator for Pieces<'_> {
    type Item = Vec<(Incarnation, TransportId)>;

    fn next(&mut self) -> Option<Self::Item> {
        let members = self.group.lock();
        let piece = members.ids.range((self.after, Bound::Unbounded)).take(CHUNK);
        let piece: Vec<_> = piece.map(|(key, id)| (incarnation_of(*key), id.clone())).collect();
        drop(members);
        self.after = Bound::Excluded(key(piece.last()?.0));
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> TransportId {
        TransportId::new(format!("t{number}")).unwrap()
    }

    fn all(group: &Group) -> Vec<(Incarnation, TransportId)> {
        group.members().flatten().collect()
    }

    fn group_of(members: u64) -> Group {
        group_with_cap(members, None)
    }

    fn group_with_cap(members: u64, max: Option<usize>) -> Group {
        let group = Group::new(
            ServerId::new("s").unwrap(),
            Incarnation::from_u64(1),
            Arc::new(BindingCounts::new(8, max, Duration::ZERO)),
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
        let mut members = all(&group);
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
        assert_eq!(all(&group), []);
    }

    #[test]
    fn members_are_counted_once_and_never_too_many() {
        let group = group_with_cap(3, Some(3));
        let full = BindError::ServerFull { max: 3, retry_after: Duration::ZERO };
        assert_eq!(group.add(Incarnation::from_u64(9), id(9)), Err(full));
        assert_eq!(group.add(Incarnation::from_u64(1), id(1)), Ok(()), "who is in is in");
        assert_eq!(
            (group.binding_counts.bound(5), group.binding_counts.bound(4), group.binding_counts.len()),
            (3, 0, 3)
        );
        group.remove(Incarnation::from_u64(1));
        group.remove(Incarnation::from_u64(1));
        assert_eq!(group.add(Incarnation::from_u64(9), id(9)), Ok(()));
        assert_eq!((group.binding_counts.len(), group.binding_counts.usage().unwrap().hits), (3, 1));
        group.close();
        group.close();
        group.remove(Incarnation::from_u64(9));
        assert_eq!(group.binding_counts.len(), 0);
    }

    #[test]
    fn a_ticket_is_for_one_stay_of_one_member() {
        let group = group_of(2);
        let [zero, one] = [0, 1].map(Incarnation::from_u64);
        assert!(group.token(Incarnation::from_u64(9)).is_none());
        let (token, same, other) = (group.token(zero).unwrap(), group.token(zero).unwrap(), group.token(one).unwrap());
        assert!(Arc::ptr_eq(&token, &same) && token.holds());
        group.remove(zero);
        assert!(!token.holds() && other.holds());
        assert_eq!(group.add(zero, id(0)), Ok(()));
        assert!(!token.holds() && group.token(zero).unwrap().holds());
        group.remove(zero);
        group.remove(one);
        assert!(group.lock().tickets.is_empty(), "no room is kept for nobody");
        drop(group.close());
        assert!(group.token(one).is_none());
    }

    #[test]
    fn a_ticket_that_is_given_back_by_all_leaves_nothing_behind() {
        let group = group_of(1);
        let zero = Incarnation::from_u64(0);
        let [one, other] = [(); 2].map(|()| group.token(zero).unwrap());
        group.take_back(zero, &one);
        assert_eq!(group.lock().tickets.len(), 1, "another one has it too");
        drop(one);
        group.take_back(zero, &other);
        assert!(group.lock().tickets.is_empty() && other.holds());
        let fresh = group.token(zero).unwrap();
        group.take_back(zero, &other);
        assert_eq!(group.lock().tickets.len(), 1, "that was another ticket");
        drop(fresh);
    }

    #[test]
    fn many_members_are_copied_in_pieces() {
        let group = group_of(10_000);
        let mut pieces = group.members();
        let first = pieces.next().unwrap();
        assert_eq!(first.len(), CHUNK);
        // Those that have been copied, and one that has not.
        for (incarnation, _) in &first {
            group.remove(*incarnation);
        }
        let rest: Vec<_> = pieces.flatten().collect();
        assert_eq!(rest.len(), 10_000 - CHUNK);
        assert!(rest.iter().all(|member| !first.contains(member)));
    }

    #[test]
    fn what_a_close_leaves_is_freed_in_pieces() {
        let mut leftover = Leftover::from(group_of(1_000).close());
        assert_eq!([600, 600, 600].map(|most| leftover.free(most)), [600, 400, 0]);
    }
}
