//! All registrations of one kind, servers or transports: an array of shards, each reporting to the probe.

mod many;

use std::ops::ControlFlow;
use std::time::Instant;

use registry_core::{
    Backend, Contention, Event, Incarnation, Key, Kind, Listing, NotInserted, Operation, Probe, Select, Shard,
};

use crate::clock::Time;
use crate::record::{Bond, Head};

pub(crate) use many::{Asked, Some16};

/// The shards of one kind of registration.
pub(crate) struct Table<I: Key, Mb: Queue, B: Backend> {
    shards: Box<[ShardOf<I, Mb, B>]>,
}

/// Who hears of an operation, and the clock that it is timed by.
#[derive(Debug)]
pub(crate) struct Ear<'a, P> {
    pub(crate) probe: &'a P,
    pub(crate) time: &'a Time,
}

impl<P> Clone for Ear<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Ear<'_, P> {}

/// Where an id is: its hash, and the shard that the hash chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) hash: u64,
    pub(crate) shard: usize,
}

type ShardOf<I, Mb, B> = <B as Backend>::Shard<I, Head<Mb>, Bond>;

/// What a table holds the sending end of.
pub(crate) trait Queue: Clone + Send + Sync + 'static {}

impl<Mb: Clone + Send + Sync + 'static> Queue for Mb {}

impl<I: Key, Mb: Queue, B: Backend> Table<I, Mb, B> {
    pub(crate) fn new(backend: &B, shards: usize, capacity: usize) -> Self {
        let per_shard = capacity.div_ceil(shards);
        Self { shards: (0..shards).map(|_| backend.shard(per_shard)).collect() }
    }

    /// A look-up that the probe hears: counted, and timed if the probe wants it. `None` from `read` is a miss too.
    #[inline]
    pub(crate) fn read<R>(
        &self,
        ear: Ear<'_, impl Probe>,
        kind: Kind,
        place: Place,
        id: &[u8],
        read: impl FnOnce(&I, &Head<Mb>, &Bond) -> Option<R>,
    ) -> Option<R> {
        let found = if ear.probe.lookup(place.shard) {
            let (mut read, mut found) = (Some(read), None);
            self.peek_timed(ear, kind, place, id, &mut |id, head, bond| {
                found = read.take().and_then(|read| read(id, head, bond));
            });
            found
        } else {
            self.peek(place, id, read).flatten()
        };
        if found.is_none() {
            ear.probe.event(place.shard, Event::Miss);
        }
        found
    }

    /// A look-up that is timed. Apart and written once for all that may be read, so that the others, which are nearly
    /// all, carry nothing of it along.
    #[cold]
    #[inline(never)]
    fn peek_timed(
        &self,
        ear: Ear<'_, impl Probe>,
        kind: Kind,
        place: Place,
        id: &[u8],
        read: &mut dyn FnMut(&I, &Head<Mb>, &Bond),
    ) {
        ear.probe.sampled(place.shard, kind, id);
        let began = ear.time.now();
        self.peek(place, id, read);
        ear.probe.took(place.shard, Operation::Read, began, ear.time.now());
    }

    /// A look-up that nobody hears.
    #[inline]
    pub(crate) fn peek<R>(&self, place: Place, id: &[u8], read: impl FnOnce(&I, &Head<Mb>, &Bond) -> R) -> Option<R> {
        self.shards[place.shard].with(place.hash, id, read)
    }

    /// Inserts an entry if there is none and `complete` agrees, which gives the head what only the winner of the name can
    /// know; what was not inserted comes back. `began` is now, for all that matters.
    pub(crate) fn insert_new_with<E>(
        &self,
        ear: Ear<'_, impl Probe>,
        began: Instant,
        place: Place,
        id: I,
        (head, bond): (Head<Mb>, Bond),
        complete: impl FnOnce(&mut [Head<Mb>]) -> Result<(), E>,
    ) -> Result<(), NotInserted<Head<Mb>, Bond, E>> {
        let outcome = self.shards[place.shard].insert_new_with(place.hash, id, head, bond, complete);
        if ear.probe.times_writes() {
            ear.probe.took(place.shard, Operation::Write, began, ear.time.now());
        }
        outcome
    }

    /// Removes an entry if `owned` says so.
    pub(crate) fn remove_if(
        &self,
        ear: Ear<'_, impl Probe>,
        place: Place,
        id: &[u8],
        owned: impl FnMut(&I, &Head<Mb>, &Bond) -> bool,
    ) -> bool {
        let began = ear.probe.times_writes().then(|| ear.time.now());
        let removed = self.shards[place.shard].remove_if(place.hash, id, owned);
        if let Some(began) = began {
            ear.probe.took(place.shard, Operation::Write, began, ear.time.now());
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
    pub(crate) fn for_each_of(&self, shard: usize, mut visit: impl FnMut(&I, &Head<Mb>, &Bond)) {
        self.shards[shard].for_each(|id, head, bond| {
            visit(id, head, bond);
            ControlFlow::Continue(())
        });
    }

    /// The entries that `select` takes, of those that are not `dead`.
    ///
    /// Its filter is the user's own code, so it runs between shards and never inside one.
    pub(crate) fn select(&self, select: &Select<'_>, dead: impl Fn(&Head<Mb>) -> bool) -> Vec<Listing<I>> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let room = select.max() - taken.len();
            if room == 0 {
                break;
            }
            let mut seen = Vec::new();
            shard.for_each(|id, head, _| {
                if select.takes_id(id.as_ref()) && !dead(head) {
                    let (incarnation, metadata) = (head.incarnation, head.metadata.clone());
                    seen.push(Listing { id: id.clone(), incarnation, metadata });
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
    pub(crate) fn holds(&self, place: Place, id: &[u8], incarnation: Incarnation) -> bool {
        self.peek(place, id, |_, head, _| head.incarnation == incarnation).unwrap_or(false)
    }
}
