//! Giving back the room of tables that have been mostly empty for a while; part of the sweep of a shard.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use registry_core::{Backend, Kind, MailboxFamily, Probe};

use crate::endpoint::Endpoint;
use crate::registry::Inner;
use crate::sync::Mutex;

/// A table is sparse if its entries take at most a quarter of its room.
const SPARSE_BELOW: usize = 4;

/// A table that has room for fewer entries is left as it is.
const LEAST_ROOM: usize = 64;

/// A table that was sparse at all sweeps of so long a time gives back its room, so that a registry whose entries come and
/// go in waves does not pay for each of them.
const SPARSE_FOR: Duration = Duration::from_secs(10);

/// Since when the tables of each shard have been sparse, as far as sweeps have seen.
pub(crate) struct Room {
    /// What a table may keep.
    least: usize,
    since: Box<[Mutex<Since>]>,
}

#[derive(Clone, Copy, Default)]
struct Since {
    servers: Option<Instant>,
    transports: Option<Instant>,
}

impl Room {
    /// For tables that were laid out for so many entries a shard, which they keep.
    pub(crate) fn new(shards: usize, laid_out_for: usize) -> Self {
        let least = LEAST_ROOM.max(laid_out_for.saturating_mul(SPARSE_BELOW));
        Self { least, since: (0..shards).map(|_| Mutex::default()).collect() }
    }

    /// Returns whether it is time to give back the room of a table with so many entries, and room for so many.
    fn is_due(&self, shard: usize, kind: Kind, entries: usize, room: usize, now: Instant) -> bool {
        let mut since = self.since[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let since = match kind {
            Kind::Server => &mut since.servers,
            Kind::Transport => &mut since.transports,
        };
        if room < self.least || entries > room / SPARSE_BELOW {
            *since = None;
            return false;
        }
        let began = since.get_or_insert(now);
        // An instant that is ahead of this one was wrong.
        *began = now.min(*began);
        let is_due = now.duration_since(*began) >= SPARSE_FOR;
        if is_due {
            *since = None;
        }
        is_due
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Gives back what a table of a shard has not needed for a while.
    pub(crate) fn give_back_room<I: Endpoint>(&self, shard: usize, now: Instant) {
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
    fn room_is_given_back_when_it_was_not_needed_for_a_while() {
        let (room, start) = (Room::new(1, 0), Instant::now());
        let due = |second: u64, entries: usize, has: usize| {
            room.is_due(0, Kind::Server, entries, has, start + Duration::from_secs(second))
        };
        assert_eq!([due(0, 0, 1_000), due(9, 250, 1_000), due(10, 250, 1_000)], [false, false, true]);
        assert_eq!([due(11, 0, 1_000), due(20, 251, 1_000), due(22, 0, 1_000), due(31, 0, 1_000)], [false; 4]);
        assert!(due(32, 0, 1_000));
        assert_eq!([due(40, 0, 63), due(60, 0, 63)], [false; 2], "so little is kept");
        let room = Room::new(1, 1_000);
        let due = |second| room.is_due(0, Kind::Server, 0, 3_999, start + Duration::from_secs(second));
        assert_eq!([due(0), due(60)], [false; 2], "what the registry was laid out for is kept");
    }

    #[test]
    fn an_instant_that_was_ahead_is_got_over() {
        let (room, start) = (Room::new(1, 0), Instant::now());
        let due = |second: u64| room.is_due(0, Kind::Transport, 0, 1_000, start + Duration::from_secs(second));
        assert_eq!([due(3_600), due(1), due(10), due(11)], [false, false, false, true]);
    }
}
