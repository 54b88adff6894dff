//! Shrinking of tables that have been sparse for a while. Part of the sweep of a shard.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use registry_core::Kind;

use crate::endpoint::Endpoint;
use crate::registry::Inner;
use crate::sync::Mutex;
use crate::types::Types;

/// A table is sparse if its entries take at most one in this many of its places.
const SPARSE_BELOW: usize = 4;

/// Tables of a smaller capacity are never shrunk.
const MIN_CAPACITY: usize = 64;

/// A table that was sparse at every sweep for this long is shrunk, so that the memory of a registry whose entries come
/// and go in waves does not stay at the peak.
const SPARSE_FOR: Duration = Duration::from_secs(10);

/// Since when the tables of each shard have been sparse, as far as sweeps have observed.
pub(crate) struct Room {
    /// Tables of a smaller capacity are never shrunk.
    min_capacity: usize,
    sparse_since: Box<[Mutex<SparseSince>]>,
}

#[derive(Clone, Copy, Default)]
struct SparseSince {
    servers: Option<Instant>,
    transports: Option<Instant>,
}

impl Room {
    /// `initial_capacity` is the capacity of a shard's table when it was built, which it keeps.
    pub(crate) fn new(shards: usize, initial_capacity: usize) -> Self {
        let min_capacity = MIN_CAPACITY.max(initial_capacity.saturating_mul(SPARSE_BELOW));
        Self { min_capacity, sparse_since: (0..shards).map(|_| Mutex::default()).collect() }
    }

    /// Returns whether a table with this many entries and this capacity is to be shrunk now.
    fn is_due(&self, shard: usize, kind: Kind, entries: usize, capacity: usize, now: Instant) -> bool {
        let mut since = self.sparse_since[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let since = match kind {
            Kind::Server => &mut since.servers,
            Kind::Transport => &mut since.transports,
        };
        if capacity < self.min_capacity || entries > capacity / SPARSE_BELOW {
            *since = None;
            return false;
        }
        let began = since.get_or_insert(now);
        // A recorded instant later than `now` was wrong.
        *began = now.min(*began);
        let is_due = now.duration_since(*began) >= SPARSE_FOR;
        if is_due {
            *since = None;
        }
        is_due
    }
}

impl<T: Types> Inner<T> {
    /// Shrinks a table of a shard if it has been sparse for a while.
    pub(crate) fn shrink_if_sparse<I: Endpoint>(&self, shard: usize, now: Instant) {
        let table = I::table(self);
        if self.room.is_due(shard, I::KIND, table.len_of(shard), table.capacity_of(shard), now) {
            table.shrink(shard);
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_shrunk_after_it_was_sparse_for_a_while() {
        let (room, start) = (Room::new(1, 0), Instant::now());
        let due = |second: u64, entries: usize, capacity: usize| {
            room.is_due(0, Kind::Server, entries, capacity, start + Duration::from_secs(second))
        };
        assert_eq!([due(0, 0, 1_000), due(9, 250, 1_000), due(10, 250, 1_000)], [false, false, true]);
        assert_eq!([due(11, 0, 1_000), due(20, 251, 1_000), due(22, 0, 1_000), due(31, 0, 1_000)], [false; 4]);
        assert!(due(32, 0, 1_000));
        assert_eq!([due(40, 0, 63), due(60, 0, 63)], [false; 2], "a small table is kept");
        let room = Room::new(1, 1_000);
        let due = |second| room.is_due(0, Kind::Server, 0, 3_999, start + Duration::from_secs(second));
        assert_eq!([due(0), due(60)], [false; 2], "the initial capacity is kept");
    }

    #[test]
    fn an_instant_in_the_future_delays_no_shrink() {
        let (room, start) = (Room::new(1, 0), Instant::now());
        let due = |second: u64| room.is_due(0, Kind::Transport, 0, 1_000, start + Duration::from_secs(second));
        assert_eq!([due(3_600), due(1), due(10), due(11)], [false, false, false, true]);
    }
}
