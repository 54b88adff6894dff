//! One mailbox is full and its owner stalls, with many senders waiting, while 10,000 other servers receive messages.
//!
//! Routing to the others is timed alternately without and with the stall; the figures are medians of the rounds. Some
//! senders have a short time limit and get their message back during the stall. The stall ends in one round with the
//! owner reading everything, and in the next with its death: every message is delivered once or returned.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use registry_core::Backend;
use registry_router::{Inbox, Registry, RouteError, SendError, ToServer, mailbox};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::fixture::{entry_counts, registry, transport};
use super::owner::expect_lease;
use super::recorder::{Recorder, RoundMetrics};
use super::routing::LiveServers;

const ROUNDS: usize = 6;

/// The capacity of the stalled mailbox.
const CAPACITY: usize = 16;

/// One in this many senders has a time limit.
const IMPATIENT: usize = 4;

const TIME_LIMIT: Duration = Duration::from_millis(1);

/// The waiting sends, each with its number and its outcome.
type Sending = JoinSet<(u64, Result<(), SendError<u64>>)>;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let others = recorder.scaled(10_000);
    let waiting = recorder.scaled(1_000);
    let window = Duration::from_millis(recorder.scaled(200) as u64);
    let rng = recorder.rng();
    let mut live = LiveServers::new(registry::<B>(), others, rng);
    let registry = live.registry.clone();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("threads can be started");
    let mut rounds = RoundMetrics::default();
    for round in 0..ROUNDS {
        let (to_stalled, mut inbox) = mailbox(CAPACITY);
        let lease = expect_lease(registry.register_server("stalled", to_stalled, ()));
        let free = timed(&mut live, window, |live| {
            let sent = live.registry.route_to_server("stalled", &live.from, 0);
            let arrived = inbox.try_recv();
            (sent != Ok(()) || arrived.is_err()).then(|| format!("{sent:?}, then received {:?}", arrived.err()))
        });
        let room = (0..CAPACITY).map(|_| registry.route_to_server("stalled", &live.from, 0));
        recorder.expect_each("messages that fill the mailbox", room, &Ok(()));
        let sending = wait(&runtime, &registry, waiting);
        let stalled = timed(&mut live, window, |live| {
            let sent = registry.route_to_server("stalled", &live.from, 0);
            (sent != Err(RouteError::Full(0))).then(|| format!("{sent:?}"))
        });
        for (when, served) in [("before the stall", &free), ("during the stall", &stalled)] {
            recorder.expect_eq(&format!("first wrong result {when}"), &served.first_wrong, &None);
        }
        rounds.add("without_stall_p99_ns", free.p99_ns);
        rounds.add("with_stall_p99_ns", stalled.p99_ns);
        rounds.add("ratio_p99_x", stalled.p99_ns / free.p99_ns);

        let began = Instant::now();
        if round % 2 == 0 {
            all_are_delivered(&runtime, sending, &mut inbox, waiting, recorder);
            drop(lease);
        } else {
            drop((lease, inbox));
            all_fail(&runtime, sending, waiting, recorder);
        }
        rounds.add("stall_ends_ms", began.elapsed().as_secs_f64() * 1e3);
        recorder.add_deaths(1);
    }
    rounds.record_medians(recorder);
    recorder.expect_eq("number of lost messages, and the first", live.lost(), None);
    recorder.expect(live.all_current(), || "a live server is no longer registered".to_owned());
    drop(live);
    recorder.add_deaths(others);
    recorder.expect_empty("at the end", entry_counts(&registry));
}

/// The latency of the others, and the first wrong result of the stalled mailbox.
struct Served {
    p99_ns: f64,
    first_wrong: Option<String>,
}

/// Routes to the other servers for a while. Now and then calls `check`, which checks the mailbox that may be
/// stalled and returns what is wrong.
fn timed<B: Backend>(
    live: &mut LiveServers<B>,
    window: Duration,
    mut check: impl FnMut(&LiveServers<B>) -> Option<String>,
) -> Served {
    let (began, mut first_wrong) = (Instant::now(), None);
    let latencies = live.route_while(|live| {
        first_wrong = first_wrong.take().or_else(|| check(live));
        began.elapsed() < window
    });
    Served { p99_ns: latencies.p99_ns(), first_wrong }
}

/// Starts the senders, and returns when all wait for capacity or have given up.
fn wait<B: Backend>(runtime: &Runtime, registry: &Registry<u64, B>, waiting: usize) -> Sending {
    let (waits, all_wait) = mpsc::channel();
    let mut sending = JoinSet::new();
    for number in 1..=waiting {
        let limit = number.is_multiple_of(IMPATIENT).then_some(TIME_LIMIT);
        sending.spawn_on(send(registry.clone(), number as u64, limit, waits.clone()), runtime.handle());
    }
    drop(waits);
    all_wait.iter().take(waiting).count();
    sending
}

async fn send<B: Backend>(
    registry: Registry<u64, B>,
    number: u64,
    limit: Option<Duration>,
    waits: Sender<()>,
) -> (u64, Result<(), SendError<u64>>) {
    let from = transport("waiter", number as usize);
    let mut sending = pin!(registry.send_to_server("stalled", &from, number, limit));
    tokio::select! {
        biased;
        // On a busy machine the time limit can pass before the wait begins.
        outcome = &mut sending => {
            waits.send(()).expect("the storm waits for all senders");
            return (number, outcome);
        }
        () = async { waits.send(()).expect("the storm waits for all senders") } => {}
    }
    (number, sending.await)
}

/// The owner reads until all senders are done.
fn all_are_delivered(
    runtime: &Runtime,
    mut sending: Sending,
    inbox: &mut Inbox<ToServer<u64>>,
    waiting: usize,
    recorder: &mut Recorder,
) {
    let (read, outcomes) = runtime.block_on(async {
        let (mut read, mut outcomes) = (Vec::new(), Vec::new());
        loop {
            tokio::select! {
                Some(delivery) = inbox.recv() => read.push(delivery.message),
                outcome = sending.join_next() => match outcome {
                    Some(outcome) => outcomes.push(outcome.expect("a sender does not panic")),
                    None => break,
                },
            }
        }
        while let Ok(delivery) = inbox.try_recv() {
            read.push(delivery.message);
        }
        (read, outcomes)
    });
    let arrived: BTreeSet<_> = read.iter().copied().filter(|&message| message != 0).collect();
    recorder.expect_eq("received messages", read.len(), CAPACITY + arrived.len());
    let delivered: BTreeSet<_> =
        outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| *number).collect();
    recorder.expect(delivered == arrived, || {
        format!("{} reported as delivered, {} received", delivered.len(), arrived.len())
    });
    let patient = waiting - waiting / IMPATIENT;
    recorder.expect(delivered.len() >= patient, || {
        format!("{} of {patient} senders without limit delivered", delivered.len())
    });
    all_accounted_for(outcomes, waiting, recorder, |error| matches!(error, SendError::TimedOut(_)));
}

/// The owner has died, so all sends fail.
fn all_fail(runtime: &Runtime, sending: Sending, waiting: usize, recorder: &mut Recorder) {
    let outcomes = runtime.block_on(sending.join_all());
    recorder.expect(outcomes.iter().all(|(_, outcome)| outcome.is_err()), || {
        "a message to a dead entry was accepted".to_owned()
    });
    all_accounted_for(outcomes, waiting, recorder, |error| {
        matches!(error, SendError::TimedOut(_) | SendError::Closed(_))
    });
}

/// Every sender has an outcome, and every returned message an expected reason.
fn all_accounted_for(
    outcomes: Vec<(u64, Result<(), SendError<u64>>)>,
    waiting: usize,
    recorder: &mut Recorder,
    is_expected: impl Fn(&SendError<u64>) -> bool,
) {
    let numbers: BTreeSet<_> = outcomes.iter().map(|(number, _)| *number).collect();
    recorder.expect_eq("senders with an outcome", numbers.len(), waiting);
    for (number, outcome) in outcomes {
        if let Err(error) = outcome {
            recorder.expect(is_expected(&error), || format!("message {number} was returned as {error:?}"));
            recorder.expect_eq("returned message", error.into_message(), number);
        }
    }
}
