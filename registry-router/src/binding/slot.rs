//! A registration's side of its bindings.

use std::sync::{Arc, PoisonError};

use registry_core::{BindError, Incarnation, ServerId, TransportId};

use crate::binding::counts::BindingCounts;
use crate::binding::group::{Group, Members, limbo};
use crate::binding::token::BindingToken;
use crate::seeded::SeededBug;
use crate::sync::{Mutex, MutexGuard};

/// A registration's side of its bindings, and the mark that it has ended.
///
/// For a server the group that it leads, made when the first transport is bound to it.
/// For a transport the group that it is in; if that group is closed, it is in none.
/// For whoever's registration has ended, [`limbo`].
///
/// Order of locks: shard, then bond, then group; nothing here calls a shard.
#[derive(Debug)]
pub(crate) struct BindingSlot(Mutex<Option<Arc<Group>>>);

/// What binding a transport did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The transport was in this group already.
    Already,
    /// It is now.
    Now,
}

impl BindingSlot {
    pub(crate) fn new(group: Option<Arc<Group>>) -> Self {
        Self(Mutex::new(group))
    }

    /// A server's group, made if this is its first transport; `None` once the registration has ended.
    pub(crate) fn lead(
        &self,
        server: &ServerId,
        incarnation: Incarnation,
        binding_counts: &Arc<BindingCounts>,
        shard: usize,
    ) -> Option<Arc<Group>> {
        let mut group = self.lock();
        let make = || Arc::new(Group::new(server.clone(), incarnation, Arc::clone(binding_counts), shard));
        let group = group.get_or_insert_with(make);
        group.is_open().then(|| Arc::clone(group))
    }

    /// The group of a server that has one, or that a transport is in.
    pub(crate) fn group(&self) -> Option<Arc<Group>> {
        self.lock().as_ref().filter(|group| group.is_open()).cloned()
    }

    /// The group that a transport is in, with something that tells for as long as it is.
    pub(crate) fn group_with_ticket(&self, incarnation: Incarnation) -> Option<(Arc<Group>, Arc<BindingToken>)> {
        // Under the lock, so that the transport cannot leave in between.
        let current = self.lock();
        let group = current.as_ref().filter(|group| group.is_open())?;
        Some((Arc::clone(group), group.token(incarnation)?))
    }

    /// Puts a transport into a group, out of the one that it may be in.
    pub(crate) fn join(
        &self,
        transport: &TransportId,
        incarnation: Incarnation,
        group: &Arc<Group>,
    ) -> Result<Joined, BindError> {
        let mut current = self.lock();
        if is_limbo(&current) {
            return Err(BindError::TransportNotFound);
        }
        if is(&current, group) && group.is_open() {
            return Ok(Joined::Already);
        }
        group.add(incarnation, transport.clone())?;
        if let Some(left) = current.replace(Arc::clone(group)) {
            left.remove(incarnation);
        }
        Ok(Joined::Now)
    }

    /// Takes a transport out of its group, and says whether it was in one.
    pub(crate) fn part(&self, incarnation: Incarnation) -> bool {
        let mut current = self.lock();
        !is_limbo(&current) && current.take().is_some_and(|group| group.remove(incarnation))
    }

    /// Whether a transport is in this very group, and the group is open.
    pub(crate) fn is_in(&self, group: &Arc<Group>) -> bool {
        let current = self.lock();
        group.is_open() && is(&current, group)
    }

    /// Does something while a transport is in this very group and cannot leave it; `None` if it is not in it.
    ///
    /// The server can end meanwhile, for that waits for none of its transports.
    pub(crate) fn while_in<R>(&self, group: &Arc<Group>, act: impl FnOnce() -> R) -> Option<R> {
        let current = self.lock();
        let bound = group.is_open() && is(&current, group);
        (bound || SeededBug::BroadcastAsksNobody.is_on()).then(act)
    }

    /// Marks a server's registration as ended and undoes its bindings, all at one instant. Ending twice changes nothing,
    /// and who comes second returns when all is undone: on some backends two may be about to remove one registration.
    ///
    /// What is left of the bindings comes back, to be dropped when nothing is held.
    pub(crate) fn end_server(&self) -> Option<Members> {
        let mut current = self.lock();
        let group = current.replace(Arc::clone(limbo()))?;
        if SeededBug::DeathForgetsBindings.is_on() {
            return None;
        }
        Some(group.close())
    }

    /// Marks a transport's registration as ended and undoes its binding. As for ending twice, see
    /// [`end_server`](Self::end_server).
    pub(crate) fn end_transport(&self, incarnation: Incarnation) {
        let mut current = self.lock();
        let group = current.replace(Arc::clone(limbo()));
        if SeededBug::DeathForgetsReverseIndex.is_on() {
            return;
        }
        if let Some(group) = group {
            group.remove(incarnation);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Group>>> {
        // Nothing is half-way when others' code runs under this lock, so a poisoned bond is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is(current: &Option<Arc<Group>>, group: &Arc<Group>) -> bool {
    current.as_ref().is_some_and(|current| Arc::ptr_eq(current, group))
}

fn is_limbo(current: &Option<Arc<Group>>) -> bool {
    is(current, limbo())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lead(slot: &BindingSlot, server: &str) -> Option<Arc<Group>> {
        let one = Incarnation::from_u64(1);
        slot.lead(&ServerId::new(server).unwrap(), one, &Arc::new(BindingCounts::new(1, None, Duration::ZERO)), 0)
    }

    fn group(server: &str) -> Arc<Group> {
        lead(&BindingSlot::new(None), server).unwrap()
    }

    fn all(group: &Group) -> Vec<(Incarnation, TransportId)> {
        group.members().flatten().collect()
    }

    fn transport() -> (TransportId, Incarnation) {
        (TransportId::new("t").unwrap(), Incarnation::from_u64(7))
    }

    #[test]
    fn a_moved_transport_is_in_the_new_group_only() {
        let (t, incarnation) = transport();
        let (old, new) = (group("old"), group("new"));
        let slot = BindingSlot::new(None);
        assert_eq!(slot.join(&t, incarnation, &old), Ok(Joined::Now));
        assert_eq!(slot.join(&t, incarnation, &old), Ok(Joined::Already));
        assert_eq!(slot.join(&t, incarnation, &new), Ok(Joined::Now));
        assert_eq!((all(&old), all(&new)), (vec![], vec![(incarnation, t)]));
        assert!(slot.is_in(&new) && !slot.is_in(&old));
    }

    #[test]
    fn a_join_that_is_refused_leaves_the_old_binding() {
        let (t, incarnation) = transport();
        let (old, closed) = (group("old"), group("closed"));
        drop(closed.close());
        let slot = BindingSlot::new(None);
        slot.join(&t, incarnation, &old).unwrap();
        assert_eq!(slot.join(&t, incarnation, &closed), Err(BindError::ServerNotFound));
        assert!(slot.is_in(&old));
        assert_eq!(all(&old).len(), 1);
    }

    #[test]
    fn who_parts_or_ends_leaves_no_trace_in_the_group() {
        let (t, incarnation) = transport();
        let group = group("s");
        let slot = BindingSlot::new(None);
        slot.join(&t, incarnation, &group).unwrap();
        assert!(slot.part(incarnation) && !slot.part(incarnation));
        assert_eq!(all(&group), []);
        slot.join(&t, incarnation, &group).unwrap();
        slot.end_transport(incarnation);
        slot.end_transport(incarnation);
        assert_eq!(all(&group), []);
    }

    #[test]
    fn whose_registration_has_ended_neither_joins_nor_leads_again() {
        let (t, incarnation) = transport();
        let open = group("s");
        let slot = BindingSlot::new(None);
        slot.end_transport(incarnation);
        assert!(!slot.part(incarnation));
        assert_eq!(slot.join(&t, incarnation, &open), Err(BindError::TransportNotFound));
        assert_eq!(all(&open), []);

        let server = BindingSlot::new(None);
        assert!(server.end_server().is_none());
        assert!(lead(&server, "s").is_none());
        assert!(server.group().is_none());
    }
}
