//! 100,000 leases are dropped at once.
//!
//! The leases are those of 100 servers and of transports bound to them. `cleanup_ms` is the registry's own work: the
//! leases are dropped in the order of registration, and the mailboxes have nothing to drop. It is the median of three
//! runs. The other figures are harder variants of the same work:
//!
//! - `servers_last_ms`: no bindings end with their server, so each transport removes its own.
//! - `random_order_ms`: no memory locality between consecutive drops.
//! - `with_mailboxes_ms`, `with_mailboxes_random_order_ms`: each entry holds the last sender of a channel of its own,
//!   which closes. The inboxes are kept, so the channels' memory is released outside of the measurement.
//! - `mailboxes_alone_random_order_ms`: the channels' share of the latter, measured without a registry.
//! - `two_threads_ms`: half of the leases on each of two threads.
//!
//! All but the last are CPU times; that one is wall-clock time.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use registry_core::{Backend, Mailbox, MailboxFamily, TrySendError};
use registry_router::{Inbox, Registry, ServerMailbox, ToTransport, TokioMailbox, TransportMailbox, mailbox};

use super::cpu_timer::CpuTimer;
use super::fixture::{entry_counts, server, transport};
use super::owner::expect_lease;
use super::recorder::{EntryCounts, Recorder};
use crate::any_lease::AnyLease;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let mut works: Vec<_> =
        (0..recorder.rounds(3)).map(|_| without_mailboxes::<B>(recorder, Order::AsRegistered, exit)).collect();
    works.sort();
    let median = works[works.len() / 2];
    recorder.set_cleanup(median);
    // All owners died at the same instant, and the last entry is removed when the work is done.
    recorder.record_lag(median);
    recorder.time("fastest_ms", works[0]);
    recorder.time("slowest_ms", works[works.len() - 1]);

    let servers_last = without_mailboxes::<B>(recorder, Order::ServersLast, exit);
    recorder.time("servers_last_ms", servers_last);
    let random_order = without_mailboxes::<B>(recorder, Order::Random, exit);
    recorder.time("random_order_ms", random_order);
    let with_mailboxes_as_registered = with_mailboxes::<B>(recorder, Order::AsRegistered);
    recorder.time("with_mailboxes_ms", with_mailboxes_as_registered);
    let with_mailboxes_in_random_order = with_mailboxes::<B>(recorder, Order::Random);
    recorder.time("with_mailboxes_random_order_ms", with_mailboxes_in_random_order);
    let mailboxes_alone = mailboxes_alone(recorder);
    recorder.time("mailboxes_alone_random_order_ms", mailboxes_alone);
    let two_threads = without_mailboxes::<B>(recorder, Order::AsRegistered, exit_on_two_threads);
    recorder.time("two_threads_ms", two_threads);
}

/// The order in which leases are dropped.
#[derive(Clone, Copy)]
enum Order {
    /// Servers before the transports bound to them.
    AsRegistered,
    ServersLast,
    Random,
}

fn without_mailboxes<B: Backend>(
    recorder: &mut Recorder,
    order: Order,
    exit: impl FnOnce(Vec<AnyLease>) -> Duration,
) -> Duration {
    let registry = Registry::<u64, B, NullMailboxes>::builder().build().expect("the default settings are valid");
    let leases = fill(&registry, recorder, order, || NullMailbox, || NullMailbox);
    let took = exit(leases);
    recorder.expect_empty("after a mass exit without mailboxes", entry_counts(&registry));
    took
}

fn with_mailboxes<B: Backend>(recorder: &mut Recorder, order: Order) -> Duration {
    let registry = super::fixture::registry::<B>();
    let (mut to_servers, mut to_transports) = (Vec::new(), Vec::new());
    let leases =
        fill(&registry, recorder, order, || mailbox_into(&mut to_servers), || mailbox_into(&mut to_transports));
    let took = exit(leases);
    recorder.expect_empty("after a mass exit", entry_counts(&registry));
    took
}

fn mailboxes_alone(recorder: &Recorder) -> Duration {
    let mut inboxes: Vec<Inbox<ToTransport<u64>>> = Vec::new();
    let mut mailboxes: Vec<_> = (0..leases(recorder)).map(|_| mailbox_into(&mut inboxes)).collect();
    recorder.rng().shuffle(&mut mailboxes);
    let cpu_timer = CpuTimer::begin();
    drop(mailboxes);
    cpu_timer.end()
}

fn leases(recorder: &Recorder) -> usize {
    recorder.scaled(100_000)
}

/// Registers servers, and transports bound to them round-robin.
fn fill<B: Backend, X: MailboxFamily>(
    registry: &Registry<u64, B, X>,
    recorder: &mut Recorder,
    order: Order,
    mut to_server: impl FnMut() -> ServerMailbox<u64, X>,
    mut to_transport: impl FnMut() -> TransportMailbox<u64, X>,
) -> Vec<AnyLease> {
    let servers = recorder.scaled(100);
    let transports = leases(recorder) - servers;
    let mut leases = Vec::with_capacity(servers + transports);
    for number in 0..servers {
        let lease = registry.register_server(server("server", number), to_server(), ());
        leases.push(AnyLease::Server(expect_lease(lease)));
    }
    for number in 0..transports {
        let (id, home) = (transport("transport", number), server("server", number % servers));
        let lease = registry.register_transport_bound_to(id, to_transport(), (), home);
        leases.push(AnyLease::Transport(expect_lease(lease)));
    }
    recorder.expect_eq(
        "entries after registration",
        entry_counts(registry),
        EntryCounts { servers, transports, bindings: transports },
    );
    recorder.add_deaths(leases.len());
    match order {
        Order::AsRegistered => {}
        Order::ServersLast => leases.rotate_left(servers),
        Order::Random => recorder.rng().shuffle(&mut leases),
    }
    leases
}

/// Returns a mailbox whose inbox is appended to `inboxes`.
fn mailbox_into<T: Send + 'static>(inboxes: &mut Vec<Inbox<T>>) -> TokioMailbox<T> {
    let (mailbox, inbox) = mailbox(1);
    inboxes.push(inbox);
    mailbox
}

/// Drops leases and returns the CPU time.
fn exit(leases: Vec<AnyLease>) -> Duration {
    let cpu_timer = CpuTimer::begin();
    drop(leases);
    cpu_timer.end()
}

/// Drops leases on two threads at once and returns the wall-clock time.
fn exit_on_two_threads(mut leases: Vec<AnyLease>) -> Duration {
    let others = leases.split_off(leases.len() / 2);
    let together = Barrier::new(3);
    thread::scope(|scope| {
        for half in [leases, others] {
            let together = &together;
            scope.spawn(move || {
                together.wait();
                drop(half);
                together.wait();
            });
        }
        together.wait();
        let began = Instant::now();
        together.wait();
        began.elapsed()
    })
}

/// A family of mailboxes without a destructor.
enum NullMailboxes {}

impl MailboxFamily for NullMailboxes {
    type Mailbox<T: Send + 'static> = NullMailbox;
}

/// A mailbox that is always full.
#[derive(Clone)]
struct NullMailbox;

impl<T: Send + 'static> Mailbox<T> for NullMailbox {
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        Err(TrySendError::Full(item))
    }

    fn is_closed(&self) -> bool {
        false
    }
}
