//! Storms and faults: many owners die at once, or badly, and afterwards nothing of them is left.
//!
//! Each storm is a file with one function, which does what its name says to a registry and writes into a logbook
//! what it measured and what was wrong. Times are figures and never wrong, for machines differ; what is wrong is
//! something lost, something left, or a storm that does not end.
//!
//! Two storms count bytes. The allocator belongs to the whole program, so the program brings it: see
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

/// How long a storm may take before it counts as one that never ends.
const LIMIT: Duration = Duration::from_secs(60);

/// A storm that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// What to call it by.
    pub name: &'static str,
    /// What happens in it, in a sentence.
    pub description: &'static str,
    /// Whether it asks how many bytes are allocated, and so must have the program to itself.
    pub counts_bytes: bool,
}

/// All storms there are.
pub const ALL: [Storm; 11] = [
    storm("mass-exit", "100,000 leases, of servers and of transports bound to them, are dropped at once."),
    storm("deaths-while-routing", "200,000 owners die within a second while messages are routed to the living."),
    storm("idle-exits", "500 owners that hold nothing leave, among 20,000 servers and among 20."),
    storm("one-server", "One server has 200,000 transports, 2,000 come and go in a second, and then it dies."),
    storm("panicking-owners", "Threads and tasks panic while they own leases."),
    storm("runtime-shutdown", "A tokio runtime is shut down while its tasks register, route and wait."),
    storm("stalled-owner", "One mailbox is full and its owner stalls while 10,000 others get their messages."),
    storm("rivals", "Three threads want one name, and in 300,000 lookups its incarnation never falls."),
    storm("dead-without-a-word", "10,000 owners drop their inboxes and leave their registrations behind."),
    byte_counting(
        "failed-registrations",
        "10,000 registrations fail, for one of eight reasons each, and leave zero bytes.",
    ),
    byte_counting("mass-exit-memory", "Waves of up to 200,000 entries come and go, and their memory is given back."),
];

const fn storm(name: &'static str, description: &'static str) -> Storm {
    Storm { name, description, counts_bytes: false }
}

const fn byte_counting(name: &'static str, description: &'static str) -> Storm {
    Storm { name, description, counts_bytes: true }
}

/// How large a storm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As large as its description says.
    Full,
    /// A fiftieth of that, for tests.
    Short,
}

/// What a storm is told.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    scale: Scale,
    seed: u64,
    live_bytes: Option<fn() -> usize>,
}

impl Context {
    /// For a program that does not count bytes.
    #[must_use]
    pub fn new(scale: Scale, seed: u64) -> Self {
        Self { scale, seed, live_bytes: None }
    }

    /// For a program whose allocator counts: `live_bytes` says how many bytes are allocated at present.
    #[must_use]
    pub fn with_live_bytes(self, live_bytes: fn() -> usize) -> Self {
        Self { live_bytes: Some(live_bytes), ..self }
    }
}

/// Runs one storm on a backend, and says how it was survived.
///
/// A storm that panics, does not end within a minute, or is not known, is a violation. One that does not end keeps its
/// threads.
#[must_use]
pub fn run<B: Backend>(name: &str, context: Context) -> CheckReport {
    let mut report = CheckReport::of(B::NAME);
    let Some(storm) = function::<B>(name) else {
        report.violated(name, context.seed, "there is no such storm");
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
    // Parking allocates nothing, where waiting at a channel would: some storms count bytes.
    let began = Instant::now();
    while !ended.load(Ordering::Acquire) {
        let Some(remaining) = LIMIT.checked_sub(began.elapsed()) else {
            report.violated(name, context.seed, format!("it did not end within {} seconds", LIMIT.as_secs()));
            return report;
        };
        thread::park_timeout(remaining);
    }
    match thread.join() {
        Ok(recorder) => recorder.close(&mut report),
        Err(panic) => report.violated(name, context.seed, format!("panicked: {}", panic_message(&*panic))),
    }
    report
}

/// Wakes whoever waits for the end of a storm, even if it ends with a panic.
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
