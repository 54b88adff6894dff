//! A table of all registrations of one kind: an array of shards, with operations that report to the probe.

use std::ops::ControlFlow;
use std::time::Instant;

use registry_core::{
    Backend, Contention, Entry, EntryInfo, Event, Incarnation, Key, Kind, NotInserted, Operation, Probe, Select, Shard,
};

use crate::binding::slot::BindingSlot;
use crate::clock::Time;
use crate::lifecycle::arrivals::Arrivals;
use crate::storage::record::Record;

/// All registrations of one kind: servers or transports.
pub(crate) struct Table<I: Key, Mb: Queue, B: Backend> {
    pub(super) shards: Box<[ShardOf<I, Mb, B>]>,
    pub(crate) arrivals: Arrivals<Entry<I, Mb>>,
}

/// The probe that records operations, and the clock that they are timed with.
#[derive(Debug)]
pub(crate) struct Instruments<'a, P> {
    pub(crate) probe: &'a P,
    pub(crate) time: &'a Time,
}

impl<P> Clone for Instruments<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Instruments<'_, P> {}

/// The hash of an id, and the shard that the hash selects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location {
    pub(crate) hash: u64,
    pub(crate) shard: usize,
}

type ShardOf<I, Mb, B> = <B as Backend>::Shard<I, Record<Mb>, BindingSlot>;

/// A mailbox, as far as a table requires.
pub(crate) trait Queue: Clone + Send + Sync + 'static {}

impl<Mb: Clone + Send + Sync + 'static> Queue for Mb {}

impl<I: Key, Mb: Queue, B: Backend> Table<I, Mb, B> {
    pub(crate) fn new(backend: &B, shards: usize, capacity: usize) -> Self {
        let per_shard = capacity.div_ceil(shards);
        Self { shards: (0..shards).map(|_| backend.shard(per_shard)).collect(), arrivals: Arrivals::new() }
    }

    /// Reads an entry. Counted, and timed if the probe asks for it. Counted as a miss if `read` returns `None`.
    #[inline]
    pub(crate) fn read<R>(
        &self,
        instruments: Instruments<'_, impl Probe>,
        kind: Kind,
        location: Location,
        id: &[u8],
        read: impl FnOnce(&I, &Record<Mb>, &BindingSlot) -> Option<R>,
    ) -> Option<R> {
        let found = if instruments.probe.lookup(location.shard) {
            let (mut read, mut found) = (Some(read), None);
            self.peek_timed(instruments, kind, location, id, &mut |id, record, slot| {
                found = read.take().and_then(|read| read(id, record, slot));
            });
            found
        } else {
            self.peek(location, id, read).flatten()
        };
        if found.is_none() {
            instruments.probe.event(location.shard, Event::Miss);
        }
        found
    }

    /// A timed lookup. Not inlined and not generic over `read`, so that the lookups that are not timed, nearly all of
    /// them, contain none of its code.
    #[cold]
    #[inline(never)]
    fn peek_timed(
        &self,
        instruments: Instruments<'_, impl Probe>,
        kind: Kind,
        location: Location,
        id: &[u8],
        read: &mut dyn FnMut(&I, &Record<Mb>, &BindingSlot),
    ) {
        instruments.probe.on_sample(location.shard, kind, id);
        let began = instruments.time.now();
        self.peek(location, id, read);
        instruments.probe.record_latency(location.shard, Operation::Read, began, instruments.time.now());
    }

    /// Reads an entry. Not recorded by the probe.
    #[inline]
    pub(crate) fn peek<R>(
        &self,
        location: Location,
        id: &[u8],
        read: impl FnOnce(&I, &Record<Mb>, &BindingSlot) -> R,
    ) -> Option<R> {
        self.shards[location.shard].with(location.hash, id, read)
    }

    /// Inserts an entry if the id is free and `complete` returns `Ok`. Returns what was not inserted.
    ///
    /// `complete` is called when the id is known to be free; it sets the incarnation of the record. `began` is the start
    /// time for the latency: the current time, or one read shortly before.
    pub(crate) fn insert_new_with<E>(
        &self,
        instruments: Instruments<'_, impl Probe>,
        began: Instant,
        location: Location,
        id: I,
        (record, slot): (Record<Mb>, BindingSlot),
        complete: impl FnOnce(&mut [Record<Mb>]) -> Result<(), E>,
    ) -> Result<(), NotInserted<Record<Mb>, BindingSlot, E>> {
        let outcome = self.shards[location.shard].insert_new_with(location.hash, id, record, slot, complete);
        if instruments.probe.times_writes() {
            instruments.probe.record_latency(location.shard, Operation::Write, began, instruments.time.now());
        }
        outcome
    }

    /// Removes an entry if `predicate` returns `true`.
    pub(crate) fn remove_if(
        &self,
        instruments: Instruments<'_, impl Probe>,
        location: Location,
        id: &[u8],
        predicate: impl FnMut(&I, &Record<Mb>, &BindingSlot) -> bool,
    ) -> bool {
        let began = instruments.probe.times_writes().then(|| instruments.time.now());
        let removed = self.shards[location.shard].remove_if(location.hash, id, predicate);
        if let Some(began) = began {
            instruments.probe.record_latency(location.shard, Operation::Write, began, instruments.time.now());
        }
        removed
    }

    /// Returns the number of entries in a shard.
    pub(crate) fn len_of(&self, shard: usize) -> usize {
        self.shards[shard].len()
    }

    /// Returns the number of entries that a shard has room for.
    pub(crate) fn capacity_of(&self, shard: usize) -> usize {
        self.shards[shard].capacity()
    }

    /// Frees memory of a shard that its entries do not need.
    pub(crate) fn shrink(&self, shard: usize) {
        self.shards[shard].shrink();
    }

    /// Returns the contention count of a shard, if its backend has one.
    pub(crate) fn contention_of(&self, shard: usize) -> Option<Contention> {
        self.shards[shard].contention()
    }

    /// Returns the number of entries. O(shards).
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    /// Calls `visit` for each entry of a shard.
    pub(crate) fn for_each_of(&self, shard: usize, mut visit: impl FnMut(&I, &Record<Mb>, &BindingSlot)) {
        self.shards[shard].for_each(|id, record, slot| {
            visit(id, record, slot);
            ControlFlow::Continue(())
        });
    }

    /// Returns the entries that match `select` and are not dead.
    ///
    /// The filter of `select` is user code, so it runs between the reads of shards, with none locked.
    pub(crate) fn select(&self, select: &Select<'_>, is_dead: impl Fn(&Record<Mb>) -> bool) -> Vec<EntryInfo<I>> {
        let mut selected = Vec::new();
        for shard in &self.shards {
            let room = select.max() - selected.len();
            if room == 0 {
                break;
            }
            let mut found = Vec::new();
            shard.for_each(|id, record, _| {
                if select.takes_id(id.as_ref()) && !is_dead(record) {
                    let (incarnation, metadata) = (record.incarnation, record.metadata.clone());
                    found.push(EntryInfo { id: id.clone(), incarnation, metadata });
                }
                if !select.has_filter() && found.len() >= room {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            selected.extend(found.into_iter().filter(|info| select.takes_metadata(&info.metadata)).take(room));
        }
        selected
    }

    /// Returns whether the id is registered with this incarnation. Not recorded by the probe.
    pub(crate) fn holds(&self, location: Location, id: &[u8], incarnation: Incarnation) -> bool {
        self.peek(location, id, |_, record, _| record.incarnation == incarnation).unwrap_or(false)
    }
}
