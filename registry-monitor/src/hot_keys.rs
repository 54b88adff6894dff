//! The ids with the most sampled lookups: a Space-Saving sketch for each half of the rolling window.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use crossbeam_utils::CachePadded;
use registry_core::{HotId, Kind};

use space_saving::{CountBounds, SpaceSaving};

mod space_saving;

/// Counts the sampled lookups of all shards by id.
///
/// A lookup never waits for the lock: a sample is dropped while another thread holds it.
#[derive(Debug, Default)]
pub(crate) struct HotKeys {
    /// A copy of the number of the newest slice that is read without the lock.
    slice: AtomicU64,
    /// The slice of the last sampled lookup that has ended. Older than the newest one while instants are late.
    present: AtomicU64,
    sketches: CachePadded<Mutex<Sketches>>,
}

#[derive(Debug, Default)]
struct Sketches {
    slice: u64,
    current: SpaceSaving,
    /// The sketch of slice `slice` − 1.
    previous: SpaceSaving,
}

impl HotKeys {
    /// Creates empty sketches whose newest slice is `slice`.
    pub(crate) fn new(slice: u64) -> Self {
        let sketches = Sketches { slice, ..Sketches::default() };
        Self { slice: slice.into(), present: slice.into(), sketches: CachePadded::new(Mutex::new(sketches)) }
    }

    /// Counts a lookup in the present slice, unless that has left the window.
    pub(crate) fn record(&self, kind: Kind, shard: usize, id: &[u8]) {
        let present = self.present.load(Ordering::Relaxed);
        self.try_with(|sketches| match sketches.slice.saturating_sub(present) {
            0 => sketches.current.record(kind, shard, id),
            1 => sketches.previous.record(kind, shard, id),
            _ => {}
        });
    }

    /// Makes a slice the present one, and advances to it unless it is older than the newest one.
    ///
    /// Samples come without an instant. The end of the sampled lookup, which has one, calls this soon enough.
    pub(crate) fn advance_to(&self, slice: u64) {
        if slice != self.present.load(Ordering::Relaxed) {
            self.present.store(slice, Ordering::Relaxed);
        }
        if slice > self.slice.load(Ordering::Relaxed) {
            self.try_with(|sketches| {
                sketches.advance_to(slice);
                self.slice.store(sketches.slice, Ordering::Relaxed);
            });
        }
    }

    /// Returns the ids in the window whose present slice is `slice`, hottest first.
    pub(crate) fn snapshot(&self, slice: u64) -> Vec<HotId> {
        let sketches = self.sketches.lock().unwrap_or_else(PoisonError::into_inner);
        let halves = [
            Some(&sketches.current).filter(|_| slice <= sketches.slice.saturating_add(1)),
            Some(&sketches.previous).filter(|_| slice <= sketches.slice),
        ];
        let halves = || halves.into_iter().flatten();
        let samples: u64 = halves().map(SpaceSaving::total).sum();
        let (mut hot_ids, mut seen) = (Vec::new(), HashSet::new());
        for entry in halves().flat_map(SpaceSaving::iter) {
            let id: Box<str> = String::from_utf8_lossy(&entry.id).into();
            if !seen.insert((entry.kind, id.clone())) {
                continue;
            }
            let count =
                halves().map(|half| half.count(entry.kind, &entry.id)).fold(CountBounds::default(), |sum, count| {
                    CountBounds { at_least: sum.at_least + count.at_least, at_most: sum.at_most + count.at_most }
                });
            let share = |count: u64| count as f64 / samples as f64;
            let (share, share_at_least) = (share(count.at_most), share(count.at_least));
            let mut hot = HotId::new(entry.kind, id, entry.shard);
            (hot.share, hot.share_at_least, hot.samples) = (share, share_at_least, samples);
            hot_ids.push(hot);
        }
        drop(sketches);
        hot_ids.sort_by(|one: &HotId, two| two.share_at_least.total_cmp(&one.share_at_least));
        hot_ids
    }

    fn try_with(&self, act: impl FnOnce(&mut Sketches)) {
        match self.sketches.try_lock() {
            Ok(mut sketches) => act(&mut sketches),
            Err(TryLockError::Poisoned(sketches)) => act(&mut sketches.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

impl Sketches {
    fn advance_to(&mut self, slice: u64) {
        if slice > self.slice {
            if slice - self.slice == 1 {
                std::mem::swap(&mut self.current, &mut self.previous);
            } else {
                self.previous.clear();
            }
            self.current.clear();
            self.slice = slice;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(hot: &HotKeys, slice: u64) -> Vec<(String, f64)> {
        hot.snapshot(slice).into_iter().map(|hot| (hot.id.into(), hot.share)).collect()
    }

    #[test]
    fn shares_cover_both_halves_of_the_window() {
        let hot = HotKeys::default();
        (0..30).for_each(|_| hot.record(Kind::Server, 1, b"a"));
        hot.advance_to(1);
        (0..10).for_each(|_| hot.record(Kind::Server, 1, b"b"));
        assert_eq!(shares(&hot, 1), [("a".to_owned(), 0.75), ("b".to_owned(), 0.25)]);
        assert_eq!(shares(&hot, 0), shares(&hot, 1), "a late reader gets the whole window");
        assert_eq!(shares(&hot, 2), [("b".to_owned(), 1.0)]);
        assert_eq!(shares(&hot, 3), []);
        hot.advance_to(2);
        hot.record(Kind::Transport, 1, b"b");
        assert_eq!(hot.snapshot(2).len(), 2, "kinds are counted separately");
        hot.advance_to(9);
        assert_eq!(shares(&hot, 9), []);
    }

    #[test]
    fn late_samples_count_in_their_own_slice() {
        let hot = HotKeys::default();
        // An instant that was ahead by a window, and then the samples of that window.
        hot.advance_to(9);
        for slice in [7, 8, 9] {
            hot.advance_to(slice);
            (0..10).for_each(|_| hot.record(Kind::Server, 1, b"a"));
            assert_eq!(hot.snapshot(9).iter().map(|hot| hot.samples).sum::<u64>(), 10 * (slice - 7), "slice {slice}");
        }
        assert_eq!(hot.snapshot(10)[0].samples, 10, "those of slice 9");
    }

    #[test]
    fn samples_do_not_wait_for_the_lock() {
        let hot = HotKeys::default();
        let held = hot.sketches.lock().unwrap();
        hot.record(Kind::Server, 0, b"a");
        hot.advance_to(5);
        drop(held);
        assert_eq!(shares(&hot, 0), []);
        hot.record(Kind::Server, 0, &[0xff]);
        assert_eq!(shares(&hot, 0), [("\u{fffd}".to_owned(), 1.0)]);
    }

    #[test]
    fn shares_have_lower_and_upper_bounds() {
        let hot = HotKeys::default();
        for slice in 0_u32..1_000 {
            hot.record(Kind::Server, 0, &slice.to_le_bytes());
            hot.record(Kind::Server, 7, b"hot");
        }
        let hottest = &hot.snapshot(0)[0];
        assert_eq!((&*hottest.id, hottest.shard, hottest.samples), ("hot", 7, 2_000));
        assert!(hottest.share_at_least <= 0.5 && 0.5 <= hottest.share && hottest.share - hottest.share_at_least < 0.02);
    }
}
