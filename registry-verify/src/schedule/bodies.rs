//! The protocols whose schedules are explored. A body runs once under each schedule.
//!
//! A body creates a registry with one shard, lets two or three threads use it concurrently, and asserts what must hold
//! under every schedule. Random programs are run as well, and checked like the recorded histories.

mod bindings;
mod messages;
mod names;
mod programs;
mod routes;

use registry_core::{Backend, Delivery};
use registry_router::{Registry, ServerId, ServerLease, TransportId, TransportLease};

use super::queue::{Queue, Queues};

pub(super) use programs::CHECKED_CALLS;

/// A protocol of the router.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// The name, such as *register against death*.
    pub name: &'static str,
    pub(super) body: fn(),
}

/// Returns all protocols, for one backend.
pub fn protocols<B: Backend>() -> Vec<Protocol> {
    let protocol = |name, body| Protocol { name, body };
    vec![
        protocol("register against death", names::register_against_death::<B>),
        protocol("lease drop against re-registration", names::lease_drop_against_reregistration::<B>),
        protocol("two removers", names::two_removers::<B>),
        protocol("closed mailbox against re-registration", names::closed_mailbox_against_reregistration::<B>),
        protocol("sweep against re-registration", names::sweep_against_reregistration::<B>),
        protocol("removal event after name is free", names::removal_event_after_name_is_free::<B>),
        protocol("bind against transport death", bindings::bind_against_transport_death::<B>),
        protocol("bind against server death", bindings::bind_against_server_death::<B>),
        protocol("server death is visible at once", bindings::server_death_is_visible_at_once::<B>),
        protocol("two removers of a bound server", bindings::two_removers_of_a_bound_server::<B>),
        protocol("register bound against register", bindings::register_bound_against_register::<B>),
        protocol("register bound against server death", bindings::register_bound_against_server_death::<B>),
        protocol("move is atomic", bindings::move_is_atomic::<B>),
        protocol("unregister against route", messages::unregister_against_route::<B>),
        protocol("broadcast against unbind", messages::broadcast_against_unbind::<B>),
        protocol("broadcast against deaths", messages::broadcast_against_deaths::<B>),
        protocol("send against removal", messages::send_against_removal::<B>),
        protocol("send to stalled against removal", messages::send_to_stalled_against_removal::<B>),
        protocol("end against await", messages::end_against_await::<B>),
        protocol("register against await", messages::register_against_await::<B>),
        protocol("bound route against rebinding", routes::bound_route_against_rebinding::<B>),
        protocol("bound route against server death", routes::bound_route_against_server_death::<B>),
        protocol("route many against deaths", routes::route_many_against_deaths::<B>),
        protocol("random program", programs::random_program::<B>),
    ]
}

/// A registry of integers, with mailboxes that use the scheduler's lock, and without a probe.
type TestRegistry<B> = Registry<u64, B, Queues, ()>;

/// The mailbox of a server.
type ToServers = Queue<Delivery<TransportId, u64>>;

/// The mailbox of a transport.
type ToTransports = Queue<Delivery<ServerId, u64>>;

fn registry<B: Backend>() -> TestRegistry<B> {
    Registry::<u64, B, Queues>::builder().shards(1).probe(|_| ()).build().expect("one shard is valid")
}

/// Registers a server with a capacity of two.
fn server<B: Backend>(registry: &TestRegistry<B>, id: &str) -> (ServerLease, ToServers) {
    let queue = Queue::new(2);
    let lease = registry.register_server(id, queue.clone(), ()).expect("the name is free");
    (lease, queue)
}

/// Registers a transport with a capacity of two.
fn transport<B: Backend>(registry: &TestRegistry<B>, id: &str) -> (TransportLease, ToTransports) {
    let queue = Queue::new(2);
    let lease = registry.register_transport(id, queue.clone(), ()).expect("the name is free");
    (lease, queue)
}

fn server_id(id: &str) -> ServerId {
    ServerId::new(id).expect("the id is valid")
}

fn transport_id(id: &str) -> TransportId {
    TransportId::new(id).expect("the id is valid")
}

/// Asserts that no entry and no binding remains.
fn assert_empty<B: Backend>(registry: &TestRegistry<B>) {
    assert_eq!(
        (registry.server_count(), registry.transport_count(), registry.binding_count()),
        (0, 0, 0),
        "entries remain"
    );
}
