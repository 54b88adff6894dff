//! Explains why a history is not linearizable.

use std::fmt::{self, Display, Write};

use super::search::DeadEnd;
use super::{History, Timed, Violation};

/// Describes the longest prefix that can be linearized, the calls that cannot follow it, and the whole history.
pub(super) fn explain<C: Display, State: Display>(history: &History<C>, dead_end: &DeadEnd<State>) -> Violation {
    let calls = history.iter().map(Vec::len).sum();
    let explained = dead_end.order.len();
    let mut report = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_explanation(&mut report, history, dead_end, explained, calls);
    Violation { explained, calls, report }
}

fn write_explanation<C: Display, State: Display>(
    report: &mut String,
    history: &History<C>,
    dead_end: &DeadEnd<State>,
    explained: usize,
    calls: usize,
) -> fmt::Result {
    writeln!(report, "not linearizable: at most {explained} of {calls} calls can be linearized, in this order:")?;
    for &(thread, number) in &dead_end.order {
        write_call(report, thread, &history[thread][number])?;
    }
    writeln!(report, "state after them: {}", dead_end.state)?;
    writeln!(report, "none of these calls can be next:")?;
    let pending = |thread: usize| history[thread].get(dead_end.done[thread]);
    let earliest_end = (0..history.len()).filter_map(pending).map(|call| call.ended).min();
    for thread in 0..history.len() {
        if let Some(call) =
            pending(thread).filter(|call| earliest_end.is_some_and(|earliest_end| call.began <= earliest_end))
        {
            write_call(report, thread, call)?;
        }
    }
    writeln!(report, "the whole history, with start and end times:")?;
    let mut all: Vec<_> =
        history.iter().enumerate().flat_map(|(thread, calls)| calls.iter().map(move |call| (thread, call))).collect();
    all.sort_by_key(|(_, call)| call.began);
    for (thread, call) in all {
        write_call(report, thread, call)?;
    }
    Ok(())
}

fn write_call<C: Display>(report: &mut String, thread: usize, timed: &Timed<C>) -> fmt::Result {
    writeln!(report, "  {:>4} ..{:>4}  thread {thread}: {}", timed.began, timed.ended, timed.call)
}
