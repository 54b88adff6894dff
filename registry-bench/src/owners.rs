//! Live tasks, each the owner of a mailbox: they wait for messages, and do nothing else.
//!
//! They live on a runtime of their own. What is measured runs on threads beside it, so a message to a live task also
//! wakes that task, which is part of the cost of sending it; the runtime's threads then take the message out, and where
//! there are no processors left for them, they compete with the threads that are measured.
//!
//! Where messages are measured, those threads are kept awake, by tasks that do nothing but yield. A message to a runtime
//! whose threads sleep wakes one of them by a system call, which takes microseconds and measures the operating system;
//! the threads of a server under load are awake.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use crate::world::{Flow, ServerInbox};

/// Tasks that live until this is dropped.
#[derive(Debug)]
pub struct Owners {
    /// Ends all tasks when it is dropped.
    runtime: Runtime,
    threads: usize,
    live: usize,
}

/// Keeps the threads of owners awake until it is dropped.
#[derive(Debug)]
pub struct Awake(Vec<AbortHandle>);

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Owners {
    /// A task for each inbox, on so many threads. Returns when all of them wait for their first message.
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

    /// Keeps their threads awake for a while.
    #[must_use = "they may sleep again when this is dropped"]
    pub fn awake(&self) -> Awake {
        let yields = || async {
            loop {
                tokio::task::yield_now().await;
            }
        };
        Awake((0..self.threads).map(|_| self.runtime.spawn(yields()).abort_handle()).collect())
    }

    /// How many there are.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }
}

/// How many threads are left for owners beside those that are measured; at least one.
#[must_use]
pub fn threads_beside(measured: usize) -> usize {
    thread::available_parallelism().map_or(1, usize::from).saturating_sub(measured).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Counts, World};
    use registry_router::{Delivery, Mailbox};

    #[test]
    fn owners_take_what_is_sent_to_them_until_they_are_dropped() {
        let counts = Counts { servers: 50, strangers: 0, claims: 0, transports: 0 };
        let (world, flow, inboxes) = World::with_owners(counts, 1, 2);
        let owners = Owners::of(inboxes, &flow, 1).unwrap();
        assert_eq!(owners.live(), 50);
        let awake = owners.awake();
        for n in 0..50 {
            let message = Delivery { from: world.sender.clone(), message: 1 };
            assert!(world.mailbox(n).try_send(message).is_ok());
        }
        world.sent(50);
        world.drain_all();
        assert!((0..50).all(|n| world.mailbox(n).capacity() == 2));
        drop(awake);
        drop(owners);
        assert!((0..50).all(|n| world.mailbox(n).is_closed()));
    }
}
