//! 100,000 leases are dropped at once.
//!
//! The leases are of 100 servers and of transports bound to them. `cleanup_ms` is the registry's own work: the leases are
//! dropped in the order in which they were taken, and the mailboxes have nothing to drop. It is the median of three
//! times. The other figures are the same work made harder:
//!
//! - `servers_last_ms`: no bindings end with their server, so each transport undoes its own.
//! - `random_order_ms`: nothing that is touched lies next to what was touched before.
//! - `with_mailboxes_ms`, `with_mailboxes_random_order_ms`: each entry has the last sending end of a channel of its own,
//!   which is closed. The inboxes are kept, so the channels' memory is given back outside of the time.
//! - `mailboxes_alone_random_order_ms`: what of the latter is the channels' part, measured without a registry.
//! - `two_threads_ms`: half of the leases each on two threads, and the time on the wall.
//!
//! All but the last one are work, not time on the wall.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use registry_core::{Backend, Mailbox, MailboxFamily, TrySendError};
use registry_router::{Inbox, Registry, ServerMailbox, ToTransport, TokioMailbox, TransportMailbox, mailbox};

use super::cpu_timer::CpuTimer;
use super::fixture::{entry_counts, server, transport};
use super::owner::{AnyLease, expect_lease};
use super::recorder::{EntryCounts, Recorder};

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let mut works: Vec<_> =
        (0..recorder.rounds(3)).map(|_| without_mailboxes::<B>(recorder, Order::AsTaken, exit)).collect();
    works.sort();
    let median = works[works.len() / 2];
    recorder.set_cleanup(median);
    // All died at the same moment, and the last is gone when the work is done.
    recorder.record_lag(median);
    recorder.time("fastest_ms", works[0]);
    recorder.time("slowest_ms", works[works.len() - 1]);

    let servers_last = without_mailboxes::<B>(recorder, Order::ServersLast, exit);
    recorder.time("servers_last_ms", servers_last);
    let random_order = without_mailboxes::<B>(recorder, Order::Random, exit);
    recorder.time("random_order_ms", random_order);
    let with_mailboxes_as_taken = with_mailboxes::<B>(recorder, Order::AsTaken);
    recorder.time("with_mailboxes_ms", with_mailboxes_as_taken);
    let with_mailboxes_in_random_order = with_mailboxes::<B>(recorder, Order::Random);
    recorder.time("with_mailboxes_random_order_ms", with_mailboxes_in_random_order);
    let mailboxes_alone = mailboxes_alone(recorder);
    recorder.time("mailboxes_alone_random_order_ms", mailboxes_alone);
    let two_threads = without_mailboxes::<B>(recorder, Order::AsTaken, exit_on_two_threads);
    recorder.time("two_threads_ms", two_threads);
}

/// In which order leases are dropped.
#[derive(Clone, Copy)]
enum Order {
    /// Servers first: transports that are bound to them came after them.
    AsTaken,
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
    let leases = fill(&registry, recorder, order, || kept(&mut to_servers), || kept(&mut to_transports));
    let took = exit(leases);
    recorder.expect_empty("after a mass exit", entry_counts(&registry));
    took
}

fn mailboxes_alone(recorder: &Recorder) -> Duration {
    let mut inboxes: Vec<Inbox<ToTransport<u64>>> = Vec::new();
    let mut mailboxes: Vec<_> = (0..leases(recorder)).map(|_| kept(&mut inboxes)).collect();
    recorder.rng().shuffle(&mut mailboxes);
    let cpu_timer = CpuTimer::begin();
    drop(mailboxes);
    cpu_timer.end()
}

fn leases(recorder: &Recorder) -> usize {
    recorder.scaled(100_000)
}

/// Registers servers, and transports bound to them in turn.
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
        "what is registered",
        entry_counts(registry),
        EntryCounts { servers, transports, bindings: transports },
    );
    recorder.add_deaths(leases.len());
    match order {
        Order::AsTaken => {}
        Order::ServersLast => leases.rotate_left(servers),
        Order::Random => recorder.rng().shuffle(&mut leases),
    }
    leases
}

/// A mailbox whose inbox is kept in a list.
fn kept<T: Send + 'static>(inboxes: &mut Vec<Inbox<T>>) -> TokioMailbox<T> {
    let (mailbox, inbox) = mailbox(1);
    inboxes.push(inbox);
    mailbox
}

/// Drops leases, and says how much work that was.
fn exit(leases: Vec<AnyLease>) -> Duration {
    let cpu_timer = CpuTimer::begin();
    drop(leases);
    cpu_timer.end()
}

/// Drops leases on two threads at once, and says how long that took.
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

/// Mailboxes with nothing to drop.
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
