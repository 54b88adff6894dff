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

use super::field::{held, registry, transport};
use super::logbook::{Logbook, Rounds};
use super::owner::granted;
use super::routing::Living;

const ROUNDS: usize = 6;

/// How many messages the mailbox of the stalled one holds.
const ROOM: usize = 16;

/// One in so many who wait has little patience.
const IMPATIENT: usize = 4;

const PATIENCE: Duration = Duration::from_millis(1);

/// What becomes of the messages of those who wait: a number for each, and what came back.
type Sending = JoinSet<(u64, Result<(), SendError<u64>>)>;

pub(super) fn run<B: Backend>(logbook: &mut Logbook) {
    let others = logbook.sized(10_000);
    let waiting = logbook.sized(1_000);
    let window = Duration::from_millis(logbook.sized(200) as u64);
    let rng = logbook.rng();
    let mut living = Living::new(registry::<B>(), others, rng);
    let registry = living.registry.clone();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("threads can be started");
    let mut rounds = Rounds::default();
    for round in 0..ROUNDS {
        let (to_stalled, mut inbox) = mailbox(ROOM);
        let lease = granted(registry.register_server("stalled", to_stalled, ()));
        let free = timed(&mut living, window, |living| {
            let sent = living.registry.route_to_server("stalled", &living.from, 0);
            let arrived = inbox.try_recv();
            (sent != Ok(()) || arrived.is_err()).then(|| format!("{sent:?}, and then {:?} was read", arrived.err()))
        });
        let room = (0..ROOM).map(|_| registry.route_to_server("stalled", &living.from, 0));
        logbook.expect_each("room at first", room, &Ok(()));
        let sending = wait(&runtime, &registry, waiting);
        let stalled = timed(&mut living, window, |living| {
            let sent = registry.route_to_server("stalled", &living.from, 0);
            (sent != Err(RouteError::Full(0))).then(|| format!("{sent:?}"))
        });
        for (when, served) in [("before it stalled", &free), ("when it was stalled", &stalled)] {
            logbook.expect_eq(&format!("the first wrong answer {when}"), &served.wrong, &None);
        }
        rounds.add("without_stall_p99_ns", free.p99_ns);
        rounds.add("with_stall_p99_ns", stalled.p99_ns);
        rounds.add("ratio_p99_x", stalled.p99_ns / free.p99_ns);

        let began = Instant::now();
        if round % 2 == 0 {
            all_arrive(&runtime, sending, &mut inbox, waiting, logbook);
            drop(lease);
        } else {
            drop((lease, inbox));
            all_come_back(&runtime, sending, waiting, logbook);
        }
        rounds.add("stall_ends_ms", began.elapsed().as_secs_f64() * 1e3);
        logbook.died(1);
    }
    rounds.note(logbook);
    logbook.expect_eq("messages to others that were lost, and the first", living.lost(), None);
    logbook.expect(living.all_current(), || "one that lives on is not registered any more".to_owned());
    drop(living);
    logbook.died(others);
    logbook.left_over("when all are gone", held(&registry));
}

/// How the others were served, and the first answer of the stalled one that was wrong.
struct Served {
    p99_ns: f64,
    wrong: Option<String>,
}

/// Routes to the others for a while, and now and then to the one that may be stalled, of whom something is expected:
/// whatever is said to be wrong with it should not be.
fn timed<B: Backend>(
    living: &mut Living<B>,
    window: Duration,
    mut wrong_with: impl FnMut(&Living<B>) -> Option<String>,
) -> Served {
    let (began, mut wrong) = (Instant::now(), None);
    let latencies = living.route_while(|living| {
        wrong = wrong.take().or_else(|| wrong_with(living));
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
fn all_arrive(
    runtime: &Runtime,
    mut sending: Sending,
    inbox: &mut Inbox<ToServer<u64>>,
    waiting: usize,
    logbook: &mut Logbook,
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
    logbook.expect_eq("messages that were read", read.len(), ROOM + arrived.len());
    let told: BTreeSet<_> = ends.iter().filter(|(_, end)| end.is_ok()).map(|(number, _)| *number).collect();
    logbook.expect(told == arrived, || format!("{} were told that it arrived, {} arrived", told.len(), arrived.len()));
    let patient = waiting - waiting / IMPATIENT;
    logbook.expect(told.len() >= patient, || format!("{} of {patient} patient ones were served", told.len()));
    came_back(ends, waiting, logbook, |error| matches!(error, SendError::TimedOut(_)));
}

/// The owner is dead, and everybody is told.
fn all_come_back(runtime: &Runtime, sending: Sending, waiting: usize, logbook: &mut Logbook) {
    let ends = runtime.block_on(sending.join_all());
    logbook.expect(ends.iter().all(|(_, end)| end.is_err()), || "a message to the dead was accepted".to_owned());
    came_back(ends, waiting, logbook, |error| matches!(error, SendError::TimedOut(_) | SendError::Closed(_)));
}

/// Every sender has its outcome, and what was not delivered came back for a good reason.
fn came_back(
    ends: Vec<(u64, Result<(), SendError<u64>>)>,
    waiting: usize,
    logbook: &mut Logbook,
    is_good: impl Fn(&SendError<u64>) -> bool,
) {
    let numbers: BTreeSet<_> = ends.iter().map(|(number, _)| *number).collect();
    logbook.expect_eq("senders that have an outcome", numbers.len(), waiting);
    for (number, end) in ends {
        if let Err(error) = end {
            logbook.expect(is_good(&error), || format!("message {number} came back as {error:?}"));
            logbook.expect_eq("the message that came back", error.into_message(), number);
        }
    }
}
