//! Counts that no two threads write: one block of counters per thread, summed by whoever asks.
//!
//! # Why a plain store does not lose increments
//!
//! Each counter has one writer, the thread that owns the block, so adding one is a load and a store: no locked
//! instruction, and no cache line that another core wants to write.
//! A block goes with a [seat](thread_slot), which a thread that ends leaves to a new one, so "the owner" may be several
//! threads, one after the other. That is safe: who takes a seat sees all that those did who had it before.
//! A thread without a seat counts too: one that is ending and has given its own back, or one too many. Such counts go
//! to one shared block, by locked instructions.
//!
//! # Which lookups are timed
//!
//! The same word that counts a thread's lookups in a shard counts down to the next one that is to be timed, in its low
//! bits: see [`Block`]. So a lookup that is not timed pays one load, one addition, one store and one test.
//!
//! How many are timed may change. Then the counters take a new [name](thread_cache::AtomicCacheKey), so each thread looks for its block
//! when it counts next, and sets its own count-downs anew.
//!
//! # What readers see
//!
//! Blocks are never taken away, and a new one is published with `Release` after it was filled with zeros, so a reader
//! walks over them without a lock; one that it misses has its counts in the next sum.
//! Whoever knows that a thread ended, because it joined it, sees all that it counted.
//! Within a block, counts are stored with `Release` and read, with `Acquire`, events before lookups: who sees a miss
//! also sees the lookup that missed. (On x86 both orderings are free.)

use std::sync::{Mutex, OnceLock, PoisonError};

use crossbeam_utils::CachePadded;
use registry_core::Event;

use crate::sampling::{AtomicSampling, Sampling};

use block::Block;
use thread_cache::AtomicCacheKey;
use thread_slot::{MAX_SLOTS, thread_slot};

mod block;
mod thread_cache;
mod thread_slot;

/// What was counted in one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    lookups: u64,
    /// In the order of their declaration.
    events: [u64; Event::COUNT],
}

impl Totals {
    pub(crate) fn lookups(&self) -> u64 {
        self.lookups
    }

    pub(crate) fn events(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    /// What was added since; sums only grow, and `earlier` was one of these.
    fn since(mut self, earlier: &Self) -> Self {
        self.lookups = self.lookups.wrapping_sub(earlier.lookups);
        for (now, then) in self.events.iter_mut().zip(earlier.events) {
            *now = now.wrapping_sub(then);
        }
        self
    }
}

/// The counters of all shards.
#[derive(Debug)]
pub(crate) struct Counters {
    /// A block for each seat where somebody sat down.
    blocks: Box<[OnceLock<Block>]>,
    cache_key: AtomicCacheKey,
    shards: usize,
    sampling: AtomicSampling,
    /// For threads without a seat; see the module documentation.
    shared_block: OnceLock<Block>,
    /// What each shard's sum was at the last reset. Blocks belong to their threads, so a reset writes to none.
    ///
    /// On lines of its own, because lookups read what lies beside it.
    baseline: CachePadded<Mutex<Vec<Totals>>>,
}

impl Counters {
    /// Counters for so many shards, with one lookup in so many timed; see [`Sampling::new`].
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

    /// Counters that count nothing. No thread has a block of theirs, so whether they are off is asked only by those who
    /// look for one.
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

    /// Counts a lookup, and says whether it is to be timed.
    ///
    /// # Panics
    ///
    /// If there is no such shard, in debug builds; elsewhere what is counted is not told.
    // A call, with its registers to save, would cost as much as what it does.
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
    // The slot is a constant wherever this is called, so it should end up there.
    #[inline(always)]
    pub(crate) fn event(&self, shard: usize, event: Event) {
        self.debug_assert_in_range(shard);
        thread_cache::with_newest(self.cache_key.load(), |words| {
            Block::from_words(words, self.shards).event_exclusive(shard, event)
        })
        .unwrap_or_else(|| self.event_uncached(shard, event));
    }

    /// Which lookups are timed at present, on each thread and in each shard.
    pub(crate) fn sampling(&self) -> Sampling {
        self.sampling.load()
    }

    /// From now on those are timed that this sampling picks. Threads without a seat follow when their count-down ends.
    pub(crate) fn set_sampling(&self, sampling: Sampling) {
        if !self.is_off() {
            self.sampling.store(sampling);
            self.cache_key.renew();
        }
    }

    /// How many lookups there were, in all shards, resets or not. O(threads × shards).
    pub(crate) fn all_lookups(&self) -> u64 {
        self.blocks().map(Block::all_lookups).fold(0, u64::wrapping_add)
    }

    /// What was counted in a shard since the last reset.
    ///
    /// Exact once the threads that counted have been joined, or have otherwise happened before.
    pub(crate) fn totals(&self, shard: usize) -> Totals {
        // Summed under the lock: a reset that slipped in after the sum would leave a baseline above it.
        let baseline = self.baseline.lock().unwrap_or_else(PoisonError::into_inner);
        self.sum(shard).since(&baseline[shard])
    }

    /// Starts all counts from zero, and returns what [`totals`](Self::totals) would have said of each shard.
    ///
    /// No count is lost or in both: what a running thread counts meanwhile is in the one or in the other.
    pub(crate) fn reset(&self) -> Vec<Totals> {
        let mut baseline = self.baseline.lock().unwrap_or_else(PoisonError::into_inner);
        let restart = |(shard, then): (usize, &mut Totals)| {
            let sum = self.sum(shard);
            sum.since(&std::mem::replace(then, sum))
        };
        baseline.iter_mut().enumerate().map(restart).collect()
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

    /// The calling thread's block, remembered from now on, or the one for those without a seat.
    fn find_or_create_block(&self) -> Result<Block, Block> {
        #[cfg(test)]
        tests::SEARCHES.set(tests::SEARCHES.get() + 1);
        // The name first: if there is a new one by the end, the block is looked for again.
        let (key, sampling) = (self.cache_key.load(), self.sampling.load());
        let get_or_create = |place: &OnceLock<Block>| *place.get_or_init(|| Block::new(self.shards, sampling));
        match thread_slot() {
            Some(thread_slot) => {
                let block = get_or_create(&self.blocks[thread_slot]);
                block.set_sampling(sampling);
                thread_cache::insert(key, block.words());
                Ok(block)
            }
            None => Err(get_or_create(&self.shared_block)),
        }
    }

    #[inline(always)]
    fn debug_assert_in_range(&self, shard: usize) {
        debug_assert!(shard < self.shards || self.is_off(), "no shard {shard} among {}", self.shards);
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
