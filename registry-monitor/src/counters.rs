//! Counts that no two threads write: one block of counters per thread, summed by whoever asks.
//!
//! # Why a plain store does not lose increments
//!
//! Each counter has one writer, the thread that owns the block, so adding one is a load and a store: no locked
//! instruction, and no cache line that another core wants to write.
//! `thread_local` gives the block of a thread that ended to a new one, so "the owner" may be several threads, one
//! after the other. That is safe: a thread gives its number back under a mutex when it ends, a new one takes it under
//! the same mutex, so all stores of the old owner happened before the first load of the new one.
//! Numbers are given back by a destructor of the ending thread; other destructors may run after it, and count.
//! By then the block may belong to somebody else, and `thread_local` panics when asked for another, which in a
//! destructor ends the process. So those last counts go to one shared block, by locked instructions.
//!
//! # What readers see
//!
//! Blocks are never taken away, and a new one is published with `Release` after it was filled with zeros, so a reader
//! walks over them without a lock; one that it misses has its counts in the next sum.
//! Whoever knows that a thread ended, because it joined it, sees all that it counted.
//! Within a block, events are stored with `Release` and read, with `Acquire`, before look-ups: who sees a miss also
//! sees the look-up that missed. (On x86 both orderings are free.)

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use registry_core::Event;
use thread_local::ThreadLocal;

use crate::apart::Apart;

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
    blocks: ThreadLocal<Block>,
    shards: usize,
    /// For threads that are past counting by themselves; see the module documentation.
    late: OnceLock<Block>,
    /// What each shard's sum was at the last reset. Blocks belong to their threads, so a reset writes to none.
    ///
    /// Apart, because look-ups read what lies beside it.
    baseline: Apart<Mutex<Vec<Totals>>>,
}

impl Counters {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            blocks: ThreadLocal::new(),
            shards,
            late: OnceLock::new(),
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
    #[inline]
    pub(crate) fn lookup(&self, shard: usize) -> u64 {
        self.add(shard, LOOKUPS, Ordering::Relaxed)
    }

    /// Counts an event.
    ///
    /// # Panics
    ///
    /// If there is no such shard.
    #[inline]
    pub(crate) fn event(&self, shard: usize, event: Event) {
        self.add(shard, slot(event), Ordering::Release);
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
    #[inline]
    fn add(&self, shard: usize, slot: usize, order: Ordering) -> u64 {
        debug_assert!(shard < self.shards, "no shard {shard} among {}", self.shards);
        match self.blocks.get() {
            Some(block) => block.add_alone(shard, slot, order),
            None => self.add_first_or_last(shard, slot, order),
        }
    }

    #[cold]
    fn add_first_or_last(&self, shard: usize, slot: usize, order: Ordering) -> u64 {
        if thread_is_leaving() {
            self.late.get_or_init(|| Block::new(self.shards)).add_shared(shard, slot, order)
        } else {
            self.blocks.get_or(|| Block::new(self.shards)).add_alone(shard, slot, order)
        }
    }

    fn sum(&self, shard: usize) -> Totals {
        let mut sum = Totals::default();
        for block in self.blocks.iter().chain(self.late.get()) {
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
    #[inline]
    fn add_alone(&self, shard: usize, slot: usize, order: Ordering) -> u64 {
        let counter = self.counter(shard, slot);
        let before = counter.load(Ordering::Relaxed);
        counter.store(before.wrapping_add(1), order);
        before
    }

    /// Adds one where others may write too.
    fn add_shared(&self, shard: usize, slot: usize, order: Ordering) -> u64 {
        self.counter(shard, slot).fetch_add(1, order)
    }

    /// From the last slot to the first, so look-ups after the events that follow them.
    fn add_to(&self, shard: usize, sum: &mut Totals) {
        for (slot, sum) in sum.0.iter_mut().enumerate().rev() {
            *sum = sum.wrapping_add(self.counter(shard, slot).load(Ordering::Acquire));
        }
    }

    #[inline]
    fn counter(&self, shard: usize, slot: usize) -> &AtomicU64 {
        &self.groups[slot * self.groups_per_slot + shard / GROUP][shard % GROUP]
    }
}

/// Whether this thread is ending, and has already given back the number that blocks are found by.
///
/// Only known of a thread that asked before, which one that counts for the first time does.
fn thread_is_leaving() -> bool {
    /// Each thread that has asked, for as long as it has its number.
    static NUMBERED: ThreadLocal<()> = ThreadLocal::new();
    thread_local! {
        /// Whether this thread has asked. It needs no destructor, so it can be read to the very end.
        static ASKED: Cell<bool> = const { Cell::new(false) };
    }
    if ASKED.replace(true) {
        NUMBERED.get().is_none()
    } else {
        NUMBERED.get_or(|| ());
        false
    }
}

#[cfg(test)]
mod tests;
