//! How writers get in where a lock prefers readers: a read gives way to a writer that waits.
//!
//! dashmap's lock and the reference's let a reader pass a waiting writer, because reads nest and the inner one must not
//! wait for a writer that waits for the outer one. So where there is always somebody reading, a writer would never get in.
//! A read that is inside no other one can wait, though: it holds nothing.
//!
//! # Why nobody waits in a circle
//!
//! Who waits at a gate is about to begin a read and has none open, nor any lock of a shard, so nobody waits for it here.
//! A read inside a read does not wait at a gate. And as users' code may wait for each other in ways that are not known
//! here, such as for a mutex that one locks inside a read and another outside of it, the wait ends after [`PATIENCE`] in
//! any case. While the same writer goes on waiting, other reads give it [`LESS_PATIENCE`].
//!
//! # Who waits how long
//!
//! A reader waits until one writer has got in, whichever, and then goes on, so writers do not keep readers out.
//! A writer waits for the reads that were under way, and for at most one more of each thread, if none of them takes
//! longer than [`PATIENCE`]; and for the writers before it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use registry_core::reentrancy;

use crate::met::Met;

/// How long a read lets a writer go first.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long, when that was not enough for this writer before.
const LESS_PATIENCE: Duration = Duration::from_millis(25);

/// The gate of one lock.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// How many writers wait. Seldom written, and beside what readers read anyway.
    waiting: AtomicUsize,
    line: Box<Line>,
}

/// Where readers wait.
#[derive(Debug, Default)]
struct Line {
    turn: Mutex<Turn>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Turn {
    /// How many writers that had to wait have got in.
    got_in: usize,
    /// Whether patience has come to its end since the last of them.
    was_long: bool,
}

impl Gate {
    /// Before a read: lets a writer that waits go first, unless this read is inside another one.
    #[inline]
    pub(crate) fn give_way(&self, met: &Met) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.wait(met);
        }
    }

    #[cold]
    fn wait(&self, met: &Met) {
        if reentrancy::is_active() {
            return;
        }
        met.somebody();
        let turn = self.line.turn();
        let (before, patience) = (turn.got_in, if turn.was_long { LESS_PATIENCE } else { PATIENCE });
        let nobody_yet = |turn: &mut Turn| turn.got_in == before && self.waiting.load(Ordering::Relaxed) > 0;
        let waited = self.line.moved.wait_timeout_while(turn, patience, nobody_yet);
        let (mut turn, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        turn.was_long |= outcome.timed_out();
    }

    /// Waits for the lock to write, with reads giving way meanwhile.
    pub(crate) fn write<G>(&self, lock: impl FnOnce() -> G) -> G {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = lock();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut turn = self.line.turn();
        *turn = Turn { got_in: turn.got_in.wrapping_add(1), was_long: false };
        drop(turn);
        self.line.moved.notify_all();
        guard
    }
}

impl Line {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
