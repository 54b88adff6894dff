//! Pauses actors while a loop is timed, so that messages stay in their mailboxes as in those of the other peers.
//!
//! Actors that wait for messages would be woken by them and compete with the loop; so each is paused before, and
//! messages sent meanwhile stay in its mailbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_router::TransportId;
use tokio::sync::{Semaphore, watch};

/// A message to an actor.
#[derive(Clone, Debug)]
pub enum ActorMessage {
    /// Sent by the loops: the same as a server of the registry receives.
    Deliver {
        /// The sender.
        from: TransportId,
        /// The payload.
        message: u64,
    },
    /// Pauses the actor until the next turn.
    Pause(u64),
}

/// Pauses and resumes actors, turn by turn.
#[derive(Debug)]
pub struct Gate {
    turn: watch::Sender<u64>,
    arrived: Semaphore,
    received: AtomicU64,
}

impl Gate {
    /// Makes a gate without paused actors.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { turn: watch::Sender::new(0), arrived: Semaphore::new(0), received: AtomicU64::new(0) })
    }

    /// Handles a message of an actor.
    pub async fn handle(&self, message: ActorMessage) {
        match message {
            ActorMessage::Deliver { from, message } => {
                drop(from);
                self.received.fetch_add(message, Ordering::Relaxed);
            }
            ActorMessage::Pause(turn) => {
                self.arrived.add_permits(1);
                // An error means that the gate has been dropped, so the actor need not wait.
                let _ = self.turn.subscribe().wait_for(|now| *now != turn).await;
            }
        }
    }

    /// Returns the sum of all payloads that were received.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Begins the next turn: resumes all paused actors, and returns the message that pauses them again.
    pub fn begin_pause(&self) -> ActorMessage {
        let mut next = 0;
        self.turn.send_modify(|turn| {
            *turn += 1;
            next = *turn;
        });
        ActorMessage::Pause(next)
    }

    /// Waits until so many actors are paused. They have then received all messages sent before the pause.
    pub async fn wait_for_all(&self, actors: usize) {
        let actors = u32::try_from(actors).expect("the number of actors fits into 32 bits");
        if let Ok(permits) = self.arrived.acquire_many(actors).await {
            permits.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paused_actors_resume_with_the_next_turn() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let gate = Gate::new();
            let pause = gate.begin_pause();
            let actors: Vec<_> = (0..3)
                .map(|_| {
                    let (gate, pause) = (Arc::clone(&gate), pause.clone());
                    tokio::spawn(async move { gate.handle(pause).await })
                })
                .collect();
            gate.wait_for_all(3).await;
            assert!(actors.iter().all(|actor| !actor.is_finished()));
            gate.begin_pause();
            for actor in actors {
                actor.await.unwrap();
            }
        });
    }
}
