//! A block of counters for all shards, written by one thread, or by all threads without a slot.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use registry_core::Event;

use super::Totals;
use super::thread_cache::Words;
use crate::sampling::{AtomicSampling, Sampling};

/// The counters of all shards, in this order: lookups per shard, then for each event its count per shard, then the sampling
/// that the countdowns were set by.
///
/// A lookup counter packs two numbers into one word: the number of lookups, and in the low bits the number of lookups up to
/// and including the next one that is to be timed. So one addition does both. There is room for 2⁵² lookups: four years of
/// one thread in one shard at thirty million a second.
///
/// The counters of one kind are adjacent, so that a thread with lookups in all of 64 shards uses 8 cache lines and not one
/// per shard. Padding at both ends prevents false sharing with neighbouring allocations.
///
/// The words are never freed, because threads [cache](super::thread_cache) them beyond the life of the registry. The next
/// block of the same size reuses them, so there are never more than there were blocks at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    words: Words,
    shards: usize,
}

/// Recycled words, by length.
static FREE_LISTS: Mutex<BTreeMap<usize, Vec<Words>>> = Mutex::new(BTreeMap::new());

/// In words: 128 bytes, because some processors prefetch cache lines in pairs.
const PADDING: usize = 16;

const COUNTDOWN_BITS: u32 = 12;
const COUNTDOWN_MASK: u64 = (1 << COUNTDOWN_BITS) - 1;
/// Adds one to the lookups and subtracts one from the countdown.
const INCREMENT: u64 = (1 << COUNTDOWN_BITS) - 1;

impl Block {
    /// Returns a block without counts.
    pub(super) fn new(shards: usize, sampling: Sampling) -> Self {
        let block = Self { words: allocate((1 + Event::COUNT) * shards + 1), shards };
        block.restart_countdowns(sampling);
        block
    }

    /// Restarts the countdowns if they were set by another sampling. No other thread may count in this block meanwhile.
    pub(super) fn set_sampling(self, sampling: Sampling) {
        if self.sampling().load(Ordering::Relaxed) != sampling.to_bits() {
            self.restart_countdowns(sampling);
        }
    }

    fn restart_countdowns(self, sampling: Sampling) {
        for lookups in &self.words[..self.shards] {
            let count = lookups.load(Ordering::Relaxed) >> COUNTDOWN_BITS;
            lookups.store(count << COUNTDOWN_BITS | countdown(count, sampling), Ordering::Release);
        }
        self.sampling().store(sampling.to_bits(), Ordering::Relaxed);
    }

    /// Returns the block that consists of these words.
    #[inline(always)]
    pub(super) fn from_words(words: Words, shards: usize) -> Self {
        Self { words, shards }
    }

    pub(super) fn words(self) -> Words {
        self.words
    }

    /// Makes the words available to later blocks. No thread may count in this block any more.
    pub(super) fn recycle(self) {
        self.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let mut free = FREE_LISTS.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(self.words.len()).or_default().push(self.words);
    }

    /// Counts a lookup in a block that no other thread writes, and returns whether it is to be timed.
    #[inline(always)]
    pub(super) fn lookup_exclusive(self, shard: usize, sampling: &AtomicSampling) -> bool {
        let lookups = self.lookups(shard);
        let word = lookups.load(Ordering::Relaxed).wrapping_add(INCREMENT);
        lookups.store(word, Ordering::Release);
        word & COUNTDOWN_MASK == 0 && restart_countdown(lookups, word, sampling.load())
    }

    /// Counts a lookup in a block that other threads may write, and returns whether it is to be timed.
    pub(super) fn lookup_shared(self, shard: usize, sampling: Sampling) -> bool {
        let count = |word: u64| {
            let word = word.wrapping_add(INCREMENT);
            if word & COUNTDOWN_MASK == 0 { word | countdown(word >> COUNTDOWN_BITS, sampling) } else { word }
        };
        let lookups = self.lookups(shard);
        let before = lookups.fetch_update(Ordering::Release, Ordering::Relaxed, |word| Some(count(word)));
        let (Ok(before) | Err(before)) = before;
        before & COUNTDOWN_MASK == 1 && sampling.picks(before >> COUNTDOWN_BITS)
    }

    /// Counts an event in a block that no other thread writes.
    #[inline(always)]
    pub(super) fn event_exclusive(self, shard: usize, event: Event) {
        let events = self.events(shard, event as usize);
        events.store(events.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// Counts an event in a block that other threads may write.
    pub(super) fn event_shared(self, shard: usize, event: Event) {
        self.events(shard, event as usize).fetch_add(1, Ordering::Release);
    }

    /// Returns the number of lookups in all shards.
    pub(super) fn all_lookups(self) -> u64 {
        self.words[..self.shards]
            .iter()
            .map(|word| word.load(Ordering::Acquire) >> COUNTDOWN_BITS)
            .fold(0, u64::wrapping_add)
    }

    /// Adds the counts of a shard to `sum`. Lookups are read last, after the events that they happen before.
    pub(super) fn add_to(self, shard: usize, sum: &mut Totals) {
        for (event, sum) in sum.events.iter_mut().enumerate().rev() {
            *sum = sum.wrapping_add(self.events(shard, event).load(Ordering::Acquire));
        }
        let lookups = self.lookups(shard).load(Ordering::Acquire) >> COUNTDOWN_BITS;
        sum.lookups = sum.lookups.wrapping_add(lookups);
    }

    fn sampling(self) -> &'static AtomicU64 {
        &self.words[(1 + Event::COUNT) * self.shards]
    }

    #[inline(always)]
    fn lookups(self, shard: usize) -> &'static AtomicU64 {
        &self.words[shard]
    }

    #[inline(always)]
    fn events(self, shard: usize, event: usize) -> &'static AtomicU64 {
        &self.words[(1 + event) * self.shards + shard]
    }
}

/// Returns `length` words, all zero, with padding before and after them.
fn allocate(length: usize) -> Words {
    let mut free = FREE_LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    match free.get_mut(&length).and_then(Vec::pop) {
        Some(words) => words,
        None => {
            let padded = std::iter::repeat_with(AtomicU64::default).take(PADDING + length + PADDING);
            &Box::leak(padded.collect::<Box<[_]>>())[PADDING..][..length]
        }
    }
}

/// Restarts a countdown that has reached zero, and returns whether the lookup just counted is to be timed.
///
/// A countdown that exceeds its bits is split into several.
#[cold]
fn restart_countdown(lookups: &AtomicU64, word: u64, sampling: Sampling) -> bool {
    let count = word >> COUNTDOWN_BITS;
    lookups.store(word | countdown(count, sampling), Ordering::Release);
    sampling.picks(count.wrapping_sub(1))
}

/// Returns the number of lookups after the first `count` up to and including the next one that is to be timed; never zero.
fn countdown(count: u64, sampling: Sampling) -> u64 {
    COUNTDOWN_MASK.min(sampling.next_pick(count).wrapping_sub(count).saturating_add(1))
}
