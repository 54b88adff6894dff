//! The binding slot of an entry: what a registration is bound to, or that it has ended.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use registry_core::{BindError, Incarnation, ServerId, TransportId};

use crate::binding::counts::BindingCounts;
use crate::binding::group::Group;
use crate::binding::members::Members;
use crate::binding::token::BindingToken;
use crate::sync::{Global, Mutex, MutexGuard};

/// The binding state of one registration.
///
/// A server's slot holds the group of its transports, created when the first transport is bound to it.
/// A transport's slot holds the group of the server that it is bound to; if that group is closed, it is not bound.
///
/// Lock order: shard, then slot, then group. No method calls a shard.
#[derive(Debug)]
pub(crate) struct BindingSlot(Mutex<SlotState>);

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
        Self(Mutex::new(SlotState(group)))
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
        state.bind_if_unbound(|| Group::new(server.clone(), incarnation, Arc::clone(binding_counts), shard));
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
        if state.binding() == Binding::Ended {
            return Err(BindError::TransportNotFound);
        }
        if state.is_bound_to(group) {
            return Ok(Joined::Already);
        }
        group.add(incarnation, transport.clone())?;
        if let Some(previous) = state.bind(Arc::clone(group)) {
            previous.remove(incarnation);
        }
        Ok(Joined::Now)
    }

    /// Unbinds a transport, and returns whether it was bound.
    pub(crate) fn leave(&self, incarnation: Incarnation) -> bool {
        self.lock().unbind().is_some_and(|group| group.remove(incarnation))
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
    /// Idempotent: on some backends two threads may be about to remove one registration. The second call returns after
    /// the bindings have ended.
    ///
    /// Returns the members of the group, for the caller to drop when it holds no lock.
    pub(crate) fn end_server(&self) -> Option<Members> {
        let mut state = self.lock();
        let group = state.end()?;
        Some(group.close())
    }

    /// Marks a transport's registration as ended and ends its binding. Idempotent, as [`end_server`](Self::end_server).
    pub(crate) fn end_transport(&self, incarnation: Incarnation) {
        let mut state = self.lock();
        let group = state.end();
        if let Some(group) = group {
            group.remove(incarnation);
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlotState> {
        // User code that runs under this lock finds no state half updated, so a poisoned lock is still consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of a slot, read as a [`Binding`].
///
/// An `Option<Arc<_>>` has room for one state besides the pointer, and there are two: unbound and ended. An enum of the
/// three would take 8 bytes more in every entry. So the ended state is a pointer to one group that is shared by all
/// ended registrations of the process, is closed, and has no members. Only this type knows about that group.
#[derive(Debug)]
struct SlotState(Option<Arc<Group>>);

/// What a slot is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    /// No group.
    Unbound,
    /// A group, which may be closed.
    Group,
    /// The registration has ended. A slot never leaves this state.
    Ended,
}

impl SlotState {
    fn binding(&self) -> Binding {
        match &self.0 {
            None => Binding::Unbound,
            Some(group) if Arc::ptr_eq(group, ended()) => Binding::Ended,
            Some(_) => Binding::Group,
        }
    }

    /// Returns the group of the slot, if there is one and it is open. That of ended registrations never is.
    fn open_group(&self) -> Option<&Arc<Group>> {
        self.0.as_ref().filter(|group| group.is_open())
    }

    /// Returns whether the slot holds this very group and the group is open.
    fn is_bound_to(&self, group: &Arc<Group>) -> bool {
        group.is_open() && self.0.as_ref().is_some_and(|current| Arc::ptr_eq(current, group))
    }

    /// Replaces the group of a registration that has not ended.
    fn bind(&mut self, group: Arc<Group>) -> Option<Arc<Group>> {
        self.0.replace(group)
    }

    fn bind_if_unbound(&mut self, group: impl FnOnce() -> Group) {
        self.0.get_or_insert_with(|| Arc::new(group()));
    }

    /// Takes the group of a registration that has not ended.
    fn unbind(&mut self) -> Option<Arc<Group>> {
        match self.binding() {
            Binding::Group => self.0.take(),
            Binding::Unbound | Binding::Ended => None,
        }
    }

    /// Marks the registration as ended, and takes its group.
    fn end(&mut self) -> Option<Arc<Group>> {
        let ended = ended();
        self.0.replace(Arc::clone(ended)).filter(|previous| !Arc::ptr_eq(previous, ended))
    }
}

/// The group that stands for the ended state; see [`SlotState`].
fn ended() -> &'static Arc<Group> {
    static ENDED: Global<Arc<Group>> = Global::new(|| {
        let binding_counts = Arc::new(BindingCounts::new(1, None, Duration::ZERO));
        let server = ServerId::new("ended").expect("the id is valid");
        let group = Group::new(server, Incarnation::from_u64(0), binding_counts, 0);
        drop(group.close());
        Arc::new(group)
    });
    ENDED.get()
}

#[cfg(test)]
mod tests {
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
        slot.end_transport(incarnation);
        slot.end_transport(incarnation);
        assert_eq!(all(&group), []);
    }

    #[test]
    fn an_ended_registration_neither_joins_nor_leads_a_group() {
        let (t, incarnation) = transport();
        let open = group("s");
        let slot = BindingSlot::new(None);
        slot.end_transport(incarnation);
        assert!(!slot.leave(incarnation));
        assert_eq!(slot.join(&t, incarnation, &open), Err(BindError::TransportNotFound));
        assert_eq!(all(&open), []);

        let server = BindingSlot::new(None);
        assert!(server.end_server().is_none());
        assert!(lead(&server, "s").is_none());
        assert!(server.group().is_none());
    }
    #[test]
    fn the_ended_state_takes_no_memory() {
        assert_eq!(size_of::<SlotState>(), size_of::<usize>());
        assert_eq!(size_of::<BindingSlot>(), size_of::<Mutex<Option<Arc<Group>>>>());
    }

    #[test]
    fn ending_twice_ends_the_bindings_once() {
        let (t, incarnation) = transport();
        let server = BindingSlot::new(None);
        lead(&server, "s").unwrap().add(incarnation, t).unwrap();
        assert_eq!(server.end_server().map(|members| members.len()), Some(1));
        assert!(server.end_server().is_none());
        assert_eq!(server.lock().binding(), Binding::Ended);
    }
}
