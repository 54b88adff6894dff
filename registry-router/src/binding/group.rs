//! The transports bound to one server: an index that is a superset of the bindings.
//!
//! The [`BindingSlot`](super::slot::BindingSlot) of a transport decides whether it is bound; the group of a server is
//! only an index of its transports.
//! A transport is added to the group before its slot refers to the group, and removed after. So the group never lacks a
//! bound transport, and a reader of the group checks the slot of each member.
//! Closing a group ends all of its bindings at one instant, however many there are: a slot that refers to a closed group
//! is not bound.

use std::collections::btree_map;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use registry_core::{BindError, Incarnation, ServerId, TransportId};

use crate::binding::counts::BindingCounts;
use crate::binding::members::{Members, incarnation_of, key};
use crate::binding::token::BindingToken;
use crate::sync::{AtomicBool, Mutex, MutexGuard};

/// The transports bound to one registration of a server.
#[derive(Debug)]
pub(crate) struct Group {
    server: ServerId,
    leader: Incarnation,
    binding_counts: Arc<BindingCounts>,
    /// The shard of the server, under which its transports are counted.
    shard: usize,
    open: AtomicBool,
    members: Mutex<Members>,
}

impl Group {
    pub(crate) fn new(server: ServerId, leader: Incarnation, binding_counts: Arc<BindingCounts>, shard: usize) -> Self {
        Self { server, leader, binding_counts, shard, open: AtomicBool::new(true), members: Mutex::default() }
    }

    pub(crate) fn server(&self) -> &ServerId {
        &self.server
    }

    /// Returns the incarnation of the server.
    #[inline]
    pub(crate) fn leader(&self) -> Incarnation {
        self.leader
    }

    /// Returns whether the server's registration has not ended.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Adds a transport, unless the group is closed or full. Idempotent.
    pub(crate) fn add(&self, incarnation: Incarnation, transport: TransportId) -> Result<(), BindError> {
        let mut members = self.lock();
        if !self.is_open() {
            return Err(BindError::ServerNotFound);
        }
        if !members.ids.contains_key(&key(incarnation)) {
            self.binding_counts.add(self.shard, members.ids.len())?;
            members.ids.insert(key(incarnation), transport);
        }
        Ok(())
    }

    /// Removes a transport, and returns whether it was a member. A closed group has no members.
    pub(crate) fn remove(&self, incarnation: Incarnation) -> bool {
        let mut members = self.lock();
        let removed = members.ids.remove(&key(incarnation)).is_some();
        self.binding_counts.subtract(self.shard, usize::from(removed));
        if let Some(token) = members.tokens.remove(&key(incarnation)) {
            token.revoke();
        }
        removed
    }

    /// Returns the token of a member, or `None` if the transport is not a member. All callers share one token.
    ///
    /// Closing the group does not revoke the token, so that its cost does not depend on the number of tokens.
    pub(crate) fn token(&self, incarnation: Incarnation) -> Option<Arc<BindingToken>> {
        let mut members = self.lock();
        let Members { ids, tokens } = &mut *members;
        ids.contains_key(&key(incarnation)).then(|| Arc::clone(tokens.entry(key(incarnation)).or_default()))
    }

    /// Returns a token that is no longer needed. The group drops its own reference when the last one is returned.
    pub(crate) fn return_token(&self, incarnation: Incarnation, token: &Arc<BindingToken>) {
        let mut members = self.lock();
        if let btree_map::Entry::Occupied(kept) = members.tokens.entry(key(incarnation))
            && Arc::ptr_eq(kept.get(), token)
            // The group's reference and the one that is returned; no other is handed out under the lock.
            && Arc::strong_count(token) == 2
        {
            kept.remove();
        }
    }

    /// Ends all bindings to the server, at a cost that does not depend on their number. Idempotent.
    ///
    /// Returns the members, for the caller to drop when it holds no lock, because that may take long.
    pub(crate) fn close(&self) -> Members {
        let mut members = self.lock();
        self.open.store(false, Ordering::Release);
        self.binding_counts.subtract(self.shard, members.ids.len());
        std::mem::take(&mut *members)
    }

    /// Returns the number of members, or zero if the group is closed.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns copies of the members in chunks of bounded size. The group's lock is held for one chunk at a time.
    ///
    /// A transport that is a member throughout is in exactly one chunk. One that is added or removed meanwhile is in at
    /// most one.
    pub(crate) fn members(&self) -> Chunks<'_> {
        Chunks { group: self, after: Bound::Unbounded }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // No code under this lock can panic with the members half updated, so a poisoned lock is still consistent.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The maximum number of members that are copied while the group is locked.
const CHUNK_LEN: usize = 1_024;

/// An iterator over the members of a group in chunks. Returned by [`Group::members`].
#[derive(Debug)]
pub(crate) struct Chunks<'a> {
    group: &'a Group,
    after: Bound<u64>,
}

impl Iterator for Chunks<'_> {
    type Item = Vec<(Incarnation, TransportId)>;

    fn next(&mut self) -> Option<Self::Item> {
        let members = self.group.lock();
        let chunk = members.ids.range((self.after, Bound::Unbounded)).take(CHUNK_LEN);
        let chunk: Vec<_> = chunk.map(|(key, id)| (incarnation_of(*key), id.clone())).collect();
        drop(members);
        self.after = Bound::Excluded(key(chunk.last()?.0));
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::binding::members::DetachedMembers;

    fn id(number: u64) -> TransportId {
        TransportId::new(format!("t{number}")).unwrap()
    }

    fn all(group: &Group) -> Vec<(Incarnation, TransportId)> {
        group.members().flatten().collect()
    }

    fn group_of(members: u64) -> Group {
        group_with_limit(members, None)
    }

    fn group_with_limit(members: u64, max: Option<usize>) -> Group {
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
    fn members_are_added_and_removed() {
        let group = group_of(3);
        assert!(group.remove(Incarnation::from_u64(1)));
        assert!(!group.remove(Incarnation::from_u64(1)));
        let mut members = all(&group);
        members.sort();
        assert_eq!(members, [(Incarnation::from_u64(0), id(0)), (Incarnation::from_u64(2), id(2))]);
    }

    #[test]
    fn a_closed_group_is_empty_and_accepts_no_member() {
        let group = group_of(3);
        assert_eq!((group.close().ids.len(), group.close().ids.len()), (3, 0));
        assert!(!group.is_open());
        assert_eq!(group.add(Incarnation::from_u64(9), id(9)), Err(BindError::ServerNotFound));
        assert!(!group.remove(Incarnation::from_u64(1)));
        assert_eq!(all(&group), []);
    }

    #[test]
    fn members_are_counted_once_and_never_exceed_the_limit() {
        let group = group_with_limit(3, Some(3));
        let full = BindError::ServerFull { max: 3, retry_after: Duration::ZERO };
        assert_eq!(group.add(Incarnation::from_u64(9), id(9)), Err(full));
        assert_eq!(group.add(Incarnation::from_u64(1), id(1)), Ok(()), "a member is not added again");
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
    fn a_token_is_revoked_when_its_member_leaves() {
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
        assert!(group.lock().tokens.is_empty(), "the token of a removed member is dropped");
        drop(group.close());
        assert!(group.token(one).is_none());
    }

    #[test]
    fn a_token_is_dropped_when_its_last_reference_is_returned() {
        let group = group_of(1);
        let zero = Incarnation::from_u64(0);
        let [one, other] = [(); 2].map(|()| group.token(zero).unwrap());
        group.return_token(zero, &one);
        assert_eq!(group.lock().tokens.len(), 1, "another reference exists");
        drop(one);
        group.return_token(zero, &other);
        assert!(group.lock().tokens.is_empty() && other.holds());
        let fresh = group.token(zero).unwrap();
        group.return_token(zero, &other);
        assert_eq!(group.lock().tokens.len(), 1, "that was another token");
        drop(fresh);
    }

    #[test]
    fn members_are_copied_in_chunks() {
        let group = group_of(10_000);
        let mut chunks = group.members();
        let first = chunks.next().unwrap();
        assert_eq!(first.len(), CHUNK_LEN);
        // Removing members that have been copied does not affect the others.
        for (incarnation, _) in &first {
            group.remove(*incarnation);
        }
        let rest: Vec<_> = chunks.flatten().collect();
        assert_eq!(rest.len(), 10_000 - CHUNK_LEN);
        assert!(rest.iter().all(|member| !first.contains(member)));
    }

    #[test]
    fn members_of_a_closed_group_are_freed_in_parts() {
        let mut detached = DetachedMembers::from(group_of(1_000).close());
        assert_eq!([600, 600, 600].map(|max| detached.free(max)), [600, 400, 0]);
    }
}
