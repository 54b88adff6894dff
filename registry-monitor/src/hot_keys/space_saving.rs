//! The Space-Saving sketch: the frequent ids of a stream, in constant memory.
//!
//! It counts a fixed number of ids. An id without an entry replaces the one with the lowest count, and continues from that
//! count, which is the most that it may be too high.
//! (Metwally, Agrawal, El Abbadi: *Efficient computation of frequent and top-k elements in data streams*, 2005.)
//!
//! # Guarantees
//!
//! With *m* entries, after *n* ids:
//!
//! - A count is never too low, and too high by at most the error of its entry, which is at most *n* / *m*.
//! - Every id that occurred more than *n* / *m* times has an entry.

use registry_core::Kind;

/// The number of entries. Shares are accurate to 1/64.
pub(crate) const CAPACITY: usize = 64;

/// The number of fingerprints that are compared at once: one cache line.
const COMPARE_CHUNK: usize = 16;

/// Counts the frequent ids of a stream.
#[derive(Clone, Debug)]
pub(crate) struct SpaceSaving {
    /// In the order of `entries`. They are small, because each record compares with all of them.
    fingerprints: [u32; CAPACITY],
    counts: [u64; CAPACITY],
    entries: Vec<Entry>,
    total: u64,
    /// No count is below this, and the counts at indices below `min_from` are above it.
    min_count: u64,
    min_from: usize,
}

/// An id that is counted.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) shard: usize,
    pub(crate) id: Vec<u8>,
    /// The count is too high by at most this.
    error: u64,
}

/// Bounds on the number of occurrences of an id.
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
    /// Compares with one word of each entry; everything else is amortized O(1). Allocates if the id is longer than all
    /// previous ids of its entry.
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

    /// Returns the number of ids in the stream.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Returns bounds on the number of occurrences of an id.
    pub(crate) fn count(&self, kind: Kind, id: &[u8]) -> CountBounds {
        match self.find(fingerprint(kind, id), kind, id) {
            Some(index) => {
                CountBounds { at_least: self.counts[index] - self.entries[index].error, at_most: self.counts[index] }
            }
            // An id whose entry was replaced had at most the lowest count.
            None if self.entries.len() == CAPACITY => CountBounds { at_least: 0, at_most: self.scan_min() },
            None => CountBounds::default(),
        }
    }

    /// Returns the entries, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Removes all entries.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        (self.total, self.min_count, self.min_from) = (0, 0, 0);
    }

    fn find(&self, fingerprint: u32, kind: Kind, id: &[u8]) -> Option<usize> {
        let matches = |(index, entry): &(usize, &Entry)| {
            self.fingerprints[*index] == fingerprint && entry.kind == kind && entry.id == id
        };
        let find_from = |from: usize| self.entries.iter().enumerate().skip(from).take(COMPARE_CHUNK).find(matches);
        // Compares a whole chunk before it branches, which the compiler turns into a few vector comparisons.
        let contains = |chunk: &[u32]| chunk.iter().fold(false, |found, other| found | (*other == fingerprint));
        let chunks = self.fingerprints.chunks(COMPARE_CHUNK).zip((0..).step_by(COMPARE_CHUNK));
        chunks.filter(|(chunk, _)| contains(chunk)).find_map(|(_, from)| find_from(from)).map(|(index, _)| index)
    }

    /// Returns the first index with the lowest count, when all entries are in use. The caller then increases that count.
    ///
    /// Counts only grow, so an index that was passed is not visited again before the lowest count has grown.
    fn find_min(&mut self) -> usize {
        loop {
            let mut counts = self.counts.iter().skip(self.min_from);
            if let Some(offset) = counts.position(|count| *count == self.min_count) {
                self.min_from += offset;
                return self.min_from;
            }
            (self.min_count, self.min_from) = (self.scan_min(), 0);
        }
    }

    fn scan_min(&self) -> u64 {
        self.counts.iter().fold(u64::MAX, |min, count| min.min(*count))
    }
}

/// Returns a hash that distinguishes most ids. Ids chosen to collide make the sketch slower, and have no other effect.
fn fingerprint(kind: Kind, id: &[u8]) -> u32 {
    let mut hash = id.len() as u64 ^ ((kind as u64) << 32);
    for chunk in id.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::split_mix64::{SplitMix64, Zipf};

    /// Checks the guarantees against exact counts.
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
        for (id, &count) in exact {
            let id = id.to_le_bytes();
            let actual = sketch.count(Kind::Server, &id);
            assert!(actual.at_least <= count && count <= actual.at_most, "{actual:?} does not contain {count}");
            assert!(actual.at_most - actual.at_least <= bound, "{actual:?} is wider than {bound}");
            let has_entry = sketch.iter().any(|entry| entry.id == id);
            assert!(has_entry || count <= bound, "{count} of {total}, and no entry");
            counted += usize::from(has_entry);
        }
        assert_eq!(counted, sketch.entries.len(), "an id that did not occur has an entry");
    }

    #[test]
    fn guarantees_hold_on_zipf_streams() {
        for (seed, exponent) in [(1, 0.5), (2, 0.8), (3, 1.0), (4, 1.2), (5, 2.0)] {
            let mut rng = SplitMix64::new(seed);
            let zipf = Zipf::new(5_000, exponent);
            check((0..30_000).map(|_| zipf.sample(&mut rng)));
        }
    }

    #[test]
    fn guarantees_hold_on_adversarial_streams() {
        check((0..10_000).map(|number| number % 65));
        check(0..10_000);
        check((0..10_000).map(|number| if number < 9_000 { number } else { 7 }));
    }

    #[test]
    fn few_ids_are_counted_exactly_by_kind() {
        let mut sketch = SpaceSaving::default();
        for round in 0..100 {
            sketch.record(Kind::Server, 3, b"s");
            if round % 2 == 0 {
                sketch.record(Kind::Transport, 3, b"s");
            }
        }
        assert_eq!(sketch.count(Kind::Server, b"s"), CountBounds { at_least: 100, at_most: 100 });
        assert_eq!(sketch.count(Kind::Transport, b"s"), CountBounds { at_least: 50, at_most: 50 });
        assert_eq!(sketch.count(Kind::Transport, b"t"), CountBounds::default());
        sketch.clear();
        assert_eq!((sketch.total(), sketch.count(Kind::Server, b"s")), (0, CountBounds::default()));
    }

    #[test]
    fn ids_of_any_length_are_distinguished() {
        let mut sketch = SpaceSaving::default();
        let long = [b'x'; 255];
        for length in [0, 1, 7, 8, 9, 16, 254, 255] {
            sketch.record(Kind::Server, 0, &long[..length]);
        }
        assert_eq!(sketch.iter().count(), 8);
    }
}
