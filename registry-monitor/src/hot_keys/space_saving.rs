//! Which ids are frequent in a stream, in memory that does not depend on it: the Space-Saving sketch.
//!
//! It counts so many ids at a time and no more. One that it does not count takes the place of the least frequent, and
//! starts from that one's count, which is so much too high at most.
//! (Metwally, Agrawal, El Abbadi: *Efficient computation of frequent and top-k elements in data streams*, 2005.)
//!
//! # What it promises
//!
//! With *m* places, after *n* ids:
//!
//! - A count is never too low, and too high by at most its own error, which is at most *n* / *m*.
//! - Every id that came more than *n* / *m* times has a place.

use registry_core::Kind;

/// How many ids are counted at a time, so that shares are right to 1/64.
pub(crate) const CAPACITY: usize = 64;

/// So many fingerprints are compared at once: a line of the cache.
const COMPARE_CHUNK: usize = 16;

/// Counts the frequent ids of a stream.
#[derive(Clone, Debug)]
pub(crate) struct SpaceSaving {
    /// Of the ids, in the order of `entries`, and small, because each record compares with all of them.
    fingerprints: [u32; CAPACITY],
    counts: [u64; CAPACITY],
    entries: Vec<Entry>,
    total: u64,
    /// No count is below this, and those of the places before `min_from` are above it.
    min_count: u64,
    min_from: usize,
}

/// An id that is counted.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) shard: usize,
    pub(crate) id: Vec<u8>,
    /// How much its count may be too high.
    error: u64,
}

/// How often an id came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CountBounds {
    pub(crate) at_least: u64,
    pub(crate) at_most: u64,
}

impl Default for SpaceSaving {
    fn default() -> Self {
        let (fingerprints, counts) = ([0; CAPACITY], [0; CAPACITY]);
        Self { fingerprints, counts, entries: Vec::new(), total: 0, min_count: 0, min_from: 0 }
    }
}

impl SpaceSaving {
    /// Counts an id.
    ///
    /// Compares with one word of each place; all else that it does is O(1), taken over many records. Allocates for an id
    /// that is longer than all that had its place before.
    pub(crate) fn record(&mut self, kind: Kind, shard: usize, id: &[u8]) {
        self.total += 1;
        let fingerprint = fingerprint(kind, id);
        if let Some(index) = self.find(fingerprint, kind, id) {
            self.counts[index] += 1;
            return;
        }
        let index = self.entries.len();
        if index < CAPACITY {
            (self.fingerprints[index], self.counts[index]) = (fingerprint, 1);
            self.entries.push(Entry { kind, shard, id: id.to_vec(), error: 0 });
            return;
        }
        let index = self.find_min();
        let entry = &mut self.entries[index];
        (entry.kind, entry.shard, entry.error) = (kind, shard, self.counts[index]);
        entry.id.clear();
        entry.id.extend_from_slice(id);
        self.fingerprints[index] = fingerprint;
        self.counts[index] += 1;
    }

    /// How many ids came.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How often an id came.
    pub(crate) fn count_bounds(&self, kind: Kind, id: &[u8]) -> CountBounds {
        match self.find(fingerprint(kind, id), kind, id) {
            Some(index) => {
                CountBounds { at_least: self.counts[index] - self.entries[index].error, at_most: self.counts[index] }
            }
            // Whoever had a place and lost it had at most the least of the counts.
            None if self.entries.len() == CAPACITY => CountBounds { at_least: 0, at_most: self.scan_min() },
            None => CountBounds::default(),
        }
    }

    /// All ids that are counted, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        (self.total, self.min_count, self.min_from) = (0, 0, 0);
    }

    fn find(&self, fingerprint: u32, kind: Kind, id: &[u8]) -> Option<usize> {
        let is_it = |(index, entry): &(usize, &Entry)| {
            self.fingerprints[*index] == fingerprint && entry.kind == kind && entry.id == id
        };
        let row_of = |from: usize| self.entries.iter().enumerate().skip(from).take(COMPARE_CHUNK).find(is_it);
        // All of a line compared before the first branch, which the compiler makes a few wide comparisons of.
        let is_in = |line: &[u32]| line.iter().fold(false, |is_in, theirs| is_in | (*theirs == fingerprint));
        let lines = self.fingerprints.chunks(COMPARE_CHUNK).zip((0..).step_by(COMPARE_CHUNK));
        lines.filter(|(line, _)| is_in(line)).find_map(|(_, from)| row_of(from)).map(|(index, _)| index)
    }

    /// The first place with the least count, when all are taken. That count is about to grow.
    ///
    /// Counts only grow, so a place that was passed need not be looked at again before the least itself has grown.
    fn find_min(&mut self) -> usize {
        loop {
            let mut left = self.counts.iter().skip(self.min_from);
            if let Some(further) = left.position(|count| *count == self.min_count) {
                self.min_from += further;
                return self.min_from;
            }
            (self.min_count, self.min_from) = (self.scan_min(), 0);
        }
    }

    fn scan_min(&self) -> u64 {
        self.counts.iter().fold(u64::MAX, |min_count, count| min_count.min(*count))
    }
}

/// Tells most ids apart at once. That a stranger can make many alike slows the sketch down and nothing else.
fn fingerprint(kind: Kind, id: &[u8]) -> u32 {
    let mut mixed = id.len() as u64 ^ ((kind as u64) << 32);
    for chunk in id.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mixed = (mixed.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::split_mix64::SplitMix64;

    /// Compares with exact counts, by what the module promises.
    fn check(stream: impl Iterator<Item = u64>) {
        let mut sketch = SpaceSaving::default();
        let mut exact: HashMap<u64, u64> = HashMap::new();
        for (number, id) in (1..).zip(stream) {
            sketch.record(Kind::Server, 0, &id.to_le_bytes());
            *exact.entry(id).or_default() += 1;
            if number % 997 == 0 {
                compare(&sketch, &exact, number);
            }
        }
        compare(&sketch, &exact, exact.values().sum());
    }

    fn compare(sketch: &SpaceSaving, exact: &HashMap<u64, u64>, total: u64) {
        assert_eq!(sketch.total(), total);
        let bound = total / CAPACITY as u64;
        assert!(sketch.iter().all(|entry| entry.error <= bound));
        let mut counted = 0;
        for (id, &count_bounds) in exact {
            let id = id.to_le_bytes();
            let told = sketch.count_bounds(Kind::Server, &id);
            assert!(
                told.at_least <= count_bounds && count_bounds <= told.at_most,
                "{told:?} is not about {count_bounds}"
            );
            assert!(told.at_most - told.at_least <= bound, "{told:?}, at most {bound} apart");
            let has_place = sketch.iter().any(|entry| entry.id == id);
            assert!(has_place || count_bounds <= bound, "{count_bounds} of {total}, and no place");
            counted += usize::from(has_place);
        }
        assert_eq!(counted, sketch.entries.len(), "an id that never came has a place");
    }

    #[test]
    fn counts_keep_their_bound_on_zipf_streams() {
        for (seed, exponent) in [(1, 0.5), (2, 0.8), (3, 1.0), (4, 1.2), (5, 2.0)] {
            let mut chance = SplitMix64::new(seed);
            let zipf = chance.zipf(5_000, exponent);
            check((0..30_000).map(|_| zipf.pick(&mut chance)));
        }
    }

    #[test]
    fn counts_keep_their_bound_on_the_streams_that_suit_them_least() {
        check((0..10_000).map(|number| number % 65));
        check(0..10_000);
        check((0..10_000).map(|number| if number < 9_000 { number } else { 7 }));
    }

    #[test]
    fn few_ids_are_counted_exactly_and_kinds_are_apart() {
        let mut sketch = SpaceSaving::default();
        for round in 0..100 {
            sketch.record(Kind::Server, 3, b"s");
            if round % 2 == 0 {
                sketch.record(Kind::Transport, 3, b"s");
            }
        }
        assert_eq!(sketch.count_bounds(Kind::Server, b"s"), CountBounds { at_least: 100, at_most: 100 });
        assert_eq!(sketch.count_bounds(Kind::Transport, b"s"), CountBounds { at_least: 50, at_most: 50 });
        assert_eq!(sketch.count_bounds(Kind::Transport, b"t"), CountBounds::default());
        sketch.clear();
        assert_eq!((sketch.total(), sketch.count_bounds(Kind::Server, b"s")), (0, CountBounds::default()));
    }

    #[test]
    fn ids_of_any_length_are_told_apart() {
        let mut sketch = SpaceSaving::default();
        let long = [b'x'; 255];
        for length in [0, 1, 7, 8, 9, 16, 254, 255] {
            sketch.record(Kind::Server, 0, &long[..length]);
        }
        assert_eq!(sketch.iter().count(), 8);
    }
}
