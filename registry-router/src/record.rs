//! What a shard holds for one registration, of a server or of a transport.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_core::{BindError, EntryRef, Incarnation, Metadata, ServerId, TransportId};

use crate::group::Group;

/// One registration.
///
/// The lock guards the record's side of a binding and the mark that the registration has ended.
/// Order of locks: shard, then record, then group; nothing here calls a shard.
#[derive(Debug)]
pub(crate) struct Record<B> {
    /// The incarnation, and in the top bit whether the registration has ended. Written under `group`'s lock.
    stamp: AtomicU64,
    mailbox: B,
    metadata: Metadata,
    /// For a server the group that it leads, made when the first transport is bound to it.
    /// For a transport the group that it is in; if that group is closed, it is in none.
    group: Mutex<Option<Arc<Group>>>,
}

const ENDED: u64 = 1 << 63;

/// What binding a transport did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The transport was in this group already.
    Already,
    /// It is now.
    Now,
}

impl<B> Record<B> {
    pub(crate) fn new(incarnation: Incarnation, mailbox: B, metadata: Metadata, group: Option<Arc<Group>>) -> Self {
        Self { stamp: AtomicU64::new(incarnation.as_u64()), mailbox, metadata, group: Mutex::new(group) }
    }

    #[inline]
    pub(crate) fn incarnation(&self) -> Incarnation {
        Incarnation::from_u64(self.stamp.load(Ordering::Relaxed) & !ENDED)
    }

    #[inline]
    pub(crate) fn mailbox(&self) -> &B {
        &self.mailbox
    }

    #[inline]
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    #[inline]
    pub(crate) fn entry<'a, I>(&'a self, id: &'a I) -> EntryRef<'a, I, B> {
        EntryRef { id, incarnation: self.incarnation(), mailbox: &self.mailbox, metadata: &self.metadata }
    }

    /// Mailbox and metadata of a record that no shard took.
    pub(crate) fn into_parts(self) -> (B, Metadata) {
        (self.mailbox, self.metadata)
    }

    /// A server's group, made if this is its first transport; `None` once the registration has ended.
    pub(crate) fn lead(&self, server: &ServerId) -> Option<Arc<Group>> {
        let mut group = self.lock();
        if self.has_ended() {
            return None;
        }
        Some(Arc::clone(group.get_or_insert_with(|| Arc::new(Group::new(server.clone())))))
    }

    /// The group of a server that has one, or that a transport is in.
    pub(crate) fn group(&self) -> Option<Arc<Group>> {
        self.lock().as_ref().filter(|group| group.is_open()).cloned()
    }

    /// Puts a transport into a group, out of the one that it may be in.
    pub(crate) fn join(&self, transport: &TransportId, group: &Arc<Group>) -> Result<Joined, BindError> {
        let mut current = self.lock();
        if self.has_ended() {
            return Err(BindError::TransportNotFound);
        }
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, group)) && group.is_open() {
            return Ok(Joined::Already);
        }
        if !group.add(self.incarnation(), transport.clone()) {
            return Err(BindError::ServerNotFound);
        }
        if let Some(left) = current.replace(Arc::clone(group)) {
            left.remove(self.incarnation());
        }
        Ok(Joined::Now)
    }

    /// Takes a transport out of its group, and says whether it was in one.
    pub(crate) fn part(&self) -> bool {
        let mut group = self.lock();
        group.take().is_some_and(|group| group.remove(self.incarnation()))
    }

    /// Whether a transport is in this very group, and the group is open.
    pub(crate) fn is_in(&self, group: &Arc<Group>) -> bool {
        let current = self.lock();
        group.is_open() && current.as_ref().is_some_and(|current| Arc::ptr_eq(current, group))
    }

    /// Marks a server's registration as ended and undoes its bindings, all at one instant. Ending twice changes nothing.
    pub(crate) fn end_server(&self) {
        if let Some(group) = self.end() {
            group.close();
        }
    }

    /// Marks a transport's registration as ended and undoes its binding. Ending twice changes nothing.
    pub(crate) fn end_transport(&self) {
        if let Some(group) = self.end() {
            group.remove(self.incarnation());
        }
    }

    /// From here on nothing binds to this record.
    fn end(&self) -> Option<Arc<Group>> {
        let mut group = self.lock();
        self.stamp.fetch_or(ENDED, Ordering::Relaxed);
        group.take()
    }

    fn has_ended(&self) -> bool {
        self.stamp.load(Ordering::Relaxed) & ENDED != 0
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Group>>> {
        // Nothing in here calls code that can panic half-way, so a poisoned record is whole.
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
