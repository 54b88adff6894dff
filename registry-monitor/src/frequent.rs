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

/// Counts the frequent ids of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frequent {
    /// Of the ids, in the order of `rows`. Apart, because each record compares with all of them.
    fingerprints: Vec<u64>,
    counts: Vec<u64>,
    rows: Vec<Row>,
    total: u64,
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

impl Frequent {
    /// Counts an id. O(places); allocates for an id that is longer than all that had its place before.
    pub(crate) fn record(&mut self, kind: Kind, shard: usize, id: &[u8]) {
        self.total += 1;
        let fingerprint = fingerprint(kind, id);
        if let Some(place) = self.find(fingerprint, kind, id) {
            self.counts[place] += 1;
        } else if self.rows.len() < PLACES {
            self.fingerprints.push(fingerprint);
            self.counts.push(1);
            self.rows.push(Row { kind, shard, id: id.to_vec(), error: 0 });
        } else if let Some((place, least)) = self.least() {
            self.fingerprints[place] = fingerprint;
            self.counts[place] = least + 1;
            let row = &mut self.rows[place];
            (row.kind, row.shard, row.error) = (kind, shard, least);
            row.id.clear();
            row.id.extend_from_slice(id);
        }
    }

    /// How many ids came.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How often an id came.
    pub(crate) fn times(&self, kind: Kind, id: &[u8]) -> Times {
        match self.find(fingerprint(kind, id), kind, id) {
            Some(place) => self.times_at(place),
            // Whoever had a place and lost it had at most the least of the counts.
            None if self.rows.len() == PLACES => Times { at_least: 0, at_most: self.least().map_or(0, |(_, n)| n) },
            None => Times::default(),
        }
    }

    /// All ids that are counted, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.fingerprints.clear();
        self.counts.clear();
        self.rows.clear();
        self.total = 0;
    }

    fn times_at(&self, place: usize) -> Times {
        Times { at_least: self.counts[place] - self.rows[place].error, at_most: self.counts[place] }
    }

    fn find(&self, fingerprint: u64, kind: Kind, id: &[u8]) -> Option<usize> {
        let is_it = |place: &usize| self.rows[*place].kind == kind && self.rows[*place].id == id;
        let alike = self.fingerprints.iter().enumerate().filter(|(_, theirs)| **theirs == fingerprint);
        alike.map(|(place, _)| place).find(is_it)
    }

    fn least(&self) -> Option<(usize, u64)> {
        self.counts.iter().copied().enumerate().min_by_key(|(_, count)| *count)
    }
}

/// Tells most ids apart at once. That a stranger can make many alike slows the sketch down and nothing else.
fn fingerprint(kind: Kind, id: &[u8]) -> u64 {
    let mut mixed = id.len() as u64 ^ ((kind as u64) << 32);
    for chunk in id.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mixed = (mixed.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    mixed
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::chance::Chance;

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
