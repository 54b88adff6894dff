//! Live tasks, each the owner of a mailbox: they wait for messages, and do nothing else.
//!
//! They live on a runtime of their own. What is measured runs on threads beside it, so a message to a live task also
//! wakes that task, which is part of the cost of sending it; the runtime's threads then take the message out, and where
//! there are no processors left for them, they compete with the threads that are measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

use crate::world::{Flow, ServerInbox};

/// Tasks that live until this is dropped.
#[derive(Debug)]
pub struct Owners {
    /// Ends all tasks when it is dropped.
    _runtime: Runtime,
    live: usize,
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
        Ok(Self { live: waiting.load(Ordering::Relaxed), _runtime: runtime })
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
        for n in 0..50 {
            let message = Delivery { from: world.sender.clone(), message: 1 };
            assert!(world.mailbox(n).try_deliver(message).is_ok());
        }
        world.sent(50);
        world.drain_all();
        assert!((0..50).all(|n| world.mailbox(n).as_sender().capacity() == 2));
        drop(owners);
        assert!((0..50).all(|n| world.mailbox(n).is_closed()));
    }
}
