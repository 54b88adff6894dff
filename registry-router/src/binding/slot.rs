//! The binding slot of an entry: what a registration is bound to, or that it has ended.

use std::sync::{Arc, PoisonError};

use registry_core::{BindError, Incarnation, ServerId, TransportId};

use crate::binding::counts::BindingCounts;
use crate::binding::group::Group;
use crate::binding::members::Members;
use crate::binding::token::BindingToken;
use crate::sync::{Mutex, MutexGuard};

/// The binding state of one registration.
///
/// A server's slot holds the group of its transports, created when the first transport is bound to it.
/// A transport's slot holds the group of the server that it is bound to; if that group is closed, it is not bound.
///
/// Lock order: shard, then slot, then group. No method calls a shard.
#[derive(Debug)]
pub(crate) struct BindingSlot(Mutex<SlotState>);

/// Whether a registration that ends has a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    Held,
    Detached,
}

/// The outcome of binding a transport to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The transport was bound to this group before.
    Already,
    /// The transport is bound to this group now.
    Now,
}

impl BindingSlot {
    pub(crate) fn new(group: Option<Arc<Group>>) -> Self {
        Self(Mutex::new(SlotState { group, has_ended: false, has_lease: true }))
    }

    /// Returns a server's group, created if this is its first transport, or `None` if the registration has ended.
    pub(crate) fn lead(
        &self,
        server: &ServerId,
        incarnation: Incarnation,
        binding_counts: &Arc<BindingCounts>,
        shard: usize,
    ) -> Option<Arc<Group>> {
        let mut state = self.lock();
        if !state.has_ended && state.group.is_none() {
            let group = Group::new(server.clone(), incarnation, Arc::clone(binding_counts), shard);
            state.group = Some(Arc::new(group));
        }
        state.open_group().cloned()
    }

    /// Returns the group of a server, if it has one, or the group that a transport is bound to.
    pub(crate) fn group(&self) -> Option<Arc<Group>> {
        self.lock().open_group().cloned()
    }

    /// Returns the group that a transport is bound to, and a token that is valid for as long as it is.
    pub(crate) fn group_with_token(&self, incarnation: Incarnation) -> Option<(Arc<Group>, Arc<BindingToken>)> {
        // The lock is held so that the transport cannot leave the group in between.
        let state = self.lock();
        let group = state.open_group()?;
        Some((Arc::clone(group), group.token(incarnation)?))
    }

    /// Binds a transport to a group, and removes it from the group that it was bound to.
    pub(crate) fn join(
        &self,
        transport: &TransportId,
        incarnation: Incarnation,
        group: &Arc<Group>,
    ) -> Result<Joined, BindError> {
        let mut state = self.lock();
        if state.has_ended {
            return Err(BindError::TransportNotFound);
        }
        if state.is_bound_to(group) {
            return Ok(Joined::Already);
        }
        group.add(incarnation, transport.clone())?;
        if let Some(previous) = state.group.replace(Arc::clone(group)) {
            previous.remove(incarnation);
        }
        Ok(Joined::Now)
    }

    /// Unbinds a transport, and returns whether it was bound.
    pub(crate) fn leave(&self, incarnation: Incarnation) -> bool {
        self.lock().group.take().is_some_and(|group| group.remove(incarnation))
    }

    /// Returns whether a transport is bound to this group.
    pub(crate) fn is_in(&self, group: &Arc<Group>) -> bool {
        self.lock().is_bound_to(group)
    }

    /// Calls `act` if a transport is bound to this group, and keeps it bound during the call.
    ///
    /// The server's registration can end during the call, because that does not wait for its transports.
    pub(crate) fn while_in<R>(&self, group: &Arc<Group>, act: impl FnOnce() -> R) -> Option<R> {
        let state = self.lock();
        state.is_bound_to(group).then(act)
    }

    /// Marks a server's registration as ended and ends its bindings, all at one instant.
    ///
    /// Idempotent: on some backends two threads may be about to remove one registration. The first call calls `on_end`; the
    /// second returns after that, and after the bindings have ended.
    ///
    /// Returns the members of the group, for the caller to drop when it holds no lock.
    pub(crate) fn end_server(&self, on_end: impl FnOnce(Lease)) -> Option<Members> {
        let mut state = self.lock();
        let group = state.end(on_end)?;
        Some(group.close())
    }

    /// Marks a transport's registration as ended and ends its binding. Idempotent, as [`end_server`](Self::end_server).
    pub(crate) fn end_transport(&self, incarnation: Incarnation, on_end: impl FnOnce(Lease)) {
        let mut state = self.lock();
        if let Some(group) = state.end(on_end) {
            group.remove(incarnation);
        }
    }

    /// Records that the registration has no lease any more, and returns whether it had not ended.
    pub(crate) fn detach_lease(&self) -> bool {
        let mut state = self.lock();
        state.has_lease = false;
        !state.has_ended
    }

    fn lock(&self) -> MutexGuard<'_, SlotState> {
        // User code that runs under this lock finds no state half updated, so a poisoned lock is still consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of a slot.
#[derive(Debug)]
struct SlotState {
    /// The group, which may be closed. `None` after the end.
    group: Option<Arc<Group>>,
    /// Whether the registration has ended; it never leaves this state.
    has_ended: bool,
    /// Whether the registration has a lease, which is to be told why it ended.
    has_lease: bool,
}

impl SlotState {
    /// Returns the group of the slot, if there is one and it is open.
    fn open_group(&self) -> Option<&Arc<Group>> {
        self.group.as_ref().filter(|group| group.is_open())
    }

    /// Returns whether the slot holds this very group and the group is open.
    fn is_bound_to(&self, group: &Arc<Group>) -> bool {
        self.open_group().is_some_and(|current| Arc::ptr_eq(current, group))
    }

    /// Marks the registration as ended, and takes its group. Calls `on_end` if it had not ended.
    fn end(&mut self, on_end: impl FnOnce(Lease)) -> Option<Arc<Group>> {
        if !self.has_ended {
            self.has_ended = true;
            on_end(if self.has_lease { Lease::Held } else { Lease::Detached });
        }
        self.group.take()
    }
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
    fn a_join_that_fails_keeps_the_old_binding() {
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
    fn a_transport_that_leaves_or_ends_is_removed_from_the_group() {
        let (t, incarnation) = transport();
        let group = group("s");
        let slot = BindingSlot::new(None);
        slot.join(&t, incarnation, &group).unwrap();
        assert!(slot.leave(incarnation) && !slot.leave(incarnation));
        assert_eq!(all(&group), []);
        slot.join(&t, incarnation, &group).unwrap();
        slot.end_transport(incarnation, |_| ());
        slot.end_transport(incarnation, |_| ());
        assert_eq!(all(&group), []);
    }

    #[test]
    fn an_ended_registration_neither_joins_nor_leads_a_group() {
        let (t, incarnation) = transport();
        let open = group("s");
        let slot = BindingSlot::new(None);
        slot.end_transport(incarnation, |_| ());
        assert!(!slot.leave(incarnation));
        assert_eq!(slot.join(&t, incarnation, &open), Err(BindError::TransportNotFound));
        assert_eq!(all(&open), []);

        let server = BindingSlot::new(None);
        assert!(server.end_server(|_| ()).is_none());
        assert!(lead(&server, "s").is_none());
        assert!(server.group().is_none());
    }

    #[test]
    fn the_first_end_is_told_whether_there_is_a_lease() {
        let told = |slot: &BindingSlot| {
            let mut told = Vec::new();
            slot.end_transport(Incarnation::from_u64(1), |lease| told.push(lease));
            slot.end_server(|lease| told.push(lease));
            told
        };
        let (held, detached) = (BindingSlot::new(None), BindingSlot::new(None));
        assert!(detached.detach_lease());
        assert_eq!((told(&held), told(&detached)), (vec![Lease::Held], vec![Lease::Detached]));
        assert!(!held.detach_lease());
    }

    #[test]
    fn ending_twice_ends_the_bindings_once() {
        let (t, incarnation) = transport();
        let server = BindingSlot::new(None);
        lead(&server, "s").unwrap().add(incarnation, t).unwrap();
        assert_eq!(server.end_server(|_| ()).map(|members| members.len()), Some(1));
        assert!(server.end_server(|_| ()).is_none());
        assert!(server.lock().has_ended);
    }
}
