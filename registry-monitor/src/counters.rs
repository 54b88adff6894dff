//! Counters without contention: one block of counters per thread, summed by readers.
//!
//! # Why a plain store loses no increment
//!
//! Each counter has a single writer, the thread that owns the block, so an increment is a load and a store: no locked
//! instruction, and no cache line that another core writes.
//! A block belongs to a [thread slot](mod@thread_slot), which passes from a thread that exits to a later one, so the owners of
//! a block may be several threads in sequence. That is safe: a thread that acquires a slot synchronizes with the thread
//! that released it.
//! Threads without a slot are those that are exiting and have released theirs, and those that found none free. They count
//! in one shared block, with locked instructions.
//!
//! # Which lookups are timed
//!
//! The word that counts a thread's lookups in a shard also holds, in its low bits, a countdown to the next lookup that is
//! to be timed: see [`Block`]. So a lookup that is not timed costs one load, one addition, one store and one test.
//!
//! A change of the sampling rate renews the [cache key](thread_cache::AtomicCacheKey) of the counters. Each thread then
//! misses its cache when it counts next, finds its block again, and restarts its own countdowns.
//!
//! # Memory ordering
//!
//! Blocks are never removed, and a new one is zeroed before it is published with `Release`, so a reader iterates over them
//! without a lock. The counts of a block that it does not see yet are part of the next sum.
//! A reader sees all counts of a thread that it has joined.
//! Within a block, counts are stored with `Release`, and read with `Acquire`, events before lookups: a reader that sees a
//! miss also sees its lookup. (On x86 both orderings are free.)

use std::sync::{Mutex, OnceLock, PoisonError};

use crossbeam_utils::CachePadded;
use registry_core::Event;

use crate::sampling::{AtomicSampling, Sampling};

use block::Block;
use thread_cache::AtomicCacheKey;
use thread_slot::{MAX_SLOTS, thread_slot};
use totals::Totals;

mod block;
mod thread_cache;
mod thread_slot;
mod totals;

/// The counters of all shards of one registry.
#[derive(Debug)]
pub(crate) struct Counters {
    /// One block for each thread slot that has been used.
    blocks: Box<[OnceLock<Block>]>,
    cache_key: AtomicCacheKey,
    shards: usize,
    sampling: AtomicSampling,
    /// For threads without a slot; see the module documentation.
    shared_block: OnceLock<Block>,
    /// The sums of each shard at the last reset. A reset writes to no block, because blocks belong to their threads.
    ///
    /// On cache lines of its own, because lookups read the neighbouring fields.
    baseline: CachePadded<Mutex<Vec<Totals>>>,
}

impl Counters {
    /// Creates counters for `shards` shards, with one lookup in `sample_every` timed; see [`Sampling::new`].
    pub(crate) fn new(shards: usize, sample_every: u32) -> Self {
        Self {
            blocks: std::iter::repeat_with(OnceLock::new).take(MAX_SLOTS).collect(),
            cache_key: AtomicCacheKey::new(),
            shards,
            sampling: AtomicSampling::new(Sampling::new(sample_every)),
            shared_block: OnceLock::new(),
            baseline: CachePadded::new(Mutex::new(vec![Totals::default(); shards])),
        }
    }

    /// Creates counters that count nothing.
    ///
    /// No thread caches a block under their key, so only the path of a cache miss checks whether they are off.
    pub(crate) fn off() -> Self {
        Self {
            blocks: Box::default(),
            cache_key: AtomicCacheKey::unused(),
            shards: 0,
            sampling: AtomicSampling::new(Sampling::new(1)),
            shared_block: OnceLock::new(),
            baseline: CachePadded::default(),
        }
    }

    fn is_off(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards
    }

    /// Counts a lookup, and returns whether it is to be timed.
    ///
    /// # Panics
    ///
    /// In debug builds, if the shard is out of range; in other builds it is unspecified which counter is incremented.
    // A call that saves registers would cost as much as the body.
    #[inline(always)]
    pub(crate) fn lookup(&self, shard: usize) -> bool {
        self.debug_assert_in_range(shard);
        thread_cache::with_newest(self.cache_key.load(), |words| {
            Block::from_words(words, self.shards).lookup_exclusive(shard, &self.sampling)
        })
        .unwrap_or_else(|| self.lookup_uncached(shard))
    }

    /// Counts an event.
    ///
    /// # Panics
    ///
    /// As [`lookup`](Self::lookup).
    // The event is a constant at every call, so that the index of its counter is one too if this is inlined.
    #[inline(always)]
    pub(crate) fn event(&self, shard: usize, event: Event) {
        self.debug_assert_in_range(shard);
        thread_cache::with_newest(self.cache_key.load(), |words| {
            Block::from_words(words, self.shards).event_exclusive(shard, event)
        })
        .unwrap_or_else(|| self.event_uncached(shard, event));
    }

    /// Returns the present sampling, which applies on each thread and in each shard.
    pub(crate) fn sampling(&self) -> Sampling {
        self.sampling.load()
    }

    /// Changes the sampling. Threads without a slot adopt it at the end of their current countdowns.
    pub(crate) fn set_sampling(&self, sampling: Sampling) {
        if !self.is_off() {
            self.sampling.store(sampling);
            self.cache_key.renew();
        }
    }

    /// Returns the number of lookups in all shards since the start, regardless of resets. O(threads × shards).
    pub(crate) fn all_lookups(&self) -> u64 {
        self.blocks().map(Block::all_lookups).fold(0, u64::wrapping_add)
    }

    /// Returns the counts of a shard since the last reset.
    ///
    /// Exact if all counting threads happen before this call, for example because they were joined.
    pub(crate) fn totals(&self, shard: usize) -> Totals {
        // Summed under the lock: a reset between the sum and the lock would leave a baseline above the sum.
        let baseline = self.baseline.lock().unwrap_or_else(PoisonError::into_inner);
        self.sum(shard).since(&baseline[shard])
    }

    /// Resets all counts to zero, and returns what [`totals`](Self::totals) would have returned for each shard.
    ///
    /// No count is lost or duplicated: one that a thread adds during the reset belongs to the returned counts or to later
    /// ones.
    pub(crate) fn reset(&self) -> Vec<Totals> {
        let mut baseline = self.baseline.lock().unwrap_or_else(PoisonError::into_inner);
        let reset_shard = |(shard, baseline): (usize, &mut Totals)| {
            let sum = self.sum(shard);
            sum.since(&std::mem::replace(baseline, sum))
        };
        baseline.iter_mut().enumerate().map(reset_shard).collect()
    }

    #[cold]
    fn lookup_uncached(&self, shard: usize) -> bool {
        if let Some(words) = thread_cache::find_older(self.cache_key.load()) {
            return Block::from_words(words, self.shards).lookup_exclusive(shard, &self.sampling);
        }
        if self.is_off() {
            return false;
        }
        match self.find_or_create_block() {
            Ok(block) => block.lookup_exclusive(shard, &self.sampling),
            Err(shared_block) => shared_block.lookup_shared(shard, self.sampling.load()),
        }
    }

    #[cold]
    fn event_uncached(&self, shard: usize, event: Event) {
        if let Some(words) = thread_cache::find_older(self.cache_key.load()) {
            return Block::from_words(words, self.shards).event_exclusive(shard, event);
        }
        if self.is_off() {
            return;
        }
        match self.find_or_create_block() {
            Ok(block) => block.event_exclusive(shard, event),
            Err(shared_block) => shared_block.event_shared(shard, event),
        }
    }

    /// Returns the block of the calling thread and caches it, or the shared block as an error if the thread has no slot.
    fn find_or_create_block(&self) -> Result<Block, Block> {
        #[cfg(test)]
        tests::CACHE_MISSES.set(tests::CACHE_MISSES.get() + 1);
        // The key is read first: if it changes before the end, the next call misses the cache again.
        let (key, sampling) = (self.cache_key.load(), self.sampling.load());
        let get_or_create = |block: &OnceLock<Block>| *block.get_or_init(|| Block::new(self.shards, sampling));
        match thread_slot() {
            Some(slot) => {
                let block = get_or_create(&self.blocks[slot]);
                block.set_sampling(sampling);
                thread_cache::insert(key, block.words());
                Ok(block)
            }
            None => Err(get_or_create(&self.shared_block)),
        }
    }

    #[inline(always)]
    fn debug_assert_in_range(&self, shard: usize) {
        debug_assert!(shard < self.shards || self.is_off(), "shard {shard} is out of range of {} shards", self.shards);
    }

    fn blocks(&self) -> impl Iterator<Item = Block> {
        self.blocks.iter().chain([&self.shared_block]).filter_map(OnceLock::get).copied()
    }

    fn sum(&self, shard: usize) -> Totals {
        let mut sum = Totals::default();
        for block in self.blocks() {
            block.add_to(shard, &mut sum);
        }
        sum
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        self.blocks().for_each(Block::recycle);
    }
}

#[cfg(test)]
mod tests;
