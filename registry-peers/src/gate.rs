//! Keeps actors from their mailboxes while a loop is timed, so that messages lie there as they do in everybody else's.
//!
//! Actors that wait for messages would be woken by them and work beside the loop; so each is told to stop at the gate
//! before, and what is sent to it meanwhile stays in its mailbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_router::TransportId;
use tokio::sync::{Semaphore, watch};

/// What is sent to an actor.
#[derive(Clone, Debug)]
pub enum Letter {
    /// What the loops send: the same as a server of ours gets.
    Mail {
        /// Who sends.
        from: TransportId,
        /// Something to be told.
        message: u64,
    },
    /// Stop at the gate for as long as this turn lasts.
    Hold(u64),
}

/// Where actors wait.
#[derive(Debug)]
pub struct Gate {
    turn: watch::Sender<u64>,
    arrived: Semaphore,
    taken: AtomicU64,
}

impl Gate {
    /// A gate at which nobody waits yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { turn: watch::Sender::new(0), arrived: Semaphore::new(0), taken: AtomicU64::new(0) })
    }

    /// What an actor does with a letter.
    pub async fn take(&self, letter: Letter) {
        match letter {
            Letter::Mail { from, message } => {
                drop(from);
                self.taken.fetch_add(message, Ordering::Relaxed);
            }
            Letter::Hold(turn) => {
                self.arrived.add_permits(1);
                // An error would mean that the gate is gone, and nobody waits at that either.
                let _ = self.turn.subscribe().wait_for(|now| *now != turn).await;
            }
        }
    }

    /// The sum of all messages that were taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Begins the next turn: lets everybody go on, and says what to tell them to stop again.
    pub fn next(&self) -> Letter {
        let mut next = 0;
        self.turn.send_modify(|turn| {
            *turn += 1;
            next = *turn;
        });
        Letter::Hold(next)
    }

    /// Waits until so many have stopped. What they were sent before they were told to, they have taken by then.
    pub async fn all_arrived(&self, actors: usize) {
        let actors = u32::try_from(actors).expect("so many actors do not fit into memory");
        if let Ok(permits) = self.arrived.acquire_many(actors).await {
            permits.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_goes_on_with_the_next_turn() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let gate = Gate::new();
            let hold = gate.next();
            let actors: Vec<_> = (0..3)
                .map(|_| {
                    let (gate, hold) = (Arc::clone(&gate), hold.clone());
                    tokio::spawn(async move { gate.take(hold).await })
                })
                .collect();
            gate.all_arrived(3).await;
            assert!(actors.iter().all(|actor| !actor.is_finished()));
            gate.next();
            for actor in actors {
                actor.await.unwrap();
            }
        });
    }
}
