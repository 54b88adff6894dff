//! kameo: an actor for each entry, in the registry that kameo has for its own node.
//!
//! A lookup is `ActorRef::lookup`, which hands out a clone; a registration is `register`, and its end is the removal
//! of the name; a message is `tell` without waiting, into a bounded mailbox.
//! There are no bindings, so a `DashMap` from transports to actors stands beside it, as a user would write.

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

use crate::gate::{ActorMessage, Gate};
use crate::names::{Names, Size};
use crate::peer::Peer;

/// The capacity of a mailbox, as of the other peers.
const CAPACITY: usize = 256;

/// An actor that drops its messages.
struct SinkActor(Arc<Gate>);

impl Actor for SinkActor {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(actor: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(actor)
    }
}

impl Message<ActorMessage> for SinkActor {
    type Reply = ();

    async fn handle(&mut self, message: ActorMessage, _: &mut Context<Self, ()>) {
        self.0.handle(message).await;
    }
}

/// The registry of kameo with all actors. There is one per process.
pub struct Kameo {
    runtime: Runtime,
    gate: Arc<Gate>,
    actors: Vec<ActorRef<SinkActor>>,
    names: Names<String, String>,
    bindings: DashMap<String, ActorRef<SinkActor>>,
    sender: TransportId,
}

impl Kameo {
    /// Spawns an actor for each server and each transport, registers and pauses them.
    ///
    /// # Errors
    ///
    /// If the runtime cannot be started, or a name is taken.
    pub fn new(size: Size, seed: u64) -> Result<Self> {
        let fixture = size.fixture(seed, 1);
        let names = Names::of(&fixture, size.threads, seed);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(size.threads).build()?;
        let gate = Gate::new();
        let entered = runtime.enter();
        let actors = names
            .servers
            .iter()
            .chain(&names.transports)
            .map(|name| {
                let actor = SinkActor::spawn_with_mailbox(SinkActor(Arc::clone(&gate)), mailbox::bounded(CAPACITY));
                actor.register(name.clone()).context("each name is registered once")?;
                Ok(actor)
            })
            .collect::<Result<Vec<_>>>()?;
        drop(entered);
        let kameo = Self { runtime, gate, actors, names, bindings: DashMap::new(), sender: fixture.sender };
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
        // A living actor is registered under one more name.
        let access = OverKameo { kameo: self, registrant: self.actors[thread % self.actors.len()].clone() };
        OperationLoop::boxed(operation, access, self.names.keys(thread))
    }

    fn drain(&self) {
        let pause = self.gate.begin_pause();
        self.runtime.block_on(async {
            for actor in &self.actors {
                // Waits for room; a dead actor would never pause, which the time limit detects.
                let _ = actor.tell(pause.clone()).send().await;
            }
            self.gate.wait_for_all(self.actors.len()).await;
        });
    }

    fn room(&self) -> usize {
        self.names.servers.len() * CAPACITY / 2
    }
}

struct OverKameo<'a> {
    kameo: &'a Kameo,
    registrant: ActorRef<SinkActor>,
}

impl Access for OverKameo<'_> {
    type Server = String;
    type Transport = String;

    #[inline]
    fn find(&self, server: &String) -> Option<bool> {
        match ActorRef::<SinkActor>::lookup(server.as_str()) {
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
        let message = ActorMessage::Deliver { from: self.kameo.sender.clone(), message: 1 };
        actor.tell(message).try_send().map_err(|error| error.to_string())
    }

    #[inline]
    fn register(&self, server: &String) -> Outcome {
        self.registrant.register(server.clone()).map_err(|error| error.to_string())?;
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
fn registered(name: &str) -> Result<ActorRef<SinkActor>, String> {
    let found = ActorRef::<SinkActor>::lookup(name).map_err(|error| error.to_string())?;
    found.ok_or_else(|| "it was not found".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::tests::check_operations;

    /// One test, because there is one registry per process.
    #[test]
    fn every_operation_succeeds() {
        let kameo = Kameo::new(Size { entries: 50, threads: 2 }, 1).unwrap();
        let name = kameo.names.servers[7].as_str();
        let found = ActorRef::<SinkActor>::lookup(name).unwrap().expect("it is registered");
        assert_eq!(found.id(), kameo.actors[7].id());

        check_operations(&kameo);

        let (_, failures) = kameo.timed_loop(Operation::Route, 0).run(0, 100);
        failures.check().unwrap();
        let waiting = || -> usize {
            let free = |actor: &ActorRef<SinkActor>| actor.mailbox_sender().capacity().expect("it is bounded");
            kameo.actors.iter().map(|actor| CAPACITY - free(actor)).sum()
        };
        assert_eq!(waiting(), 100, "the messages are in the mailboxes");
        let before = kameo.gate.received();
        kameo.drain();
        assert_eq!((waiting(), kameo.gate.received() - before), (0, 100), "the messages are received");

        let (transport, server) = (&kameo.names.transports[0], &kameo.names.servers[7]);
        let access = OverKameo { kameo: &kameo, registrant: found.clone() };
        assert_eq!(access.bind(transport, server), Ok(()));
        assert_eq!(access.bind(transport, &"absent".to_owned()), Err("it was not found".to_owned()));
        assert_eq!(kameo.bindings.get(transport).map(|bound| bound.id()), Some(found.id()));
    }
}
