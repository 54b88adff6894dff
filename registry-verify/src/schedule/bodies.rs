//! The protocols whose schedules are explored, as bodies that are run once under each schedule.
//!
//! A body makes a registry of one shard, lets two or three threads do something to it at the same time, and asserts what
//! must hold however they took turns. Beside these, random programs are run, and judged as recorded histories are.

mod bindings;
mod messages;
mod names;
mod programs;
mod routes;

use registry_core::{Backend, Delivery};
use registry_router::{Registry, ServerId, ServerLease, TransportId, TransportLease};

use super::queue::{Queue, Queues};

pub(super) use programs::JUDGED;

/// A protocol of the router.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Its name, as in *register against death*.
    pub name: &'static str,
    pub(super) body: fn(),
}

/// All protocols, on one backend.
pub fn protocols<B: Backend>() -> Vec<Protocol> {
    let protocol = |name, body| Protocol { name, body };
    vec![
        protocol("register against death", names::register_against_death::<B>),
        protocol("lease drop against re-registration", names::lease_drop_against_reregistration::<B>),
        protocol("two removers", names::two_removers::<B>),
        protocol("closed mailbox against re-registration", names::closed_mailbox_against_reregistration::<B>),
        protocol("sweep against re-registration", names::sweep_against_reregistration::<B>),
        protocol("death told", names::death_told::<B>),
        protocol("bind against the transport's death", bindings::bind_against_the_transports_death::<B>),
        protocol("bind against the server's death", bindings::bind_against_the_servers_death::<B>),
        protocol("a server's death seen", bindings::a_servers_death_seen::<B>),
        protocol("two removers of a bound server", bindings::two_removers_of_a_bound_server::<B>),
        protocol("born bound against a rival", bindings::born_bound_against_a_rival::<B>),
        protocol("born bound against the server's death", bindings::born_bound_against_the_servers_death::<B>),
        protocol("move seen", bindings::move_seen::<B>),
        protocol("unregister against route", messages::unregister_against_route::<B>),
        protocol("broadcast against unbind", messages::broadcast_against_unbind::<B>),
        protocol("broadcast against deaths", messages::broadcast_against_deaths::<B>),
        protocol("waiting against the end", messages::waiting_against_the_end::<B>),
        protocol("waiting on the stalled against the end", messages::waiting_on_the_stalled_against_the_end::<B>),
        protocol("bound route against moves", routes::bound_route_against_moves::<B>),
        protocol("bound route against the server's death", routes::bound_route_against_the_servers_death::<B>),
        protocol("route many against deaths", routes::route_many_against_deaths::<B>),
        protocol("a random program", programs::a_program::<B>),
    ]
}

/// A registry of numbers, with mailboxes that the scheduler knows, and nobody who listens.
type World<B> = Registry<u64, B, Queues, ()>;

/// The mailbox of a server.
type ToServers = Queue<Delivery<TransportId, u64>>;

/// The mailbox of a transport.
type ToTransports = Queue<Delivery<ServerId, u64>>;

fn world<B: Backend>() -> World<B> {
    Registry::<u64, B, Queues>::builder().shards(1).probe(|_| ()).build().expect("one shard is valid")
}

/// Registers a server with room for two.
fn server<B: Backend>(world: &World<B>, id: &str) -> (ServerLease, ToServers) {
    let queue = Queue::new(2);
    let lease = world.register_server(id, queue.clone(), ()).expect("the name is free");
    (lease, queue)
}

/// Registers a transport with room for two.
fn transport<B: Backend>(world: &World<B>, id: &str) -> (TransportLease, ToTransports) {
    let queue = Queue::new(2);
    let lease = world.register_transport(id, queue.clone(), ()).expect("the name is free");
    (lease, queue)
}

fn server_id(id: &str) -> ServerId {
    ServerId::new(id).expect("the id is valid")
}

fn transport_id(id: &str) -> TransportId {
    TransportId::new(id).expect("the id is valid")
}

/// Asserts that nothing is left.
fn nothing_is_left<B: Backend>(world: &World<B>) {
    assert_eq!((world.server_count(), world.transport_count(), world.binding_count()), (0, 0, 0), "something is left");
}
