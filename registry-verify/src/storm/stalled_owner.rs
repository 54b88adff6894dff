//! One mailbox is full and its owner stalls, with many waiting for room, while 10,000 others get their messages.
//!
//! The routing to the others is timed in turns, with the stall and without it; the figures are medians of the rounds.
//! Some of those who wait have little patience and get their message back while the stall lasts. It ends in one round
//! with the owner reading everything, and in the next with the owner's death: every message is delivered once or
//! comes back.

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

/// How many messages the mailbox of the stalled one holds.
const ROOM: usize = 16;

/// One in so many who wait has little patience.
const IMPATIENT: usize = 4;

const PATIENCE: Duration = Duration::from_millis(1);

/// What becomes of the messages of those who wait: a number for each, and what came back.
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
        let (to_stalled, mut inbox) = mailbox(ROOM);
        let lease = expect_lease(registry.register_server("stalled", to_stalled, ()));
        let free = timed(&mut live, window, |live| {
            let sent = live.registry.route_to_server("stalled", &live.from, 0);
            let arrived = inbox.try_recv();
            (sent != Ok(()) || arrived.is_err()).then(|| format!("{sent:?}, and then {:?} was read", arrived.err()))
        });
        let room = (0..ROOM).map(|_| registry.route_to_server("stalled", &live.from, 0));
        recorder.expect_each("room at first", room, &Ok(()));
        let sending = wait(&runtime, &registry, waiting);
        let stalled = timed(&mut live, window, |live| {
            let sent = registry.route_to_server("stalled", &live.from, 0);
            (sent != Err(RouteError::Full(0))).then(|| format!("{sent:?}"))
        });
        for (when, served) in [("before it stalled", &free), ("when it was stalled", &stalled)] {
            recorder.expect_eq(&format!("the first wrong answer {when}"), &served.wrong, &None);
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
    rounds.note(recorder);
    recorder.expect_eq("messages to others that were lost, and the first", live.lost(), None);
    recorder.expect(live.all_current(), || "one that lives on is not registered any more".to_owned());
    drop(live);
    recorder.add_deaths(others);
    recorder.expect_empty("when all are gone", entry_counts(&registry));
}

/// How the others were served, and the first answer of the stalled one that was wrong.
struct Served {
    p99_ns: f64,
    wrong: Option<String>,
}

/// Routes to the others for a while, and now and then to the one that may be stalled, of whom something is expected:
/// whatever is said to be wrong with it should not be.
fn timed<B: Backend>(
    live: &mut LiveServers<B>,
    window: Duration,
    mut wrong_with: impl FnMut(&LiveServers<B>) -> Option<String>,
) -> Served {
    let (began, mut wrong) = (Instant::now(), None);
    let latencies = live.route_while(|live| {
        wrong = wrong.take().or_else(|| wrong_with(live));
        began.elapsed() < window
    });
    Served { p99_ns: latencies.p99_ns(), wrong }
}

/// Starts to send, and returns when all wait for room, or have given up.
fn wait<B: Backend>(runtime: &Runtime, registry: &Registry<u64, B>, waiting: usize) -> Sending {
    let (waits, all_wait) = mpsc::channel();
    let mut sending = JoinSet::new();
    for number in 1..=waiting {
        let limit = number.is_multiple_of(IMPATIENT).then_some(PATIENCE);
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
        // On a busy machine the little patience can be over before the wait has begun.
        outcome = &mut sending => {
            waits.send(()).expect("the storm waits until all wait");
            return (number, outcome);
        }
        () = async { waits.send(()).expect("the storm waits until all wait") } => {}
    }
    (number, sending.await)
}

/// The owner reads again, until everybody has been served.
fn all_are_delivered(
    runtime: &Runtime,
    mut sending: Sending,
    inbox: &mut Inbox<ToServer<u64>>,
    waiting: usize,
    recorder: &mut Recorder,
) {
    let (read, ends) = runtime.block_on(async {
        let (mut read, mut ends) = (Vec::new(), Vec::new());
        loop {
            tokio::select! {
                Some(delivery) = inbox.recv() => read.push(delivery.message),
                end = sending.join_next() => match end {
                    Some(end) => ends.push(end.expect("a sender does not panic")),
                    None => break,
                },
            }
        }
        while let Ok(delivery) = inbox.try_recv() {
            read.push(delivery.message);
        }
        (read, ends)
    });
    let arrived: BTreeSet<_> = read.iter().copied().filter(|&message| message != 0).collect();
    recorder.expect_eq("messages that were read", read.len(), ROOM + arrived.len());
    let told: BTreeSet<_> = ends.iter().filter(|(_, end)| end.is_ok()).map(|(number, _)| *number).collect();
    recorder.expect(told == arrived, || format!("{} were told that it arrived, {} arrived", told.len(), arrived.len()));
    let patient = waiting - waiting / IMPATIENT;
    recorder.expect(told.len() >= patient, || format!("{} of {patient} patient ones were served", told.len()));
    all_accounted_for(ends, waiting, recorder, |error| matches!(error, SendError::TimedOut(_)));
}

/// The owner is dead, and everybody is told.
fn all_fail(runtime: &Runtime, sending: Sending, waiting: usize, recorder: &mut Recorder) {
    let ends = runtime.block_on(sending.join_all());
    recorder.expect(ends.iter().all(|(_, end)| end.is_err()), || "a message to the dead was accepted".to_owned());
    all_accounted_for(ends, waiting, recorder, |error| matches!(error, SendError::TimedOut(_) | SendError::Closed(_)));
}

/// Every sender has its outcome, and what was not delivered came back for a good reason.
fn all_accounted_for(
    ends: Vec<(u64, Result<(), SendError<u64>>)>,
    waiting: usize,
    recorder: &mut Recorder,
    is_good: impl Fn(&SendError<u64>) -> bool,
) {
    let numbers: BTreeSet<_> = ends.iter().map(|(number, _)| *number).collect();
    recorder.expect_eq("senders that have an outcome", numbers.len(), waiting);
    for (number, end) in ends {
        if let Err(error) = end {
            recorder.expect(is_good(&error), || format!("message {number} came back as {error:?}"));
            recorder.expect_eq("the message that came back", error.into_message(), number);
        }
    }
}
