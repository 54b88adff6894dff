//! ractor: an actor for each entry, spawned under its name.
//!
//! A lookup is `where_is`, which hands out a clone; a message goes into a mailbox without a bound.
//! A name comes and goes with its actor, so a registration is the spawning of an actor and its end is waited for, in a
//! task on ractor's own runtime.
//! There are no bindings, so a `DashMap` from transports to actors stands beside it, as a user would write.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::ractor::{Actor, ActorProcessingErr, ActorRef};
use anyhow::{Context as _, Result};
use dashmap::DashMap;
use registry_bench::failures::Failures;
use registry_bench::timed_loop::{Access, Operation, OperationLoop, Outcome, Step, TimedLoop, found};
use registry_router::TransportId;
use tokio::runtime::Runtime;

use crate::gate::{ActorMessage, Gate};
use crate::names::{Names, Size};
use crate::peer::Peer;

/// The greatest number of messages in a mailbox, as of the other peers, although it has no bound.
const MOST_WAITING: usize = 128;

/// An actor that drops its messages.
struct SinkActor(Arc<Gate>);

impl Actor for SinkActor {
    type Msg = ActorMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<ActorMessage>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<ActorMessage>,
        message: ActorMessage,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.0.handle(message).await;
        Ok(())
    }
}

/// The registry of ractor with all actors. There is one per process.
pub struct Ractor {
    runtime: Runtime,
    gate: Arc<Gate>,
    actors: Vec<ActorRef<ActorMessage>>,
    names: Arc<Names<String, String>>,
    bindings: Arc<DashMap<String, ActorRef<ActorMessage>>>,
    sender: TransportId,
}

impl Ractor {
    /// Spawns an actor for each server and each transport under its name, and pauses them.
    ///
    /// # Errors
    ///
    /// If the runtime cannot be started, or a name is taken.
    pub fn new(size: Size, seed: u64) -> Result<Self> {
        let fixture = size.fixture(seed, 1);
        let names = Arc::new(Names::of(&fixture, size.threads, seed));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(size.threads).build()?;
        let gate = Gate::new();
        let actors = runtime.block_on(async {
            let mut actors = Vec::new();
            for name in names.servers.iter().chain(&names.transports) {
                let spawned = Actor::spawn(Some(name.clone()), SinkActor(Arc::clone(&gate)), ()).await;
                actors.push(spawned.context("each name is taken once")?.0);
            }
            Ok::<_, anyhow::Error>(actors)
        })?;
        let ractor = Self { runtime, gate, actors, names, bindings: Arc::default(), sender: fixture.sender };
        ractor.drain();
        Ok(ractor)
    }

    fn access(&self) -> OverRactor {
        OverRactor { gate: Arc::clone(&self.gate), bindings: Arc::clone(&self.bindings), sender: self.sender.clone() }
    }
}

impl std::fmt::Debug for Ractor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ractor").field("actors", &self.actors.len()).finish_non_exhaustive()
    }
}

impl Peer for Ractor {
    fn timed_loop(&self, operation: Operation, thread: usize) -> Box<dyn TimedLoop + '_> {
        match operation {
            Operation::Register | Operation::Mixed => Box::new(TaskLoop { ractor: self, operation, thread }),
            _ => OperationLoop::boxed(operation, self.access(), self.names.keys(thread)),
        }
    }

    fn drain(&self) {
        let pause = self.gate.begin_pause();
        for actor in &self.actors {
            // A dead actor would never pause, which the time limit detects.
            let _ = actor.send_message(pause.clone());
        }
        self.runtime.block_on(self.gate.wait_for_all(self.actors.len()));
    }

    fn room(&self) -> usize {
        self.names.servers.len() * MOST_WAITING
    }
}

struct OverRactor {
    gate: Arc<Gate>,
    bindings: Arc<DashMap<String, ActorRef<ActorMessage>>>,
    sender: TransportId,
}

impl OverRactor {
    /// Spawns an actor under a name, stops it, and waits until it has ended and the name is free.
    async fn register_and_end(&self, server: &str) -> Outcome {
        let spawned = Actor::spawn(Some(server.to_owned()), SinkActor(Arc::clone(&self.gate)), ()).await;
        let (actor, end) = spawned.map_err(|error| error.to_string())?;
        actor.stop(None);
        end.await.map_err(|error| error.to_string())
    }
}

impl Access for OverRactor {
    type Server = String;
    type Transport = String;

    #[inline]
    fn find(&self, server: &String) -> Option<bool> {
        match ActorRef::<ActorMessage>::where_is(server) {
            Some(actor) => {
                black_box(actor.get_id());
                Some(true)
            }
            None => None,
        }
    }

    #[inline]
    fn route(&self, server: &String) -> Outcome {
        let actor = registered(server)?;
        let message = ActorMessage::Deliver { from: self.sender.clone(), message: 1 };
        actor.send_message(message).map_err(|error| error.to_string())
    }

    /// Only a task can wait for the end of an actor: see [`TaskLoop`].
    fn register(&self, _: &String) -> Outcome {
        Err("a name is registered by spawning its actor".to_owned())
    }

    #[inline]
    fn bind(&self, transport: &String, server: &String) -> Outcome {
        let to = registered(server)?;
        registered(transport)?;
        self.bindings.insert(transport.clone(), to);
        Ok(())
    }
}

#[inline]
fn registered(name: &String) -> Result<ActorRef<ActorMessage>, String> {
    ActorRef::where_is(name).ok_or_else(|| "it was not found".to_owned())
}

/// The loops that register, as a task among the actors.
struct TaskLoop<'a> {
    ractor: &'a Ractor,
    operation: Operation,
    thread: usize,
}

impl TimedLoop for TaskLoop<'_> {
    fn run(&mut self, start: usize, operations: usize) -> (Duration, Failures) {
        let (access, names) = (self.ractor.access(), Arc::clone(&self.ractor.names));
        let (operation, thread) = (self.operation, self.thread);
        let task = self.ractor.runtime.spawn(async move {
            let mut failures = Failures::default();
            let began = Instant::now();
            if operation == Operation::Register {
                for (number, id) in cycle_from(&names.absent_ids[thread], start, operations) {
                    access.register_and_end(id).await.unwrap_or_else(|reason| failures.note(number, reason));
                }
            } else {
                for (number, step) in cycle_from(&names.steps[thread], start, operations) {
                    let outcome = match step {
                        Step::Lookup(id) => found(&access, id),
                        Step::Route(id) => access.route(id),
                        Step::Register(id) => access.register_and_end(id).await,
                        Step::Bind(id, to) => access.bind(id, to),
                    };
                    outcome.unwrap_or_else(|reason| failures.note(number, reason));
                }
            }
            (began.elapsed(), failures)
        });
        self.ractor.runtime.block_on(task).unwrap_or_else(|panic| {
            let mut failures = Failures::default();
            failures.note(start, panic);
            (Duration::ZERO, failures)
        })
    }
}

/// Returns items from `start` on with their numbers, beginning again at the end.
fn cycle_from<K>(row: &[K], start: usize, operations: usize) -> impl Iterator<Item = (usize, &K)> {
    row.iter().enumerate().cycle().skip(start % row.len()).take(operations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::tests::check_operations;

    /// One test, because there is one registry per process.
    #[test]
    fn every_operation_succeeds() {
        let ractor = Ractor::new(Size { entries: 50, threads: 2 }, 1).unwrap();
        let name = &ractor.names.servers[7];
        let found = ActorRef::<ActorMessage>::where_is(name).expect("it is registered");
        assert_eq!(found.get_id(), ractor.actors[7].get_id());

        check_operations(&ractor);

        let before = ractor.gate.received();
        let (_, failures) = ractor.timed_loop(Operation::Route, 0).run(0, 100);
        assert_eq!((failures.count(), ractor.gate.received()), (0, before), "the messages are in the mailboxes");
        ractor.drain();
        assert_eq!(ractor.gate.received() - before, 100, "the messages are received");

        let access = ractor.access();
        assert_eq!(ractor.runtime.block_on(access.register_and_end("another")), Ok(()));
        assert!(access.find(&"another".to_owned()).is_none(), "its name is free");
        assert!(ractor.runtime.block_on(access.register_and_end(name)).is_err(), "the name is taken");

        let (transport, server) = (&ractor.names.transports[0], &ractor.names.servers[7]);
        assert_eq!(access.bind(transport, server), Ok(()));
        assert_eq!(access.bind(transport, &"absent".to_owned()), Err("it was not found".to_owned()));
        assert_eq!(ractor.bindings.get(transport).map(|bound| bound.get_id()), Some(found.get_id()));
    }
}
