//! Failure storms: many owners die at once, or badly, and afterwards nothing of them remains.
//!
//! Each storm is one function in a file of its own. It runs a scenario on a registry and gives its measurements and
//! failures to a recorder. Durations are only measured, because machines differ; failures are lost messages, leftover
//! entries, and a storm that does not end.
//!
//! Two storms count allocated bytes. The global allocator belongs to the program, which passes a counter: see
//! [`Context::with_live_bytes`].

mod competing_registrations;
mod cpu_timer;
mod deaths_while_routing;
mod failed_registrations;
mod fixture;
mod idle_exits;
mod mass_exit;
mod mass_exit_memory;
mod one_server;
mod owner;
mod panicking_owners;
mod recorder;
mod routing;
mod runtime_shutdown;
mod silent_owner_death;
mod stalled_owner;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use registry_core::Backend;

use crate::check_report::CheckReport;
use crate::panic_message::panic_message;
use recorder::Recorder;

/// The time after which a storm counts as hanging.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// A storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// The name, as given on the command line.
    pub name: &'static str,
    /// A one-sentence description.
    pub description: &'static str,
    /// Whether it counts allocated bytes, and so must run alone in its process.
    pub counts_bytes: bool,
}

/// All storms.
pub const ALL: [Storm; 11] = [
    storm("mass-exit", "100,000 leases, of servers and of transports bound to them, are dropped at once."),
    storm("deaths-while-routing", "200,000 owners die within a second while messages are routed to live servers."),
    storm("idle-exits", "500 owners without bindings leave, among 20,000 servers and among 20."),
    storm("one-server", "One server has 200,000 transports, 2,000 more come and go each second, and then it dies."),
    storm("panicking-owners", "Threads and tasks panic while they own leases."),
    storm("runtime-shutdown", "A tokio runtime is shut down while its tasks register, route and wait."),
    storm("stalled-owner", "One mailbox is full and its owner stalls while 10,000 other servers receive messages."),
    storm("rivals", "Three threads compete for one name; in 300,000 lookups its incarnation never decreases."),
    storm("dead-without-a-word", "10,000 owners drop their inboxes but not their registrations."),
    byte_counting(
        "failed-registrations",
        "10,000 registrations fail, for one of eight reasons each, and leak no byte.",
    ),
    byte_counting("mass-exit-memory", "Waves of up to 200,000 entries come and go, and their memory is released."),
];

const fn storm(name: &'static str, description: &'static str) -> Storm {
    Storm { name, description, counts_bytes: false }
}

const fn byte_counting(name: &'static str, description: &'static str) -> Storm {
    Storm { name, description, counts_bytes: true }
}

/// The size of a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The size given in its description.
    Full,
    /// A fiftieth of it, for tests.
    Short,
}

/// The parameters of a storm.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    scale: Scale,
    seed: u64,
    live_bytes: Option<fn() -> usize>,
}

impl Context {
    /// Creates a context for a program that does not count allocated bytes.
    #[must_use]
    pub fn new(scale: Scale, seed: u64) -> Self {
        Self { scale, seed, live_bytes: None }
    }

    /// Sets the function that returns the number of currently allocated bytes.
    #[must_use]
    pub fn with_live_bytes(self, live_bytes: fn() -> usize) -> Self {
        Self { live_bytes: Some(live_bytes), ..self }
    }
}

/// Runs one storm on a backend and reports it.
///
/// An unknown storm, a panic, and a storm that does not end within a minute are violations. The threads of a hanging
/// storm are leaked.
#[must_use]
pub fn run<B: Backend>(name: &str, context: Context) -> CheckReport {
    let mut report = CheckReport::of(B::NAME);
    let Some(storm) = function::<B>(name) else {
        report.violated(name, context.seed, "unknown storm");
        return report;
    };
    let mut recorder = Recorder::new(name, context);
    let ended = Arc::new(AtomicBool::new(false));
    let signal = CompletionSignal { ended: Arc::clone(&ended), waiting: thread::current() };
    let thread = thread::spawn(move || {
        let _alarm = signal;
        storm(&mut recorder);
        recorder
    });
    // Parking does not allocate, while a channel would: some storms count bytes.
    let began = Instant::now();
    while !ended.load(Ordering::Acquire) {
        let Some(remaining) = TIME_LIMIT.checked_sub(began.elapsed()) else {
            report.violated(name, context.seed, format!("not finished after {} seconds", TIME_LIMIT.as_secs()));
            return report;
        };
        thread::park_timeout(remaining);
    }
    match thread.join() {
        Ok(recorder) => recorder.finish(&mut report),
        Err(panic) => report.violated(name, context.seed, format!("panicked: {}", panic_message(&*panic))),
    }
    report
}

/// Wakes the waiting thread when the storm ends, even by a panic.
struct CompletionSignal {
    ended: Arc<AtomicBool>,
    waiting: Thread,
}

impl Drop for CompletionSignal {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.waiting.unpark();
    }
}

fn function<B: Backend>(name: &str) -> Option<fn(&mut Recorder)> {
    Some(match name {
        "mass-exit" => mass_exit::run::<B>,
        "deaths-while-routing" => deaths_while_routing::run::<B>,
        "idle-exits" => idle_exits::run::<B>,
        "one-server" => one_server::run::<B>,
        "panicking-owners" => panicking_owners::run::<B>,
        "runtime-shutdown" => runtime_shutdown::run::<B>,
        "stalled-owner" => stalled_owner::run::<B>,
        "rivals" => competing_registrations::run::<B>,
        "dead-without-a-word" => silent_owner_death::run::<B>,
        "failed-registrations" => failed_registrations::run::<B>,
        "mass-exit-memory" => mass_exit_memory::run::<B>,
        _ => return None,
    })
}
