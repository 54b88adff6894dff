//! Compares the linearizability checker with an exhaustive one that tries every order of all steps.

use std::cell::Cell;
use std::fmt;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq};
use proptest::test_runner::TestRunner;
use registry_verify::linear::{History, Specification, Step, Timed, Verdict, check, shrink};

/// A register with read, write and compare-and-swap; some calls take two steps.
#[derive(Clone, Copy, Debug)]
struct Register;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Write(u8),
    Read(u8),
    /// Swapped the first value for the second if the flag is set; otherwise the comparison failed.
    Swap(u8, u8, bool),
    /// Wrote one value at one instant and another one later.
    WriteTwo(u8, u8),
    /// Read one value at one instant and another one at the same instant or later.
    ReadTwo(u8, u8),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Specification for Register {
    type State = u8;
    type Call = Call;
    /// Whether the first of two steps has been taken.
    type Progress = bool;

    fn steps(&self, state: &u8, call: &Call, half: &bool, into: &mut Vec<(u8, Step<bool>)>) {
        let step = match *call {
            Call::Write(number) => Some((number, Step::Done)),
            Call::Read(number) => (*state == number).then_some((*state, Step::Done)),
            Call::Swap(old, new, true) => (*state == old).then_some((new, Step::Done)),
            Call::Swap(old, _, false) => (*state != old).then_some((*state, Step::Done)),
            Call::WriteTwo(first, _) if !half => Some((first, Step::Continue(true))),
            Call::WriteTwo(_, second) => Some((second, Step::Done)),
            Call::ReadTwo(first, _) if !half => (*state == first).then_some((*state, Step::Continue(true))),
            Call::ReadTwo(_, second) => (*state == second).then_some((*state, Step::Done)),
        };
        into.extend(step);
    }

    fn is_read_only(&self, call: &Call) -> bool {
        matches!(call, Call::Read(_) | Call::Swap(_, _, false) | Call::ReadTwo(..))
    }
}

const MAX_CONFIGURATIONS: usize = 1_000_000;

#[test]
fn verdicts_match_exhaustive_search() {
    let (explained, violations) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&histories(), |history| {
            let expected = some_order_explains(&history, &mut vec![(0, false); history.len()], 0);
            let verdict = check(&Register, &0, &history, MAX_CONFIGURATIONS);
            let count = if expected { &explained } else { &violations };
            count.set(count.get() + 1);
            prop_assert_eq!(matches!(verdict, Verdict::Linearizable), expected, "{:?}", verdict);
            prop_assert_eq!(verdict.is_violation(), !expected);
            Ok(())
        })
        .unwrap();
    assert!(explained.get() > 400 && violations.get() > 400, "too few of one kind: {explained:?} and {violations:?}");
}

#[test]
fn shrinking_keeps_the_violation_and_removes_only_irrelevant_calls() {
    let shrunk = Cell::new(0);
    let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&histories(), |history| {
            let smaller = shrink(&Register, &0, &history, MAX_CONFIGURATIONS);
            if some_order_explains(&history, &mut vec![(0, false); history.len()], 0) {
                prop_assert_eq!(smaller, history);
                return Ok(());
            }
            prop_assert!(!some_order_explains(&smaller, &mut vec![(0, false); smaller.len()], 0));
            let last = smaller.iter().flatten().map(|call| call.ended).max().unwrap_or_default();
            for call in history.iter().flatten().filter(|call| !smaller.iter().flatten().any(|kept| kept == *call)) {
                prop_assert!(Register.is_read_only(&call.call) || call.began > last, "{} was removed", call.call);
                shrunk.set(shrunk.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(shrunk.get() > 100, "only {shrunk:?} calls were removed");
}

#[test]
fn a_stale_read_is_explained() {
    let stale = vec![
        vec![timed(0, 1, Call::Write(1)), timed(4, 7, Call::Write(2))],
        vec![timed(2, 3, Call::Read(1)), timed(5, 6, Call::Read(2)), timed(8, 9, Call::Read(1))],
    ];
    let Verdict::Violation(violation) = check(&Register, &0, &stale, MAX_CONFIGURATIONS) else {
        panic!("the last read is stale")
    };
    assert_eq!((violation.explained, violation.calls), (4, 5));
    let report = violation.to_string();
    let mut lines = report.lines();
    assert_eq!(lines.next(), Some("not linearizable: at most 4 of 5 calls can be linearized, in this order:"));
    assert!(
        report.contains("state after them: 2\nnone of these calls can be next:\n     8 ..   9  thread 1: Read(1)\n")
    );
    assert_eq!(report.lines().filter(|line| line.contains("Write(2)")).count(), 2);
}

#[test]
fn a_search_stops_at_its_limit() {
    // All calls overlap and no order yields the value that was read, so every order is tried.
    let mut history: History<Call> = (1..=12).map(|thread| vec![timed(thread, 100 + thread, Call::Write(1))]).collect();
    history.push(vec![timed(0, 200, Call::Read(2))]);
    assert!(check(&Register, &0, &history, MAX_CONFIGURATIONS).is_violation());
    assert_eq!(check(&Register, &0, &history, 1_000), Verdict::Undecided { visited: 1_000 });
}

#[test]
fn an_empty_history_is_linearizable() {
    assert_eq!(check(&Register, &0, &vec![], MAX_CONFIGURATIONS), Verdict::Linearizable);
    assert_eq!(check(&Register, &0, &vec![vec![], vec![]], MAX_CONFIGURATIONS), Verdict::Linearizable);
}

/// The exhaustive checker: tries every order of steps, without memoization.
fn some_order_explains(history: &History<Call>, threads: &mut Vec<(usize, bool)>, state: u8) -> bool {
    let next: Vec<Option<Timed<Call>>> =
        threads.iter().zip(history).map(|((done, _), calls)| calls.get(*done).copied()).collect();
    let Some(soonest) = next.iter().flatten().map(|call| call.ended).min() else { return true };
    for (thread, call) in next.iter().enumerate() {
        let Some(call) = call.filter(|call| call.began < soonest) else { continue };
        let before = threads[thread];
        let mut steps = Vec::new();
        Register.steps(&state, &call.call, &before.1, &mut steps);
        for (state, step) in steps {
            threads[thread] = match step {
                Step::Continue(half) => (before.0, half),
                Step::Done => (before.0 + 1, false),
            };
            if some_order_explains(history, threads, state) {
                return true;
            }
        }
        threads[thread] = before;
    }
    false
}

fn timed(began: u64, ended: u64, call: Call) -> Timed<Call> {
    Timed { began, ended, call }
}

/// Returns a strategy for histories of up to seven calls on up to three threads, with random results.
fn histories() -> impl Strategy<Value = History<Call>> {
    let calls = vec((0..3_usize, 0..7_u8, 0..2_u8, 0..2_u8), 1..=7);
    (calls, vec(any::<u8>(), 14)).prop_map(|(calls, order)| {
        let mut waiting: [Vec<Call>; 3] = Default::default();
        for (thread, kind, a, b) in calls {
            waiting[thread].push(match kind {
                0 => Call::Write(a),
                1 | 2 => Call::Read(a),
                3 => Call::Swap(a, b, true),
                4 => Call::Swap(a, b, false),
                5 => Call::WriteTwo(a, b),
                _ => Call::ReadTwo(a, b),
            });
        }
        in_some_order(waiting, &order)
    })
}

/// Repeatedly lets one of the threads begin or end a call.
fn in_some_order(waiting: [Vec<Call>; 3], order: &[u8]) -> History<Call> {
    let mut history: History<Call> = vec![Vec::new(); 3];
    let mut under_way: [Option<u64>; 3] = [None; 3];
    for (time, pick) in (0..).zip(order.iter().chain(std::iter::repeat(&0))) {
        let busy: Vec<usize> = (0..3).filter(|&thread| history[thread].len() < waiting[thread].len()).collect();
        let Some(&thread) = (!busy.is_empty()).then(|| &busy[usize::from(*pick) % busy.len()]) else { break };
        match under_way[thread].take() {
            None => under_way[thread] = Some(time),
            Some(began) => {
                let call = waiting[thread][history[thread].len()];
                history[thread].push(timed(began, time, call));
            }
        }
    }
    history
}
