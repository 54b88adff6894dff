//! A tokio runtime is shut down while its tasks register, route and wait for capacity.
//!
//! Tasks are dropped at their suspension points, with their leases and inboxes. Only registrations with detached leases
//! remain, and a sweep removes them. A mailbox on which many tasks waited has its full capacity afterwards.

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

/// The capacity of the mailbox on which tasks wait.
const CAPACITY: usize = 64;

/// The iterations of a task before it reports to be running.
const ITERATIONS: usize = 10;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    shut_down::<B>(recorder, "in_the_background_ms", Runtime::shutdown_background);
    shut_down::<B>(recorder, "by_drop_ms", drop);
}

fn shut_down<B: Backend>(recorder: &mut Recorder, figure: &str, end: impl FnOnce(Runtime)) {
    let each = recorder.scaled(1_000);
    let registry = registry::<B>();
    let (to_stalled, stalled_inbox) = mailbox(CAPACITY);
    let stalled = expect_lease(registry.register_server("stalled", to_stalled, ()));
    fill(&registry, recorder);

    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("threads can be started");
    let (ready, running) = mpsc::channel();
    let (alive, gone) = mpsc::channel();
    for number in 0..each {
        let context =
            || TaskContext { registry: registry.clone(), number, each, ready: ready.clone(), _alive: alive.clone() };
        runtime.spawn(run_resident(context()));
        runtime.spawn(run_passing(context()));
        runtime.spawn(route(context()));
        runtime.spawn(wait(context()));
        runtime.spawn(run_abandoned(context()));
    }
    drop((ready, alive));
    let running = running.iter().take(5 * each).count();
    recorder.expect_eq("tasks running", running, 5 * each);

    let began = Instant::now();
    end(runtime);
    // No task sends anything, so this returns when the last one is dropped.
    let Err(mpsc::RecvError) = gone.recv();
    let took = began.elapsed();
    recorder.time(figure, took);
    recorder.set_cleanup(took);
    recorder.record_lag(took);
    // Two registrations of each resident, one of each passing transport, router and waiter, and two abandoned ones.
    recorder.add_deaths(7 * each);

    let abandoned = EntryCounts { servers: 1 + each, transports: each, bindings: each };
    recorder.expect_eq("entries before the sweep", entry_counts(&registry), abandoned);
    recorder.expect_eq("servers listed before the sweep", registry.list_servers().len(), 1);
    recorder.expect_eq("transports listed before the sweep", registry.list_transports().len(), 0);
    let swept = registry.sweep();
    recorder.expect_eq("entries removed by the sweep", (swept.servers, swept.transports), (each, each));
    let beside = EntryCounts { servers: entry_counts(&registry).servers.saturating_sub(1), ..entry_counts(&registry) };
    recorder.expect_empty("after the sweep", beside);

    expect_full_capacity(&registry, stalled_inbox, recorder);
    drop(stalled);
    recorder.expect_empty("at the end", entry_counts(&registry));
}

/// The context of a task, dropped last.
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

/// Runs a server with a bound transport, and reads the server's messages.
async fn run_resident<B: Backend>(context: TaskContext<B>) {
    let id = server("resident", context.number);
    let owner = Owner::server(&context.registry, id.clone());
    let _bound = Owner::bound(&context.registry, transport("resident", context.number), &id);
    context.ready();
    if let AnyInbox::Server(mut inbox) = owner.inbox {
        while inbox.recv().await.is_some() {}
    }
}

/// Registers and drops a transport repeatedly.
async fn run_passing<B: Backend>(context: TaskContext<B>) {
    for times in 1_usize.. {
        let _owner = Owner::transport(&context.registry, transport("passing", context.number));
        if times == ITERATIONS {
            context.ready();
        }
        tokio::task::yield_now().await;
    }
}

/// Routes messages from a transport to all residents in turn.
async fn route<B: Backend>(context: TaskContext<B>) {
    let id = transport("writer", context.number);
    let _owner = Owner::transport(&context.registry, id.clone());
    for times in 1_usize.. {
        let to = server("resident", (context.number + times) % context.each);
        // Not all residents are registered at first, and none at the end.
        let _ = context.registry.route_to_server(to, &id, 1);
        if times == ITERATIONS {
            context.ready();
        }
        tokio::task::yield_now().await;
    }
}

/// Waits as a transport for capacity in a full mailbox.
async fn wait<B: Backend>(context: TaskContext<B>) {
    let id = transport("waiter", context.number);
    let _owner = Owner::transport(&context.registry, id.clone());
    let mut sending = pin!(context.registry.send_to_server("stalled", &id, 2, None));
    tokio::select! {
        biased;
        _ = &mut sending => unreachable!("the mailbox is never read"),
        () = async { context.ready() } => {}
    }
    let _ = sending.await;
}

/// Detaches the leases of a server and a bound transport, but keeps reading.
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

/// Fills the mailbox on which tasks wait.
fn fill<B: Backend>(registry: &Registry<u64, B>, recorder: &mut Recorder) {
    let from = transport("filler", 0);
    let room = (0..CAPACITY).map(|_| registry.route_to_server("stalled", &from, 0));
    recorder.expect_each("messages that fill the mailbox", room, &Ok(()));
    let full = registry.route_to_server("stalled", &from, 0);
    recorder.expect_eq("message to the full mailbox", full, Err(RouteError::Full(0)));
}

/// Checks that no waiting task has delivered anything or leaked capacity.
fn expect_full_capacity<B: Backend>(
    registry: &Registry<u64, B>,
    mut inbox: Inbox<ToServer<u64>>,
    recorder: &mut Recorder,
) {
    let mut messages = Vec::new();
    while let Ok(delivery) = inbox.try_recv() {
        messages.push(delivery.message);
    }
    recorder.expect_eq("messages in the mailbox on which tasks waited", messages, vec![0; CAPACITY]);
    fill(registry, recorder);
}
