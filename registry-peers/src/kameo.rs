//! kameo: an actor for each entry, in the registry that kameo has for its own node.
//!
//! A lookup is `ActorRef::lookup`, which hands out a clone; a registration is `register`, and its end is the removal
//! of the name; a message is `tell` without waiting, into a bounded mailbox.
//! There are no bindings, so there is what a user would write: a `DashMap` beside it, from transports to actors.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::{Arc, PoisonError};

use ::kameo::actor::{Actor, ActorRef, Spawn};
use ::kameo::mailbox;
use ::kameo::message::{Context, Message};
use ::kameo::registry::ACTOR_REGISTRY;
use anyhow::{Context as _, Result};
use dashmap::DashMap;
use registry_bench::timed_loop::{Access, Operation, OperationLoop, Outcome, TimedLoop};
use registry_router::TransportId;
use tokio::runtime::Runtime;

use crate::gate::{Gate, Letter};
use crate::names::{Names, Size};
use crate::peer::Peer;

/// How many letters a mailbox holds, as in the others'.
const CAPACITY: usize = 256;

/// An actor that only takes its letters.
struct Keeper(Arc<Gate>);

impl Actor for Keeper {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(keeper: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(keeper)
    }
}

impl Message<Letter> for Keeper {
    type Reply = ();

    async fn handle(&mut self, letter: Letter, _: &mut Context<Self, ()>) {
        self.0.take(letter).await;
    }
}

/// kameo's registry, with everybody in it. It is one for the whole process.
pub struct Kameo {
    runtime: Runtime,
    gate: Arc<Gate>,
    actors: Vec<ActorRef<Keeper>>,
    names: Names<String, String>,
    bindings: DashMap<String, ActorRef<Keeper>>,
    sender: TransportId,
}

impl Kameo {
    /// Spawns an actor for each server and each transport, registers them, and has them stop at the gate.
    ///
    /// # Errors
    ///
    /// If the runtime cannot be started, or a name is taken.
    pub fn new(size: Size, seed: u64) -> Result<Self> {
        let world = size.world(seed, 1);
        let names = Names::of(&world, size.threads, seed);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(size.threads).build()?;
        let gate = Gate::new();
        let entered = runtime.enter();
        let actors = names
            .servers
            .iter()
            .chain(&names.transports)
            .map(|name| {
                let actor = Keeper::spawn_with_mailbox(Keeper(Arc::clone(&gate)), mailbox::bounded(CAPACITY));
                actor.register(name.clone()).context("each name is registered once")?;
                Ok(actor)
            })
            .collect::<Result<Vec<_>>>()?;
        drop(entered);
        let kameo = Self { runtime, gate, actors, names, bindings: DashMap::new(), sender: world.sender };
        kameo.drain();
        Ok(kameo)
    }
}

impl std::fmt::Debug for Kameo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kameo").field("actors", &self.actors.len()).finish_non_exhaustive()
    }
}

impl Peer for Kameo {
    fn timed_loop(&self, operation: Operation, thread: usize) -> Box<dyn TimedLoop + '_> {
        // Who is registered for a moment is alive already.
        let access = OverKameo { kameo: self, claimant: self.actors[thread % self.actors.len()].clone() };
        OperationLoop::boxed(operation, access, self.names.keys(thread))
    }

    fn drain(&self) {
        let hold = self.gate.next();
        self.runtime.block_on(async {
            for actor in &self.actors {
                // Waits for room; an actor that has died would not arrive, and that is seen by the time limit.
                let _ = actor.tell(hold.clone()).send().await;
            }
            self.gate.all_arrived(self.actors.len()).await;
        });
    }

    fn room(&self) -> usize {
        self.names.servers.len() * CAPACITY / 2
    }
}

struct OverKameo<'a> {
    kameo: &'a Kameo,
    claimant: ActorRef<Keeper>,
}

impl Access for OverKameo<'_> {
    type Server = String;
    type Transport = String;

    #[inline]
    fn find(&self, server: &String) -> Option<bool> {
        match ActorRef::<Keeper>::lookup(server.as_str()) {
            Ok(Some(actor)) => {
                black_box(actor.id());
                Some(true)
            }
            _ => None,
        }
    }

    #[inline]
    fn route(&self, server: &String) -> Outcome {
        let actor = registered(server)?;
        let letter = Letter::Mail { from: self.kameo.sender.clone(), message: 1 };
        actor.tell(letter).try_send().map_err(|error| error.to_string())
    }

    #[inline]
    fn register(&self, server: &String) -> Outcome {
        self.claimant.register(server.clone()).map_err(|error| error.to_string())?;
        let ended = ACTOR_REGISTRY.lock().unwrap_or_else(PoisonError::into_inner).remove(server.as_str());
        if ended { Ok(()) } else { Err("it was not there to be removed".to_owned()) }
    }

    #[inline]
    fn bind(&self, transport: &String, server: &String) -> Outcome {
        let to = registered(server)?;
        registered(transport)?;
        self.kameo.bindings.insert(transport.clone(), to);
        Ok(())
    }
}

#[inline]
fn registered(name: &str) -> Result<ActorRef<Keeper>, String> {
    let found = ActorRef::<Keeper>::lookup(name).map_err(|error| error.to_string())?;
    found.ok_or_else(|| "it was not found".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::tests::does_what_it_says;

    /// One test, because there is one registry.
    #[test]
    fn it_does_what_it_says() {
        let kameo = Kameo::new(Size { entries: 50, threads: 2 }, 1).unwrap();
        let name = kameo.names.servers[7].as_str();
        let found = ActorRef::<Keeper>::lookup(name).unwrap().expect("it is registered");
        assert_eq!(found.id(), kameo.actors[7].id());

        does_what_it_says(&kameo);

        let (_, failures) = kameo.timed_loop(Operation::Route, 0).run(0, 100);
        failures.check().unwrap();
        let waiting = || -> usize {
            let free = |actor: &ActorRef<Keeper>| actor.mailbox_sender().capacity().expect("it is bounded");
            kameo.actors.iter().map(|actor| CAPACITY - free(actor)).sum()
        };
        assert_eq!(waiting(), 100, "they lie in the mailboxes");
        let before = kameo.gate.taken();
        kameo.drain();
        assert_eq!((waiting(), kameo.gate.taken() - before), (0, 100), "they are taken");

        let (transport, server) = (&kameo.names.transports[0], &kameo.names.servers[7]);
        let access = OverKameo { kameo: &kameo, claimant: found.clone() };
        assert_eq!(access.bind(transport, server), Ok(()));
        assert_eq!(access.bind(transport, &"nobody".to_owned()), Err("it was not found".to_owned()));
        assert_eq!(kameo.bindings.get(transport).map(|bound| bound.id()), Some(found.id()));
    }
}
