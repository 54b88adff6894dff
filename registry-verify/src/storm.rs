//! Storms and faults: many owners die at once, or badly, and afterwards nothing of them is left.
//!
//! Each storm is a file with one function, which does what its name says to a registry and writes into a logbook
//! what it measured and what was wrong. Times are figures and never wrong, for machines differ; what is wrong is
//! something lost, something left, or a storm that does not end.
//!
//! Two storms count bytes. The allocator belongs to the whole program, so the program brings it: see
//! [`Context::counting`].

mod dead_without_a_word;
mod deaths_while_routing;
mod failed_registrations;
mod field;
mod idle_exits;
mod logbook;
mod mass_exit;
mod mass_exit_memory;
mod one_server;
mod owner;
mod panicking_owners;
mod rivals;
mod routing;
mod runtime_shutdown;
mod stalled_owner;
mod work;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use registry_core::Backend;

use crate::account::Account;
use logbook::Logbook;

/// How long a storm may take before it counts as one that never ends.
const LIMIT: Duration = Duration::from_secs(60);

/// A storm that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What to call it by.
    pub name: &'static str,
    /// What happens in it, in a sentence.
    pub about: &'static str,
    /// Whether it asks how many bytes are allocated, and so must have the program to itself.
    pub counts_bytes: bool,
}

/// All storms there are.
pub const ALL: [Plan; 11] = [
    plan("mass-exit", "100,000 leases, of servers and of transports bound to them, are dropped at once."),
    plan("deaths-while-routing", "200,000 owners die within a second while messages are routed to the living."),
    plan("idle-exits", "500 owners that hold nothing leave, among 20,000 servers and among 20."),
    plan("one-server", "One server has 200,000 transports, 2,000 come and go in a second, and then it dies."),
    plan("panicking-owners", "Threads and tasks panic while they own leases."),
    plan("runtime-shutdown", "A tokio runtime is shut down while its tasks register, route and wait."),
    plan("stalled-owner", "One mailbox is full and its owner stalls while 10,000 others get their messages."),
    plan("rivals", "Three threads want one name, and in 300,000 lookups its incarnation never falls."),
    plan("dead-without-a-word", "10,000 owners drop their inboxes and leave their registrations behind."),
    counting("failed-registrations", "10,000 registrations fail, for one of eight reasons each, and leave zero bytes."),
    counting("mass-exit-memory", "Waves of up to 200,000 entries come and go, and their memory is given back."),
];

const fn plan(name: &'static str, about: &'static str) -> Plan {
    Plan { name, about, counts_bytes: false }
}

const fn counting(name: &'static str, about: &'static str) -> Plan {
    Plan { name, about, counts_bytes: true }
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
    pub fn counting(self, live_bytes: fn() -> usize) -> Self {
        Self { live_bytes: Some(live_bytes), ..self }
    }
}

/// Runs one storm on a backend, and says how it was survived.
///
/// A storm that panics, does not end within a minute, or is not known, is a violation. One that does not end keeps its
/// threads.
#[must_use]
pub fn run<B: Backend>(name: &str, context: Context) -> Account {
    let mut account = Account::of(B::NAME);
    let Some(storm) = function::<B>(name) else {
        account.violated(name, context.seed, "there is no such storm");
        return account;
    };
    let mut logbook = Logbook::new(name, context);
    let ended = Arc::new(AtomicBool::new(false));
    let alarm = Alarm { ended: Arc::clone(&ended), waiting: thread::current() };
    let thread = thread::spawn(move || {
        let _alarm = alarm;
        storm(&mut logbook);
        logbook
    });
    // Parking allocates nothing, where waiting at a channel would: some storms count bytes.
    let began = Instant::now();
    while !ended.load(Ordering::Acquire) {
        let Some(left) = LIMIT.checked_sub(began.elapsed()) else {
            account.violated(name, context.seed, format!("it did not end within {} seconds", LIMIT.as_secs()));
            return account;
        };
        thread::park_timeout(left);
    }
    match thread.join() {
        Ok(logbook) => logbook.close(&mut account),
        Err(panic) => account.violated(name, context.seed, words(&*panic)),
    }
    account
}

/// Wakes whoever waits for the end of a storm, even if it ends with a panic.
struct Alarm {
    ended: Arc<AtomicBool>,
    waiting: Thread,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.waiting.unpark();
    }
}

fn function<B: Backend>(name: &str) -> Option<fn(&mut Logbook)> {
    Some(match name {
        "mass-exit" => mass_exit::run::<B>,
        "deaths-while-routing" => deaths_while_routing::run::<B>,
        "idle-exits" => idle_exits::run::<B>,
        "one-server" => one_server::run::<B>,
        "panicking-owners" => panicking_owners::run::<B>,
        "runtime-shutdown" => runtime_shutdown::run::<B>,
        "stalled-owner" => stalled_owner::run::<B>,
        "rivals" => rivals::run::<B>,
        "dead-without-a-word" => dead_without_a_word::run::<B>,
        "failed-registrations" => failed_registrations::run::<B>,
        "mass-exit-memory" => mass_exit_memory::run::<B>,
        _ => return None,
    })
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", said.unwrap_or("without words"))
}
