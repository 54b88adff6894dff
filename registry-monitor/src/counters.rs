//! Counts that no two threads write: one block of counters per thread, summed by whoever asks.
//!
//! # Why a plain store does not lose increments
//!
//! Each counter has one writer, the thread that owns the block, so adding one is a load and a store: no locked
//! instruction, and no cache line that another core wants to write.
//! A block goes with a [seat](crate::seat), which a thread that ends leaves to a new one, so "the owner" may be several
//! threads, one after the other. That is safe: who takes a seat sees all that those did who had it before.
//! A thread without a seat counts too: one that is ending and has given its own back, or one too many. Such counts go
//! to one shared block, by locked instructions.
//!
//! # What readers see
//!
//! Blocks are never taken away, and a new one is published with `Release` after it was filled with zeros, so a reader
//! walks over them without a lock; one that it misses has its counts in the next sum.
//! Whoever knows that a thread ended, because it joined it, sees all that it counted.
//! Within a block, counts are stored with `Release` and read, with `Acquire`, events before look-ups: who sees a miss
//! also sees the look-up that missed. (On x86 both orderings are free.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use registry_core::Event;

use crate::apart::Apart;
use crate::seat::{SEATS, seat};

/// What was counted in one shard: look-ups first, then events in the order of their declaration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals([u64; SLOTS]);

const LOOKUPS: usize = 0;
const SLOTS: usize = 1 + Event::COUNT;

const fn slot(event: Event) -> usize {
    1 + event as usize
}

impl Totals {
    pub(crate) fn lookups(&self) -> u64 {
        self.0[LOOKUPS]
    }

    pub(crate) fn events(&self, event: Event) -> u64 {
        self.0[slot(event)]
    }

    /// What was added since; sums only grow, and `earlier` was one of these.
    fn since(mut self, earlier: &Self) -> Self {
        for (now, then) in self.0.iter_mut().zip(earlier.0) {
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
    shards: usize,
    /// For threads without a seat; see the module documentation.
    standing: OnceLock<Block>,
    /// What each shard's sum was at the last reset. Blocks belong to their threads, so a reset writes to none.
    ///
    /// Apart, because look-ups read what lies beside it.
    baseline: Apart<Mutex<Vec<Totals>>>,
}

impl Counters {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            blocks: std::iter::repeat_with(OnceLock::new).take(SEATS).collect(),
            shards,
            standing: OnceLock::new(),
            baseline: Apart(Mutex::new(vec![Totals::default(); shards])),
        }
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards
    }

    /// Counts a look-up, and returns how many the thread (and those whose block it took over) counted before.
    ///
    /// # Panics
    ///
    /// If there is no such shard.
    #[inline(always)]
    pub(crate) fn lookup(&self, shard: usize) -> u64 {
        self.add(shard, LOOKUPS)
    }

    /// Counts an event.
    ///
    /// # Panics
    ///
    /// If there is no such shard.
    #[inline(always)]
    pub(crate) fn event(&self, shard: usize, event: Event) {
        self.add(shard, slot(event));
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

    /// Adds one and returns what was there.
    // The slot is a constant wherever this is called, so it should end up there.
    #[inline(always)]
    fn add(&self, shard: usize, slot: usize) -> u64 {
        debug_assert!(shard < self.shards, "no shard {shard} among {}", self.shards);
        let Some(seat) = seat() else { return self.add_standing(shard, slot) };
        match self.blocks[seat].get() {
            Some(block) => block.add_alone(shard, slot),
            None => self.add_first(seat, shard, slot),
        }
    }

    #[cold]
    fn add_first(&self, seat: usize, shard: usize, slot: usize) -> u64 {
        self.blocks[seat].get_or_init(|| Block::new(self.shards)).add_alone(shard, slot)
    }

    #[cold]
    fn add_standing(&self, shard: usize, slot: usize) -> u64 {
        self.standing.get_or_init(|| Block::new(self.shards)).add_shared(shard, slot)
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().chain([&self.standing]).filter_map(OnceLock::get)
    }

    fn sum(&self, shard: usize) -> Totals {
        let mut sum = Totals::default();
        for block in self.blocks() {
            block.add_to(shard, &mut sum);
        }
        sum
    }
}

/// One counter per slot and shard: all shards of a slot side by side, in groups that share no cache line with another
/// block.
///
/// A thread that looks things up all over a registry of 64 shards so keeps 8 lines warm, and not one for each shard.
#[derive(Debug)]
struct Block {
    groups: Box<[Apart<[AtomicU64; GROUP]>]>,
    /// How many groups hold the shards of one slot.
    groups_per_slot: usize,
}

/// As many counters as keep apart what is apart.
const GROUP: usize = 16;

impl Block {
    fn new(shards: usize) -> Self {
        let groups_per_slot = shards.div_ceil(GROUP);
        let groups = std::iter::repeat_with(Apart::default).take(SLOTS * groups_per_slot).collect();
        Self { groups, groups_per_slot }
    }

    /// Adds one where nobody else writes.
    #[inline(always)]
    fn add_alone(&self, shard: usize, slot: usize) -> u64 {
        let counter = self.counter(shard, slot);
        let before = counter.load(Ordering::Relaxed);
        counter.store(before.wrapping_add(1), Ordering::Release);
        before
    }

    /// Adds one where others may write too.
    fn add_shared(&self, shard: usize, slot: usize) -> u64 {
        self.counter(shard, slot).fetch_add(1, Ordering::Release)
    }

    /// From the last slot to the first, so look-ups after the events that follow them.
    fn add_to(&self, shard: usize, sum: &mut Totals) {
        for (slot, sum) in sum.0.iter_mut().enumerate().rev() {
            *sum = sum.wrapping_add(self.counter(shard, slot).load(Ordering::Acquire));
        }
    }

    #[inline(always)]
    fn counter(&self, shard: usize, slot: usize) -> &AtomicU64 {
        &self.groups[slot * self.groups_per_slot + shard / GROUP][shard % GROUP]
    }
}

#[cfg(test)]
mod tests;
