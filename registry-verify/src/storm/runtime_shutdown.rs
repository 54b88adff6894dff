//! A tokio runtime is shut down while its tasks register, route and wait for room.
//!
//! Nobody in there says goodbye: tasks are dropped where they stand, with their leases and inboxes. What is left is what
//! tasks had detached, and a sweep takes that out. A mailbox that many waited for has as much room as before.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use registry_core::Backend;
use registry_router::{Inbox, Registry, RouteError, ToServer, mailbox};
use tokio::runtime::{Builder, Runtime};

use super::fixture::{entry_counts, registry, server, transport};
use super::owner::{AnyInbox, Owner, expect_lease};
use super::recorder::{EntryCounts, Recorder};

/// How many messages the mailbox holds that everybody waits for.
const ROOM: usize = 64;

/// How often a task does what it does before it says that it is at it.
const OFTEN: usize = 10;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    shut_down::<B>(recorder, "in_the_background_ms", Runtime::shutdown_background);
    shut_down::<B>(recorder, "by_drop_ms", drop);
}

fn shut_down<B: Backend>(recorder: &mut Recorder, figure: &str, end: impl FnOnce(Runtime)) {
    let each = recorder.scaled(1_000);
    let registry = registry::<B>();
    let (to_stalled, stalled_inbox) = mailbox(ROOM);
    let stalled = expect_lease(registry.register_server("stalled", to_stalled, ()));
    fill(&registry, recorder);

    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("threads can be started");
    let (ready, at_it) = mpsc::channel();
    let (alive, gone) = mpsc::channel();
    for number in 0..each {
        let context =
            || TaskContext { registry: registry.clone(), number, each, ready: ready.clone(), _alive: alive.clone() };
        runtime.spawn(run_resident(context()));
        runtime.spawn(come_and_go(context()));
        runtime.spawn(route(context()));
        runtime.spawn(wait(context()));
        runtime.spawn(run_abandoned(context()));
    }
    drop((ready, alive));
    let at_it = at_it.iter().take(5 * each).count();
    recorder.expect_eq("tasks that were at it", at_it, 5 * each);

    let began = Instant::now();
    end(runtime);
    // No task ever sends anything, so this returns when the last one is gone.
    let Err(mpsc::RecvError) = gone.recv();
    let took = began.elapsed();
    recorder.time(figure, took);
    recorder.set_cleanup(took);
    recorder.record_lag(took);
    // Residents with two registrations each, one registration of who comes and goes, of routers and of waiters, and the
    // two that were abandoned.
    recorder.add_deaths(7 * each);

    let abandoned = EntryCounts { servers: 1 + each, transports: each, bindings: each };
    recorder.expect_eq("what is left before the sweep", entry_counts(&registry), abandoned);
    recorder.expect_eq("servers that can be found before the sweep", registry.list_servers().len(), 1);
    recorder.expect_eq("transports that can be found before the sweep", registry.list_transports().len(), 0);
    let swept = registry.sweep();
    recorder.expect_eq("what a sweep takes out", (swept.servers, swept.transports), (each, each));
    let beside = EntryCounts { servers: entry_counts(&registry).servers.saturating_sub(1), ..entry_counts(&registry) };
    recorder.expect_empty("after the sweep", beside);

    drained_and_whole(&registry, stalled_inbox, recorder);
    drop(stalled);
    recorder.expect_empty("when all are gone", entry_counts(&registry));
}

/// What a task is given. It is the last thing that a task drops.
struct TaskContext<B: Backend> {
    registry: Registry<u64, B>,
    number: usize,
    each: usize,
    ready: Sender<()>,
    _alive: Sender<Infallible>,
}

impl<B: Backend> TaskContext<B> {
    fn ready(&self) {
        self.ready.send(()).expect("the storm waits until all are ready");
    }
}

/// A server with a transport, and whoever reads the server's messages.
async fn run_resident<B: Backend>(context: TaskContext<B>) {
    let id = server("resident", context.number);
    let owner = Owner::server(&context.registry, id.clone());
    let _bound = Owner::bound(&context.registry, transport("resident", context.number), &id);
    context.ready();
    if let AnyInbox::Server(mut inbox) = owner.inbox {
        while inbox.recv().await.is_some() {}
    }
}

/// A transport that registers and leaves, again and again.
async fn come_and_go<B: Backend>(context: TaskContext<B>) {
    for times in 1_usize.. {
        let _owner = Owner::transport(&context.registry, transport("passing", context.number));
        if times == OFTEN {
            context.ready();
        }
        tokio::task::yield_now().await;
    }
}

/// A transport that writes to all residents, one after the other.
async fn route<B: Backend>(context: TaskContext<B>) {
    let id = transport("writer", context.number);
    let _owner = Owner::transport(&context.registry, id.clone());
    for times in 1_usize.. {
        let to = server("resident", (context.number + times) % context.each);
        // Not all residents are there at first, and none at the end.
        let _ = context.registry.route_to_server(to, &id, 1);
        if times == OFTEN {
            context.ready();
        }
        tokio::task::yield_now().await;
    }
}

/// A transport that waits for room in a mailbox that is full.
async fn wait<B: Backend>(context: TaskContext<B>) {
    let id = transport("waiter", context.number);
    let _owner = Owner::transport(&context.registry, id.clone());
    let mut sending = pin!(context.registry.send_to_server("stalled", &id, 2, None));
    tokio::select! {
        biased;
        _ = &mut sending => unreachable!("nobody reads what is in the mailbox"),
        () = async { context.ready() } => {}
    }
    let _ = sending.await;
}

/// A server and a transport bound to it whose leases are given up, but whose inboxes are read.
async fn run_abandoned<B: Backend>(context: TaskContext<B>) {
    let id = server("abandoned", context.number);
    let owner = Owner::server(&context.registry, id.clone());
    let bound = Owner::bound(&context.registry, transport("abandoned", context.number), &id);
    owner.lease.detach();
    bound.lease.detach();
    let _inbox = bound.inbox;
    context.ready();
    if let AnyInbox::Server(mut inbox) = owner.inbox {
        while inbox.recv().await.is_some() {}
    }
}

/// Fills the mailbox that everybody waits for.
fn fill<B: Backend>(registry: &Registry<u64, B>, recorder: &mut Recorder) {
    let from = transport("filler", 0);
    let room = (0..ROOM).map(|_| registry.route_to_server("stalled", &from, 0));
    recorder.expect_each("messages that fill a mailbox", room, &Ok(()));
    let full = registry.route_to_server("stalled", &from, 0);
    recorder.expect_eq("one more", full, Err(RouteError::Full(0)));
}

/// Nobody who waited has delivered anything, and nobody has taken room along.
fn drained_and_whole<B: Backend>(
    registry: &Registry<u64, B>,
    mut inbox: Inbox<ToServer<u64>>,
    recorder: &mut Recorder,
) {
    let mut messages = Vec::new();
    while let Ok(delivery) = inbox.try_recv() {
        messages.push(delivery.message);
    }
    recorder.expect_eq("messages in the mailbox that all waited for", messages, vec![0; ROOM]);
    fill(registry, recorder);
}
