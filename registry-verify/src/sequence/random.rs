//! Runs random sequences until the time budget ends, and minimizes one that fails.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use registry_core::Backend;
use registry_router::backends::Reference;

use super::{Op, RegistryUnderTest, check, sequences};
use crate::CheckReport;
use crate::panic_message::panic_message;
use crate::spec::Outcome;

/// The maximum number of operations in a sequence of [`run`]; the average is half of it.
///
/// Long enough for several registrations of one id with failures in between, short enough for thousands of sequences a
/// second.
pub const LENGTH: usize = 40;

/// The number of threads that run sequences.
const THREADS: usize = 2;

/// The numbers of shards, used in turn.
const SHARDS: [usize; 3] = [1, 2, 64];

/// The time limit of shrinking, in milliseconds.
const SHRINKING_MS: u32 = 10_000;

/// Judges random sequences by the specification until the time budget ends or a violation is found.
///
/// Each sequence and its number of shards derive from a seed of their own: `seed`, `seed + 1` and so on. A
/// counterexample carries that seed, so a run with it fails immediately.
#[must_use]
pub fn run<B: Backend>(seed: u64, budget: Duration) -> CheckReport {
    run_with(B::NAME, seed, budget, &check::<B>)
}

/// Runs and judges a sequence; returns the number of steps.
type Check<E> = dyn Fn(&[Op], usize) -> Result<usize, E> + Sync;

fn run_with<E: ToString>(backend: &str, seed: u64, budget: Duration, check: &Check<E>) -> CheckReport {
    let began = Instant::now();
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let check_some = || {
        let mut report = CheckReport::of(backend);
        loop {
            let seed = seed.wrapping_add(next.fetch_add(1, Ordering::Relaxed));
            check_one(seed, check, &mut report);
            if report.violations > 0 {
                failed.store(true, Ordering::Relaxed);
            }
            if failed.load(Ordering::Relaxed) || began.elapsed() >= budget {
                return report;
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(check_some)).collect();
        let mut report = CheckReport::of(backend);
        for thread in threads {
            report.add(thread.join().expect("panics inside a sequence are caught"));
        }
        report
    })
}

/// Checks the sequence of one seed.
fn check_one<E: ToString>(seed: u64, check: &Check<E>, report: &mut CheckReport) {
    let shards = SHARDS[(seed % SHARDS.len() as u64) as usize];
    let attempt = |ops: &[Op]| attempt(ops, shards, check);
    let config = Config {
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        // Bounded by time only.
        max_shrink_iters: u32::MAX - 1,
        max_shrink_time: SHRINKING_MS,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let sequence = sequences(LENGTH).new_tree(&mut runner).expect("the strategy rejects nothing");
    let steps = AtomicU64::new(0);
    let outcome = runner.run_one(sequence, |ops| {
        let checked = attempt(&ops).map_err(TestCaseError::fail)?;
        steps.store(checked as u64, Ordering::Relaxed);
        Ok(())
    });
    match outcome {
        Ok(_) => report.steps += steps.into_inner(),
        Err(TestError::Abort(reason)) => report.violated("sequences", seed, reason.to_string()),
        Err(TestError::Fail(reason, ops)) => {
            let ops = minimize(ops, |ops| attempt(ops).is_err());
            let reason = attempt(&ops).err().unwrap_or_else(|| format!("{reason}, not reproduced by a rerun"));
            let steps: String = ops.iter().map(|op| format!("\n  {op:?}")).collect();
            report.violated("sequences", seed, format!("shards: {shards}{steps}\n  {reason}"));
        }
    }
    report.sequences += 1;
}

/// Runs a sequence; converts a panic into a violation.
fn attempt<E: ToString>(ops: &[Op], shards: usize, check: &Check<E>) -> Result<usize, String> {
    let checked = panic::catch_unwind(AssertUnwindSafe(|| check(ops, shards)));
    checked.map_err(|panic| format!("panic: {}", panic_message(&*panic)))?.map_err(|error| error.to_string())
}

/// Removes operations one at a time while the rest still fails.
///
/// Proptest has already shrunk the sequence, but it treats an owner as a plain number. Here owners are renumbered, so
/// that an operation keeps its owner when an earlier registration is removed.
fn minimize(ops: Vec<Op>, fails: impl Fn(&[Op]) -> bool) -> Vec<Op> {
    let (mut ops, mut owners) = with_owners(&ops);
    while let Some((shorter, shorter_owners)) = (0..ops.len()).rev().find_map(|place| {
        let mut shorter = ops.clone();
        shorter.remove(place);
        if let Some(removed) = owners[place] {
            shorter.iter_mut().filter_map(owner_of).filter(|owner| **owner > removed).for_each(|owner| *owner -= 1);
        }
        fails(&shorter).then(|| with_owners(&shorter))
    }) {
        (ops, owners) = (shorter, shorter_owners);
    }
    ops
}

/// Returns the operations with absolute owner numbers, and the owner that each of them registered with the reference.
fn with_owners(ops: &[Op]) -> (Vec<Op>, Vec<Option<usize>>) {
    let mut registry = RegistryUnderTest::<Reference>::new(1);
    let mut owners = 0;
    let mut made = Vec::new();
    let mut ops = ops.to_vec();
    for op in &mut ops {
        if let Some(owner) = owner_of(op) {
            *owner = owner.checked_rem(owners).unwrap_or_default();
        }
        // After a panic no operation registers any more.
        let calls = panic::catch_unwind(AssertUnwindSafe(|| registry.apply(op))).unwrap_or_default();
        let is_registered = calls.iter().any(|completed| matches!(completed.outcome, Outcome::Registered(_)));
        let registered = is_registered.then_some(owners);
        owners += usize::from(registered.is_some());
        made.push(registered);
    }
    (ops, made)
}

/// Returns the owner that an operation refers to.
fn owner_of(op: &mut Op) -> Option<&mut usize> {
    match op {
        Op::DropLease(owner)
        | Op::Release(owner)
        | Op::Detach(owner)
        | Op::Close(owner)
        | Op::Drain(owner)
        | Op::SendBound(owner) => Some(owner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Name, Side};

    /// Fails additionally when an id is unregistered that was registered more than once.
    fn fails_on_repeated_registration(ops: &[Op], shards: usize) -> Result<usize, String> {
        let mut registered = [0; 4];
        for op in ops {
            match *op {
                Op::Register(Name { side: Side::Server, id }, _) => registered[usize::from(id)] += 1,
                Op::Unregister(Name { side: Side::Server, id }) if registered[usize::from(id)] > 1 => {
                    return Err("twice".to_owned());
                }
                _ => {}
            }
        }
        check::<Reference>(ops, shards).map_err(|violation| violation.to_string())
    }

    #[test]
    fn a_violation_is_minimized_and_reproduced_by_its_seed() {
        let report = run_with("reference", 1, Duration::from_secs(60), &fails_on_repeated_registration);
        assert!(report.violations > 0, "{report:?}");
        let case = &report.cases[0];
        // The shards, two registrations, the unregistration, and the reason.
        assert_eq!(case.case.lines().count(), 5, "{}", case.case);
        assert!(case.case.ends_with("twice"), "{}", case.case);
        let again = run_with("reference", case.seed, Duration::ZERO, &fails_on_repeated_registration);
        assert!(again.cases.contains(case), "{again:?}");
    }

    #[test]
    fn a_panic_is_a_violation() {
        let report = run_with("reference", 1, Duration::ZERO, &|_, _| -> Result<usize, String> { panic!("a bug") });
        assert!(report.cases.iter().all(|case| case.case.ends_with("panic: a bug")), "{report:?}");
        assert!(report.violations > 0);
    }

    #[test]
    fn minimizing_keeps_the_owner_of_an_operation() {
        let register = |id| Op::Register(Name::server(id), 1);
        // Only the last two matter: 5 modulo 3 owners is the last registration.
        let ops = vec![register(0), register(1), Op::Close(4), register(2), Op::DropLease(5)];
        let fails = |ops: &[Op]| {
            let (ops, made) = with_owners(ops);
            let Some(Op::DropLease(owner)) = ops.last() else { return false };
            made.iter().zip(&ops).any(|(made, op)| *made == Some(*owner) && *op == register(2))
        };
        assert!(fails(&ops));
        assert_eq!(minimize(ops, fails), [register(2), Op::DropLease(0)]);
    }
}
