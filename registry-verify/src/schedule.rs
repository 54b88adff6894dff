//! Explores thread schedules of the router's protocols, and checks that seeded bugs are found.
//!
//! The seeded bugs are in a patched copy of the router, which `cargo xtask verify` builds with `--cfg seeded`.
//!
//! Compiled only with `--cfg shuttle`, which replaces the locks and atomics of the router and of the reference backend
//! by those of a scheduler that picks the next thread at each of them. Two kinds of schedules alternate: uniformly
//! random ones, and those of *probabilistic concurrency testing* with few context switches at random points, which find
//! bugs that need a long run of one thread.

mod bodies;
mod observers;
mod queue;
mod scheduler_locked;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use registry_core::Backend;
#[cfg(seeded)]
use registry_router::seeded::SeededBug;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

use crate::check_report::CheckReport;
use crate::panic_message::panic_message;

use bodies::CHECKED_CALLS;
pub use bodies::{Protocol, protocols};
pub use scheduler_locked::SchedulerLocked;

/// The number of schedules of a protocol before the next protocol's turn.
const ROUND: usize = 200;

/// The number of rounds of each protocol within which a seeded bug must be found.
#[cfg(seeded)]
const ROUNDS_PER_BUG: u64 = 25;

/// The context switches of a schedule of the second kind.
const CHANGES: usize = 3;

/// Looks for each seeded bug, then explores schedules of all protocols until the time budget ends.
pub fn run<B: Backend>(seed: u64, budget: Duration) -> CheckReport {
    let began = Instant::now();
    let mut report = CheckReport::of(B::NAME);
    #[cfg(seeded)]
    find_seeded_bugs::<B>(seed, &mut report);
    let checked = CHECKED_CALLS.load(Ordering::Relaxed);
    for round in 0.. {
        for protocol in protocols::<B>() {
            match explore(&protocol, seed.wrapping_add(round), Suppressed::Schedules) {
                Exploration::Passed { schedules } => report.schedules += schedules,
                Exploration::Failed { schedules, why } => {
                    report.schedules += schedules;
                    report.violated(&format!("schedules of {}", protocol.name), seed.wrapping_add(round), why);
                    return report;
                }
            }
        }
        report.histories += ROUND as u64;
        if began.elapsed() >= budget {
            break;
        }
    }
    report.operations = CHECKED_CALLS.load(Ordering::Relaxed) - checked;
    report
}

/// Enables each seeded bug in turn, and looks for it.
#[cfg(seeded)]
fn find_seeded_bugs<B: Backend>(seed: u64, report: &mut CheckReport) {
    for bug in SeededBug::ALL {
        bug.switch_on();
        let found = (0..ROUNDS_PER_BUG).any(|round| {
            protocols::<B>().iter().any(|protocol| {
                let exploration = explore(protocol, seed.wrapping_add(round), Suppressed::All);
                matches!(exploration, Exploration::Failed { .. })
            })
        });
        SeededBug::switch_all_off();
        report.seeded_bugs.of += 1;
        if found {
            report.seeded_bugs.found += 1;
        } else {
            report.seeded_bugs.missed.push(format!("{bug:?}"));
        }
    }
}

/// The result of some schedules of a protocol.
enum Exploration {
    Passed { schedules: u64 },
    Failed { schedules: u64, why: String },
}

/// The output that is suppressed when a schedule fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suppressed {
    /// Only the encoded schedule, which is useless without the program.
    Schedules,
    /// Everything, because the failure is intended.
    All,
}

fn explore(protocol: &Protocol, seed: u64, suppressed: Suppressed) -> Exploration {
    let any = RandomScheduler::new_from_seed(seed, ROUND / 2);
    let few = PctScheduler::new_from_seed(seed, CHANGES, ROUND / 2);
    let mut schedules = 0;
    for outcome in [draw(any, protocol, suppressed), draw(few, protocol, suppressed)] {
        match outcome {
            Ok(drawn) => schedules += drawn,
            Err((drawn, why)) => return Exploration::Failed { schedules: schedules + drawn, why },
        }
    }
    Exploration::Passed { schedules }
}

/// Runs a protocol under each schedule of `scheduler`. Returns their number, and the failure, if any.
fn draw(
    scheduler: impl Scheduler + 'static,
    protocol: &Protocol,
    suppressed: Suppressed,
) -> Result<u64, (u64, String)> {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    let drawn = Arc::new(AtomicU64::new(0));
    let (body, counted) = (protocol.body, Arc::clone(&drawn));
    let runner = Runner::new(scheduler, config);
    let hook = (suppressed == Suppressed::All).then(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        hook
    });
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        runner.run(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            body();
        })
    }));
    if let Some(hook) = hook {
        panic::set_hook(hook);
    }
    let drawn = drawn.load(Ordering::Relaxed);
    match outcome {
        Ok(_) => Ok(drawn),
        Err(panic) => Err((drawn, panic_message(&*panic).to_owned())),
    }
}
