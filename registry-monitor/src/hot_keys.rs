//! The ids that get most of the sampled lookups: a sketch for each half of the rolling window.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use crossbeam_utils::CachePadded;
use registry_core::{HotId, Kind};

use space_saving::{Frequent, Times};

mod space_saving;

/// Counts the sampled lookups of all shards by id.
///
/// Nobody who looks up ever waits in here: a sample that comes while another thread is at it is left out.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    /// The number of the newest slice, to be read without the lock.
    number: AtomicU64,
    sketches: CachePadded<Mutex<Sketches>>,
}

#[derive(Debug, Default)]
struct Sketches {
    number: u64,
    newest: Frequent,
    /// Of the slice `number − 1`.
    before: Frequent,
}

impl Hot {
    /// Counts a lookup in the present slice.
    pub(crate) fn record(&self, kind: Kind, shard: usize, id: &[u8]) {
        self.try_with(|sketches| sketches.newest.record(kind, shard, id));
    }

    /// Tells that time has come to the slice of this number.
    ///
    /// A sample brings no instant. The lookup that it is of does so when it ends, which is soon enough.
    pub(crate) fn turn(&self, number: u64) {
        if number > self.number.load(Ordering::Relaxed) {
            self.try_with(|sketches| {
                sketches.turn(number);
                self.number.store(sketches.number, Ordering::Relaxed);
            });
        }
    }

    /// The ids of the window whose present slice has this number, the hottest first.
    pub(crate) fn read(&self, number: u64) -> Vec<HotId> {
        let sketches = self.sketches.lock().unwrap_or_else(PoisonError::into_inner);
        let halves = [
            Some(&sketches.newest).filter(|_| number <= sketches.number.saturating_add(1)),
            Some(&sketches.before).filter(|_| number <= sketches.number),
        ];
        let halves = || halves.into_iter().flatten();
        let samples: u64 = halves().map(Frequent::total).sum();
        let (mut hot, mut seen) = (Vec::new(), HashSet::new());
        for row in halves().flat_map(Frequent::iter) {
            let id: Box<str> = String::from_utf8_lossy(&row.id).into();
            if !seen.insert((row.kind, id.clone())) {
                continue;
            }
            let times = halves().map(|half| half.times(row.kind, &row.id)).fold(Times::default(), |sum, times| Times {
                at_least: sum.at_least + times.at_least,
                at_most: sum.at_most + times.at_most,
            });
            let share = |count: u64| count as f64 / samples as f64;
            let (share, share_at_least) = (share(times.at_most), share(times.at_least));
            hot.push(HotId { kind: row.kind, id, shard: row.shard, share, share_at_least, samples });
        }
        drop(sketches);
        hot.sort_by(|one: &HotId, two| two.share_at_least.total_cmp(&one.share_at_least));
        hot
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
    fn turn(&mut self, number: u64) {
        if number > self.number {
            if number - self.number == 1 {
                std::mem::swap(&mut self.newest, &mut self.before);
            } else {
                self.before.clear();
            }
            self.newest.clear();
            self.number = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(hot: &Hot, number: u64) -> Vec<(String, f64)> {
        hot.read(number).into_iter().map(|hot| (hot.id.into(), hot.share)).collect()
    }

    #[test]
    fn shares_are_those_of_both_halves_of_the_window() {
        let hot = Hot::default();
        (0..30).for_each(|_| hot.record(Kind::Server, 1, b"a"));
        hot.turn(1);
        (0..10).for_each(|_| hot.record(Kind::Server, 1, b"b"));
        assert_eq!(shares(&hot, 1), [("a".to_owned(), 0.75), ("b".to_owned(), 0.25)]);
        assert_eq!(shares(&hot, 0), shares(&hot, 1), "a reader who is late gets what there is");
        assert_eq!(shares(&hot, 2), [("b".to_owned(), 1.0)]);
        assert_eq!(shares(&hot, 3), []);
        hot.turn(2);
        hot.record(Kind::Transport, 1, b"b");
        assert_eq!(hot.read(2).len(), 2, "kinds are apart");
        hot.turn(9);
        assert_eq!(shares(&hot, 9), []);
    }

    #[test]
    fn a_sample_does_not_wait() {
        let hot = Hot::default();
        let held = hot.sketches.lock().unwrap();
        hot.record(Kind::Server, 0, b"a");
        hot.turn(5);
        drop(held);
        assert_eq!(shares(&hot, 0), []);
        hot.record(Kind::Server, 0, &[0xff]);
        assert_eq!(shares(&hot, 0), [("\u{fffd}".to_owned(), 1.0)]);
    }

    #[test]
    fn a_share_is_bounded_from_both_sides() {
        let hot = Hot::default();
        for number in 0_u32..1_000 {
            hot.record(Kind::Server, 0, &number.to_le_bytes());
            hot.record(Kind::Server, 7, b"hot");
        }
        let hottest = &hot.read(0)[0];
        assert_eq!((&*hottest.id, hottest.shard, hottest.samples), ("hot", 7, 2_000));
        assert!(hottest.share_at_least <= 0.5 && 0.5 <= hottest.share && hottest.share - hottest.share_at_least < 0.02);
    }
}
