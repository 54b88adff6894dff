//! The state shared by all handles of a registry, and the lookups that every public method is built on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as StdAtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use registry_core::{Admission, Incarnation, Mailbox, ServerId, TransportId};

use crate::binding::counts::BindingCounts;
use crate::binding::slot::BindingSlot;
use crate::builder::Settings;
use crate::clock::Time;
use crate::endpoint::{Endpoint, MailboxOf, RecordOf, TableOf, is_dead};
use crate::lifecycle::admission::SweepThrottle;
use crate::lifecycle::deferred::Deferred;
use crate::lifecycle::ends::Ends;
use crate::lifecycle::rules::Rules;
use crate::lifecycle::sweep::SweepTimes;
use crate::observe::health::HealthState;
use crate::storage::partition::Partition;
use crate::storage::room::Room;
use crate::storage::table::{Instruments, Location, Table};
use crate::sync::AtomicU64;
use crate::types::Types;

/// Identifies one registry within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegistryId(u64);

impl RegistryId {
    fn next() -> Self {
        static NEXT: StdAtomicU64 = StdAtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The state of one registry.
pub(crate) struct Inner<T: Types> {
    pub(crate) id: RegistryId,
    pub(crate) servers: TableOf<ServerId, T>,
    pub(crate) transports: TableOf<TransportId, T>,
    pub(crate) partition: Partition,
    pub(crate) probe: T::Probe,
    pub(crate) time: Time,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) sweep_times: SweepTimes,
    pub(crate) sweep_throttle: SweepThrottle,
    pub(crate) rules: Rules,
    pub(crate) binding_counts: Arc<BindingCounts>,
    pub(crate) health_state: HealthState,
    pub(crate) ends: Ends,
    pub(crate) deferred: Deferred,
    pub(crate) room: Room,
    #[cfg(feature = "metrics")]
    pub(crate) exports: crate::observe::metrics::Exports,
    /// The last incarnation that was assigned.
    ///
    /// On its own cache line: every registration writes it, and every lookup reads the fields around it.
    /// Always `std`'s atomic, even where schedules are explored: it is written while a shard is locked, where the
    /// scheduler must not switch threads.
    incarnations: CachePadded<StdAtomicU64>,
    /// The contention count of each shard at the last reset of the statistics.
    pub(crate) contention_baseline: Box<[AtomicU64]>,
}

impl<T: Types> Inner<T> {
    /// `settings` must be valid.
    pub(super) fn new(
        settings: &Settings,
        backend: &T::Backend,
        admission: Arc<dyn Admission>,
        probe: T::Probe,
        time: Time,
    ) -> Self {
        let start = time.now();
        let limits = &settings.limits;
        Self {
            id: RegistryId::next(),
            servers: Table::new(backend, settings.shards, settings.capacity),
            transports: Table::new(backend, settings.shards, settings.capacity),
            partition: Partition::new(settings.shards, settings.seed),
            probe,
            time,
            admission,
            sweep_times: SweepTimes::new(settings.shards, start),
            sweep_throttle: SweepThrottle::new(start, limits.sweep_every),
            rules: Rules::new(settings),
            binding_counts: Arc::new(BindingCounts::new(
                settings.shards,
                limits.transports_per_server,
                limits.retry_after,
            )),
            health_state: HealthState::new(settings.shards, settings.monitor.alarm.clone(), settings.health.clone()),
            ends: Ends::new(settings.shards),
            deferred: Deferred::default(),
            room: Room::new(settings.shards, settings.capacity.div_ceil(settings.shards)),
            #[cfg(feature = "metrics")]
            exports: crate::observe::metrics::Exports::default(),
            incarnations: CachePadded::new(StdAtomicU64::new(0)),
            contention_baseline: (0..settings.shards).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    #[inline]
    pub(crate) fn location(&self, id: &[u8]) -> Location {
        let hash = self.partition.hash(id);
        self.location_of_hash(hash)
    }

    #[inline]
    pub(crate) fn location_of_hash(&self, hash: u64) -> Location {
        Location { hash, shard: self.partition.shard(hash) }
    }

    #[inline]
    pub(crate) fn instruments(&self) -> Instruments<'_, T::Probe> {
        Instruments { probe: &self.probe, time: &self.time }
    }

    /// Reads a registration that is not dead. Counted in the statistics.
    #[inline]
    pub(crate) fn find<I: Endpoint, R>(
        &self,
        id: &[u8],
        read: impl FnOnce(&I, &RecordOf<I, T>, &BindingSlot) -> R,
    ) -> Option<R> {
        self.find_at(self.location(id), id, read)
    }

    /// Like [`find`](Self::find), for an id whose location is known.
    #[inline]
    pub(crate) fn find_at<I: Endpoint, R>(
        &self,
        location: Location,
        id: &[u8],
        read: impl FnOnce(&I, &RecordOf<I, T>, &BindingSlot) -> R,
    ) -> Option<R> {
        I::table(self).read(self.instruments(), I::KIND, location, id, |id, record, slot| {
            if is_dead::<I, T>(record) { None } else { Some(read(id, record, slot)) }
        })
    }

    /// Reads a registration, dead or not. Counted in the statistics.
    #[inline]
    pub(crate) fn registered<I: Endpoint, R>(
        &self,
        location: Location,
        id: &[u8],
        read: impl FnOnce(&I, &RecordOf<I, T>, &BindingSlot) -> R,
    ) -> Option<R> {
        I::table(self).read(self.instruments(), I::KIND, location, id, |id, record, slot| Some(read(id, record, slot)))
    }

    /// Tells the mailboxes of one kind that their registrations have ended.
    fn end_registrations<I: Endpoint>(&self, shard: usize) {
        let mut mailboxes = Vec::new();
        I::table(self).for_each_of(shard, |_, record, _| mailboxes.push(record.mailbox.token()));
        mailboxes.into_iter().for_each(MailboxOf::<I, T>::registration_ended);
    }

    pub(crate) fn next_incarnation(&self) -> Incarnation {
        Incarnation::from_u64(self.incarnations.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl<T: Types> Drop for Inner<T> {
    fn drop(&mut self) {
        for shard in 0..self.partition.shards() {
            self.end_registrations::<ServerId>(shard);
            self.end_registrations::<TransportId>(shard);
        }
    }
}
