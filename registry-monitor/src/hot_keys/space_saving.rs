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
pub(crate) const PLACES: usize = 64;

/// So many fingerprints are compared at once: a line of the cache.
const AT_ONCE: usize = 16;

/// Counts the frequent ids of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Frequent {
    /// Of the ids, in the order of `rows`, and small, because each record compares with all of them.
    fingerprints: [u32; PLACES],
    counts: [u64; PLACES],
    rows: Vec<Row>,
    total: u64,
    /// No count is below this, and those of the places before `least_from` are above it.
    least: u64,
    least_from: usize,
}

/// An id that is counted.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) shard: usize,
    pub(crate) id: Vec<u8>,
    /// How much its count may be too high.
    error: u64,
}

/// How often an id came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) at_least: u64,
    pub(crate) at_most: u64,
}

impl Default for Frequent {
    fn default() -> Self {
        let (fingerprints, counts) = ([0; PLACES], [0; PLACES]);
        Self { fingerprints, counts, rows: Vec::new(), total: 0, least: 0, least_from: 0 }
    }
}

impl Frequent {
    /// Counts an id.
    ///
    /// Compares with one word of each place; all else that it does is O(1), taken over many records. Allocates for an id
    /// that is longer than all that had its place before.
    pub(crate) fn record(&mut self, kind: Kind, shard: usize, id: &[u8]) {
        self.total += 1;
        let fingerprint = fingerprint(kind, id);
        if let Some(place) = self.find(fingerprint, kind, id) {
            self.counts[place] += 1;
            return;
        }
        let place = self.rows.len();
        if place < PLACES {
            (self.fingerprints[place], self.counts[place]) = (fingerprint, 1);
            self.rows.push(Row { kind, shard, id: id.to_vec(), error: 0 });
            return;
        }
        let place = self.take_least();
        let row = &mut self.rows[place];
        (row.kind, row.shard, row.error) = (kind, shard, self.counts[place]);
        row.id.clear();
        row.id.extend_from_slice(id);
        self.fingerprints[place] = fingerprint;
        self.counts[place] += 1;
    }

    /// How many ids came.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How often an id came.
    pub(crate) fn times(&self, kind: Kind, id: &[u8]) -> Times {
        match self.find(fingerprint(kind, id), kind, id) {
            Some(place) => Times { at_least: self.counts[place] - self.rows[place].error, at_most: self.counts[place] },
            // Whoever had a place and lost it had at most the least of the counts.
            None if self.rows.len() == PLACES => Times { at_least: 0, at_most: self.least_count() },
            None => Times::default(),
        }
    }

    /// All ids that are counted, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        (self.total, self.least, self.least_from) = (0, 0, 0);
    }

    fn find(&self, fingerprint: u32, kind: Kind, id: &[u8]) -> Option<usize> {
        let is_it =
            |(place, row): &(usize, &Row)| self.fingerprints[*place] == fingerprint && row.kind == kind && row.id == id;
        let row_of = |from: usize| self.rows.iter().enumerate().skip(from).take(AT_ONCE).find(is_it);
        // All of a line compared before the first branch, which the compiler makes a few wide comparisons of.
        let is_in = |line: &[u32]| line.iter().fold(false, |is_in, theirs| is_in | (*theirs == fingerprint));
        let lines = self.fingerprints.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE));
        lines.filter(|(line, _)| is_in(line)).find_map(|(_, from)| row_of(from)).map(|(place, _)| place)
    }

    /// The first place with the least count, when all are taken. That count is about to grow.
    ///
    /// Counts only grow, so a place that was passed need not be looked at again before the least itself has grown.
    fn take_least(&mut self) -> usize {
        loop {
            let mut left = self.counts.iter().skip(self.least_from);
            if let Some(further) = left.position(|count| *count == self.least) {
                self.least_from += further;
                return self.least_from;
            }
            (self.least, self.least_from) = (self.least_count(), 0);
        }
    }

    fn least_count(&self) -> u64 {
        self.counts.iter().fold(u64::MAX, |least, count| least.min(*count))
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
    use crate::split_mix64::Chance;

    /// Compares with exact counts, by what the module promises.
    fn check(stream: impl Iterator<Item = u64>) {
        let mut sketch = Frequent::default();
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

    fn compare(sketch: &Frequent, exact: &HashMap<u64, u64>, total: u64) {
        assert_eq!(sketch.total(), total);
        let bound = total / PLACES as u64;
        assert!(sketch.iter().all(|row| row.error <= bound));
        let mut counted = 0;
        for (id, &times) in exact {
            let id = id.to_le_bytes();
            let told = sketch.times(Kind::Server, &id);
            assert!(told.at_least <= times && times <= told.at_most, "{told:?} is not about {times}");
            assert!(told.at_most - told.at_least <= bound, "{told:?}, at most {bound} apart");
            let has_place = sketch.iter().any(|row| row.id == id);
            assert!(has_place || times <= bound, "{times} of {total}, and no place");
            counted += usize::from(has_place);
        }
        assert_eq!(counted, sketch.rows.len(), "an id that never came has a place");
    }

    #[test]
    fn counts_keep_their_bound_on_zipf_streams() {
        for (seed, exponent) in [(1, 0.5), (2, 0.8), (3, 1.0), (4, 1.2), (5, 2.0)] {
            let mut chance = Chance::new(seed);
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
        let mut sketch = Frequent::default();
        for round in 0..100 {
            sketch.record(Kind::Server, 3, b"s");
            if round % 2 == 0 {
                sketch.record(Kind::Transport, 3, b"s");
            }
        }
        assert_eq!(sketch.times(Kind::Server, b"s"), Times { at_least: 100, at_most: 100 });
        assert_eq!(sketch.times(Kind::Transport, b"s"), Times { at_least: 50, at_most: 50 });
        assert_eq!(sketch.times(Kind::Transport, b"t"), Times::default());
        sketch.clear();
        assert_eq!((sketch.total(), sketch.times(Kind::Server, b"s")), (0, Times::default()));
    }

    #[test]
    fn ids_of_any_length_are_told_apart() {
        let mut sketch = Frequent::default();
        let long = [b'x'; 255];
        for length in [0, 1, 7, 8, 9, 16, 254, 255] {
            sketch.record(Kind::Server, 0, &long[..length]);
        }
        assert_eq!(sketch.iter().count(), 8);
    }
}
