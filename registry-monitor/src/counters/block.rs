//! One block of counters: what one thread, or all that have no seat, counted in each shard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use registry_core::Event;

use super::Totals;
use super::thread_cache::Words;
use crate::sampling::{Present, Sampling};

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
static FREE: Mutex<BTreeMap<usize, Vec<Words>>> = Mutex::new(BTreeMap::new());

/// In words: 128 bytes, because several processors fetch lines in pairs.
const PADDING: usize = 16;

const LEFT_BITS: u32 = 12;
const LEFT: u64 = (1 << LEFT_BITS) - 1;
/// One more lookup, one less to go.
const ONE: u64 = (1 << LEFT_BITS) - 1;

impl Block {
    /// A block where nothing was counted yet.
    pub(super) fn new(shards: usize, sampling: Sampling) -> Self {
        let block = Self { words: take((1 + Event::COUNT) * shards + 1), shards };
        block.count_down_by(sampling);
        block
    }

    /// From now on lookups are counted down by this sampling. Nobody else may count here.
    pub(super) fn adopt(self, sampling: Sampling) {
        if self.sampling().load(Ordering::Relaxed) != sampling.word() {
            self.count_down_by(sampling);
        }
    }

    fn count_down_by(self, sampling: Sampling) {
        for lookups in &self.words[..self.shards] {
            let count = lookups.load(Ordering::Relaxed) >> LEFT_BITS;
            lookups.store(count << LEFT_BITS | left(count, sampling), Ordering::Release);
        }
        self.sampling().store(sampling.word(), Ordering::Relaxed);
    }

    /// The block that has these words.
    #[inline(always)]
    pub(super) fn of(words: Words, shards: usize) -> Self {
        Self { words, shards }
    }

    pub(super) fn words(self) -> Words {
        self.words
    }

    /// Leaves the words to whoever needs as many. Nobody may count here any more.
    pub(super) fn give_back(self) {
        self.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(self.words.len()).or_default().push(self.words);
    }

    /// Counts a lookup where nobody else writes, and says whether it is to be timed.
    #[inline(always)]
    pub(super) fn lookup_alone(self, shard: usize, sampling: &Present) -> bool {
        let lookups = self.lookups(shard);
        let word = lookups.load(Ordering::Relaxed).wrapping_add(ONE);
        lookups.store(word, Ordering::Release);
        word & LEFT == 0 && start_over(lookups, word, sampling.get())
    }

    /// Counts a lookup where others may write too, and says whether it is to be timed.
    pub(super) fn lookup_shared(self, shard: usize, sampling: Sampling) -> bool {
        let count = |word: u64| {
            let word = word.wrapping_add(ONE);
            if word & LEFT == 0 { word | left(word >> LEFT_BITS, sampling) } else { word }
        };
        let lookups = self.lookups(shard);
        let before = lookups.fetch_update(Ordering::Release, Ordering::Relaxed, |word| Some(count(word)));
        let (Ok(before) | Err(before)) = before;
        before & LEFT == 1 && sampling.picks(before >> LEFT_BITS)
    }

    /// Counts an event where nobody else writes.
    #[inline(always)]
    pub(super) fn event_alone(self, shard: usize, event: Event) {
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
            .map(|word| word.load(Ordering::Acquire) >> LEFT_BITS)
            .fold(0, u64::wrapping_add)
    }

    /// Adds what was counted in a shard: lookups last, after the events that follow them.
    pub(super) fn add_to(self, shard: usize, sum: &mut Totals) {
        for (event, sum) in sum.events.iter_mut().enumerate().rev() {
            *sum = sum.wrapping_add(self.events(shard, event).load(Ordering::Acquire));
        }
        let lookups = self.lookups(shard).load(Ordering::Acquire) >> LEFT_BITS;
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
fn take(length: usize) -> Words {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
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
fn start_over(lookups: &AtomicU64, word: u64, sampling: Sampling) -> bool {
    let count = word >> LEFT_BITS;
    lookups.store(word | left(count, sampling), Ordering::Release);
    sampling.picks(count.wrapping_sub(1))
}

/// How many lookups are left, after so many, until one is to be timed, that one included; never zero.
fn left(count: u64, sampling: Sampling) -> u64 {
    LEFT.min(sampling.next(count).wrapping_sub(count).saturating_add(1))
}
