//! The locks that serialize insertions under one key.

use std::sync::PoisonError;
// The router acquires locks inside an insertion lock, so in builds that explore schedules this one is the scheduler's.
#[cfg(not(shuttle))]
use std::sync::{Mutex, MutexGuard};

use crossbeam_utils::CachePadded;
#[cfg(shuttle)]
use shuttle::sync::{Mutex, MutexGuard};

/// Locks that serialize the insertions under one key: without them, two calls could complete their values in one order
/// and win the key in the other one. There are several per shard, so that insertions under different keys seldom wait.
/// They are allocated apart from the shard, whose cache lines all readers share.
///
/// No other operation acquires them. A panic cannot leave what they protect inconsistent, so poison is ignored.
#[derive(Default)]
pub(super) struct InsertLocks(Box<CachePadded<[Mutex<()>; INSERT_LOCKS]>>);

/// The number of insertion locks per shard.
const INSERT_LOCKS: usize = 16;

impl InsertLocks {
    /// Acquires the lock for insertions under keys with this hash.
    pub(super) fn lock(&self, hash: u64) -> MutexGuard<'_, ()> {
        let index = (hash >> (u64::BITS - INSERT_LOCKS.ilog2())) as usize;
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
