//! ractor: an actor for each entry, spawned under its name.
//!
//! A look-up is `where_is`, which hands out a clone; a message goes into a mailbox without a bound.
//! A name comes and goes with its actor, so a registration is the spawning of an actor and its end is waited for, in a
//! task on ractor's own runtime.
//! There are no bindings, so there is what a user would write: a `DashMap` beside it, from transports to actors.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::ractor::{Actor, ActorProcessingErr, ActorRef};
use anyhow::{Context as _, Result};
use dashmap::DashMap;
use registry_bench::ratio::Lap;
use registry_router::TransportId;
use tokio::runtime::Runtime;

use crate::gate::{Gate, Letter};
use crate::lap::{Access, Laps, Peer};
use crate::names::{Names, Size, Step};
use crate::operation::Operation;

/// At most so many messages for each server lie in its mailbox, as in those of others, although there is no bound.
const MOST_WAITING: usize = 128;

/// An actor that only takes its letters.
struct Keeper(Arc<Gate>);

impl Actor for Keeper {
    type Msg = Letter;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Letter>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Letter>, letter: Letter, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.0.take(letter).await;
        Ok(())
    }
}

/// ractor's registry, with everybody in it. It is one for the whole process.
pub struct Ractor {
    runtime: Runtime,
    gate: Arc<Gate>,
    actors: Vec<ActorRef<Letter>>,
    names: Arc<Names<String, String>>,
    bindings: Arc<DashMap<String, ActorRef<Letter>>>,
    sender: TransportId,
}

impl Ractor {
    /// Spawns an actor for each server and each transport under its name, and has them stop at the gate.
    ///
    /// # Errors
    ///
    /// If the runtime cannot be started, or a name is taken.
    pub fn new(size: Size, seed: u64) -> Result<Self> {
        let world = size.world(seed, 1);
        let names = Arc::new(Names::of(&world, size.threads, seed));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(size.threads).build()?;
        let gate = Gate::new();
        let actors = runtime.block_on(async {
            let mut actors = Vec::new();
            for name in names.servers.iter().chain(&names.transports) {
                let spawned = Actor::spawn(Some(name.clone()), Keeper(Arc::clone(&gate)), ()).await;
                actors.push(spawned.context("each name is taken once")?.0);
            }
            Ok::<_, anyhow::Error>(actors)
        })?;
        let ractor = Self { runtime, gate, actors, names, bindings: Arc::default(), sender: world.sender };
        ractor.settle();
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
    fn lap(&self, operation: Operation, thread: usize) -> Box<dyn Lap + '_> {
        match operation {
            Operation::Register | Operation::Mixed => Box::new(TaskLap { ractor: self, operation, thread }),
            _ => Laps::boxed(operation, self.access(), &*self.names, thread),
        }
    }

    fn settle(&self) {
        let hold = self.gate.next();
        for actor in &self.actors {
            // An actor that has died would not arrive, and that is seen by the time limit.
            let _ = actor.send_message(hold.clone());
        }
        self.runtime.block_on(self.gate.all_arrived(self.actors.len()));
    }

    fn room(&self) -> usize {
        self.names.servers.len() * MOST_WAITING
    }
}

struct OverRactor {
    gate: Arc<Gate>,
    bindings: Arc<DashMap<String, ActorRef<Letter>>>,
    sender: TransportId,
}

impl OverRactor {
    /// Spawns an actor under a name, stops it, and waits until it is gone and the name is free.
    async fn register_and_end(&self, server: &str) -> bool {
        let spawned = Actor::spawn(Some(server.to_owned()), Keeper(Arc::clone(&self.gate)), ()).await;
        let Ok((actor, end)) = spawned else { return false };
        actor.stop(None);
        end.await.is_ok()
    }
}

impl Access for OverRactor {
    type Server = String;
    type Transport = String;

    #[inline]
    fn find(&self, server: &String) -> bool {
        match ActorRef::<Letter>::where_is(server) {
            Some(actor) => {
                black_box(actor.get_id());
                true
            }
            None => false,
        }
    }

    #[inline]
    fn route(&self, server: &String) -> bool {
        match ActorRef::<Letter>::where_is(server) {
            Some(actor) => actor.send_message(Letter::Mail { from: self.sender.clone(), message: 1 }).is_ok(),
            None => false,
        }
    }

    /// Only a task can wait for the end of an actor: see [`TaskLap`].
    fn register(&self, _: &String) -> bool {
        false
    }

    #[inline]
    fn bind(&self, transport: &String, server: &String) -> bool {
        let found = (ActorRef::where_is(server), ActorRef::<Letter>::where_is(transport));
        let (Some(to), Some(_)) = found else { return false };
        self.bindings.insert(transport.clone(), to);
        true
    }
}

/// The loops that register, as a task among the actors.
struct TaskLap<'a> {
    ractor: &'a Ractor,
    operation: Operation,
    thread: usize,
}

impl Lap for TaskLap<'_> {
    fn run(&mut self, start: usize, operations: usize) -> (Duration, usize) {
        let (access, names) = (self.ractor.access(), Arc::clone(&self.ractor.names));
        let (operation, thread) = (self.operation, self.thread);
        let task = self.ractor.runtime.spawn(async move {
            let mut failed = 0;
            let began = Instant::now();
            if operation == Operation::Register {
                for id in in_a_row(&names.strangers[thread], start, operations) {
                    failed += usize::from(!access.register_and_end(id).await);
                }
            } else {
                for step in in_a_row(&names.steps[thread], start, operations) {
                    failed += usize::from(!match step {
                        Step::Lookup(id) => access.find(id),
                        Step::Route(id) => access.route(id),
                        Step::Register(id) => access.register_and_end(id).await,
                        Step::Bind(id, to) => access.bind(id, to),
                    });
                }
            }
            (began.elapsed(), failed)
        });
        // A task that panicked did none of it.
        self.ractor.runtime.block_on(task).unwrap_or((Duration::ZERO, operations))
    }
}

/// So many things from a place on, beginning again at the end.
fn in_a_row<K>(row: &[K], start: usize, operations: usize) -> impl Iterator<Item = &K> {
    row.iter().cycle().skip(start % row.len()).take(operations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::tests::does_what_it_says;

    /// One test, because there is one registry.
    #[test]
    fn it_does_what_it_says() {
        let ractor = Ractor::new(Size { entries: 50, threads: 2 }, 1).unwrap();
        let name = &ractor.names.servers[7];
        let found = ActorRef::<Letter>::where_is(name).expect("it is registered");
        assert_eq!(found.get_id(), ractor.actors[7].get_id());

        does_what_it_says(&ractor);

        let before = ractor.gate.taken();
        let (_, failed) = ractor.lap(Operation::Route, 0).run(0, 100);
        assert_eq!((failed, ractor.gate.taken()), (0, before), "they lie in the mailboxes");
        ractor.settle();
        assert_eq!(ractor.gate.taken() - before, 100, "they are taken");

        let access = ractor.access();
        assert!(ractor.runtime.block_on(access.register_and_end("somebody")));
        assert!(!access.find(&"somebody".to_owned()), "its name is free");
        assert!(!ractor.runtime.block_on(access.register_and_end(name)), "the name is taken");

        let (transport, server) = (&ractor.names.transports[0], &ractor.names.servers[7]);
        assert!(access.bind(transport, server) && !access.bind(transport, &"nobody".to_owned()));
        assert_eq!(ractor.bindings.get(transport).map(|bound| bound.get_id()), Some(found.get_id()));
    }
}
