//! One block of counters: what one thread, or all that have no seat, counted in each shard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use registry_core::Event;

use super::Totals;
use super::thread_cache::Words;
use crate::sampling::{AtomicSampling, Sampling};

/// A counter of lookups per shard, then for each event one per shard, then the sampling that lookups are counted down by.
///
/// A counter of lookups is two numbers in one word: how many there were, and in the low bits how many are left until
/// one is to be timed, that one included. So counting and asking are one addition. There is room for 2⁵² lookups, four
/// years of one thread in one shard at thirty million a second.
///
/// All shards of a kind lie side by side, so that a thread that looks things up all over a registry of 64 shards keeps
/// 8 lines warm, and not one for each shard. Padding at both ends keeps the block from sharing a line with what others
/// write.
///
/// The words are never freed, for a thread [remembers](crate::counters::thread_cache) them beyond the registry that they count for. The
/// next block of the same size uses them again, so there are never more of them than there were blocks at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    words: Words,
    shards: usize,
}

/// Words that no block uses, by their number.
static FREE_LISTS: Mutex<BTreeMap<usize, Vec<Words>>> = Mutex::new(BTreeMap::new());

/// In words: 128 bytes, because several processors fetch lines in pairs.
const PADDING: usize = 16;

const COUNTDOWN_BITS: u32 = 12;
const COUNTDOWN_MASK: u64 = (1 << COUNTDOWN_BITS) - 1;
/// One more lookup, one less to go.
const INCREMENT: u64 = (1 << COUNTDOWN_BITS) - 1;

impl Block {
    /// A block where nothing was counted yet.
    pub(super) fn new(shards: usize, sampling: Sampling) -> Self {
        let block = Self { words: allocate((1 + Event::COUNT) * shards + 1), shards };
        block.restart_countdowns(sampling);
        block
    }

    /// From now on lookups are counted down by this sampling. Nobody else may count here.
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

    /// The block that has these words.
    #[inline(always)]
    pub(super) fn from_words(words: Words, shards: usize) -> Self {
        Self { words, shards }
    }

    pub(super) fn words(self) -> Words {
        self.words
    }

    /// Leaves the words to whoever needs as many. Nobody may count here any more.
    pub(super) fn recycle(self) {
        self.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let mut free = FREE_LISTS.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(self.words.len()).or_default().push(self.words);
    }

    /// Counts a lookup where nobody else writes, and says whether it is to be timed.
    #[inline(always)]
    pub(super) fn lookup_exclusive(self, shard: usize, sampling: &AtomicSampling) -> bool {
        let lookups = self.lookups(shard);
        let word = lookups.load(Ordering::Relaxed).wrapping_add(INCREMENT);
        lookups.store(word, Ordering::Release);
        word & COUNTDOWN_MASK == 0 && restart_countdown(lookups, word, sampling.load())
    }

    /// Counts a lookup where others may write too, and says whether it is to be timed.
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

    /// Counts an event where nobody else writes.
    #[inline(always)]
    pub(super) fn event_exclusive(self, shard: usize, event: Event) {
        let events = self.events(shard, event as usize);
        events.store(events.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// Counts an event where others may write too.
    pub(super) fn event_shared(self, shard: usize, event: Event) {
        self.events(shard, event as usize).fetch_add(1, Ordering::Release);
    }

    /// How many lookups were counted in all shards.
    pub(super) fn all_lookups(self) -> u64 {
        self.words[..self.shards]
            .iter()
            .map(|word| word.load(Ordering::Acquire) >> COUNTDOWN_BITS)
            .fold(0, u64::wrapping_add)
    }

    /// Adds what was counted in a shard: lookups last, after the events that follow them.
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

/// So many words, all zero, with padding before and behind.
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

/// Sets the count-down that has come to zero anew, and says whether the lookup that was just counted is to be timed.
///
/// A count-down that is longer than there is room for is done in several.
#[cold]
fn restart_countdown(lookups: &AtomicU64, word: u64, sampling: Sampling) -> bool {
    let count = word >> COUNTDOWN_BITS;
    lookups.store(word | countdown(count, sampling), Ordering::Release);
    sampling.picks(count.wrapping_sub(1))
}

/// How many lookups are left, after so many, until one is to be timed, that one included; never zero.
fn countdown(count: u64, sampling: Sampling) -> u64 {
    COUNTDOWN_MASK.min(sampling.next_pick(count).wrapping_sub(count).saturating_add(1))
}
