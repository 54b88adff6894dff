//! Live tasks that each own a mailbox and receive from it.
//!
//! They run on a separate runtime, beside the measured threads. A message to a live task also wakes that task, which is
//! part of the cost of sending; the threads of the runtime then receive the message, and without processors of their
//! own they compete with the measured threads.
//!
//! Where messages are measured, tasks that only yield keep those threads awake. A message to a runtime whose threads
//! sleep wakes one of them by a system call, which takes microseconds and measures the operating system; the threads of
//! a server under load are awake.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use crate::fixture::{Flow, ServerInbox};

/// The tasks, aborted on drop.
#[derive(Debug)]
pub struct Owners {
    /// Aborts all tasks on drop.
    runtime: Runtime,
    threads: usize,
    live: usize,
}

/// Keeps the threads of the owners awake until it is dropped.
#[derive(Debug)]
pub struct Awake(Vec<AbortHandle>);

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Owners {
    /// Spawns a task for each inbox, and returns when all have started.
    ///
    /// # Errors
    ///
    /// If the runtime cannot be started.
    pub fn of(inboxes: Vec<ServerInbox>, flow: &Arc<Flow>, threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(threads).build()?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let all = inboxes.len();
        for mut inbox in inboxes {
            let (flow, waiting) = (Arc::clone(flow), Arc::clone(&waiting));
            runtime.spawn(async move {
                waiting.fetch_add(1, Ordering::Relaxed);
                while inbox.recv().await.is_some() {
                    flow.received();
                }
            });
        }
        while waiting.load(Ordering::Relaxed) < all {
            thread::sleep(Duration::from_micros(200));
        }
        Ok(Self { runtime, threads, live: waiting.load(Ordering::Relaxed) })
    }

    /// Keeps their threads awake.
    #[must_use = "the threads may sleep again when this is dropped"]
    pub fn awake(&self) -> Awake {
        let yields = || async {
            loop {
                tokio::task::yield_now().await;
            }
        };
        Awake((0..self.threads).map(|_| self.runtime.spawn(yields()).abort_handle()).collect())
    }

    /// Returns the number of tasks.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }
}

/// Returns the number of threads for owners beside the measured ones; at least one.
#[must_use]
pub fn threads_beside(measured: usize) -> usize {
    thread::available_parallelism().map_or(1, usize::from).saturating_sub(measured).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Counts, Fixture};
    use registry_router::{Delivery, Mailbox};

    #[test]
    fn owners_receive_until_they_are_dropped() {
        let counts = Counts { servers: 50, absent_ids: 0, claims: 0, transports: 0 };
        let (fixture, flow, inboxes) = Fixture::with_owners(counts, 1, 2);
        let owners = Owners::of(inboxes, &flow, 1).unwrap();
        assert_eq!(owners.live(), 50);
        let awake = owners.awake();
        for n in 0..50 {
            let message = Delivery { from: fixture.sender.clone(), message: 1 };
            assert!(fixture.mailbox(n).try_send(message).is_ok());
        }
        fixture.sent(50);
        fixture.drain_all();
        assert!((0..50).all(|n| fixture.mailbox(n).capacity() == 2));
        drop(awake);
        drop(owners);
        assert!((0..50).all(|n| fixture.mailbox(n).is_closed()));
    }
}
