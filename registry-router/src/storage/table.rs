//! All registrations of one kind, servers or transports: an array of shards, each reporting to the probe.

use std::ops::ControlFlow;
use std::time::Instant;

use registry_core::{
    Backend, Contention, EntryInfo, Event, Incarnation, Key, Kind, NotInserted, Operation, Probe, Select, Shard,
};

use crate::binding::slot::BindingSlot;
use crate::clock::Time;
use crate::storage::record::Record;

/// The shards of one kind of registration.
pub(crate) struct Table<I: Key, Mb: Queue, B: Backend> {
    pub(super) shards: Box<[ShardOf<I, Mb, B>]>,
}

/// Who hears of an operation, and the clock that it is timed by.
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

/// Where an id is: its hash, and the shard that the hash chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location {
    pub(crate) hash: u64,
    pub(crate) shard: usize,
}

type ShardOf<I, Mb, B> = <B as Backend>::Shard<I, Record<Mb>, BindingSlot>;

/// What a table holds the sending end of.
pub(crate) trait Queue: Clone + Send + Sync + 'static {}

impl<Mb: Clone + Send + Sync + 'static> Queue for Mb {}

impl<I: Key, Mb: Queue, B: Backend> Table<I, Mb, B> {
    pub(crate) fn new(backend: &B, shards: usize, capacity: usize) -> Self {
        let per_shard = capacity.div_ceil(shards);
        Self { shards: (0..shards).map(|_| backend.shard(per_shard)).collect() }
    }

    /// A lookup that the probe hears: counted, and timed if the probe wants it. `None` from `read` is a miss too.
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

    /// A lookup that is timed. Apart and written once for all that may be read, so that the others, which are nearly
    /// all, carry nothing of it along.
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

    /// A lookup that nobody hears.
    #[inline]
    pub(crate) fn peek<R>(
        &self,
        location: Location,
        id: &[u8],
        read: impl FnOnce(&I, &Record<Mb>, &BindingSlot) -> R,
    ) -> Option<R> {
        self.shards[location.shard].with(location.hash, id, read)
    }

    /// Inserts an entry if there is none and `complete` agrees, which gives the head what only the winner of the name can
    /// know; what was not inserted comes back. `began` is now, for all that matters.
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

    /// Removes an entry if `owned` says so.
    pub(crate) fn remove_if(
        &self,
        instruments: Instruments<'_, impl Probe>,
        location: Location,
        id: &[u8],
        owned: impl FnMut(&I, &Record<Mb>, &BindingSlot) -> bool,
    ) -> bool {
        let began = instruments.probe.times_writes().then(|| instruments.time.now());
        let removed = self.shards[location.shard].remove_if(location.hash, id, owned);
        if let Some(began) = began {
            instruments.probe.record_latency(location.shard, Operation::Write, began, instruments.time.now());
        }
        removed
    }

    /// How many entries a shard has.
    pub(crate) fn len_of(&self, shard: usize) -> usize {
        self.shards[shard].len()
    }

    /// How many entries a shard has room for.
    pub(crate) fn capacity_of(&self, shard: usize) -> usize {
        self.shards[shard].capacity()
    }

    /// Gives back the room of a shard that its entries do not need.
    pub(crate) fn shrink(&self, shard: usize) {
        self.shards[shard].shrink();
    }

    /// How often operations met in a shard.
    pub(crate) fn contention_of(&self, shard: usize) -> Option<Contention> {
        self.shards[shard].contention()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    /// Visits the entries of one shard.
    pub(crate) fn for_each_of(&self, shard: usize, mut visit: impl FnMut(&I, &Record<Mb>, &BindingSlot)) {
        self.shards[shard].for_each(|id, record, slot| {
            visit(id, record, slot);
            ControlFlow::Continue(())
        });
    }

    /// The entries that `select` takes, of those that are not `dead`.
    ///
    /// Its filter is the user's own code, so it runs between shards and never inside one.
    pub(crate) fn select(&self, select: &Select<'_>, dead: impl Fn(&Record<Mb>) -> bool) -> Vec<EntryInfo<I>> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let room = select.max() - taken.len();
            if room == 0 {
                break;
            }
            let mut seen = Vec::new();
            shard.for_each(|id, record, _| {
                if select.takes_id(id.as_ref()) && !dead(record) {
                    let (incarnation, metadata) = (record.incarnation, record.metadata.clone());
                    seen.push(EntryInfo { id: id.clone(), incarnation, metadata });
                }
                if !select.has_filter() && seen.len() >= room {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            taken.extend(seen.into_iter().filter(|listing| select.takes_metadata(&listing.metadata)).take(room));
        }
        taken
    }

    /// Whether this very registration is there.
    pub(crate) fn holds(&self, location: Location, id: &[u8], incarnation: Incarnation) -> bool {
        self.peek(location, id, |_, record, _| record.incarnation == incarnation).unwrap_or(false)
    }
}
