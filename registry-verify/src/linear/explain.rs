//! Tells a person why a history is not linearizable.

use std::fmt::{self, Display, Write};

use super::search::Stuck;
use super::{History, Timed, Violation};

/// What could be explained, what then could not, and the whole history.
pub(super) fn explain<C: Display, State: Display>(history: &History<C>, stuck: &Stuck<State>) -> Violation {
    let calls = history.iter().map(Vec::len).sum();
    let explained = stuck.order.len();
    let mut account = String::new();
    // Writing to a string cannot fail.
    let _ = tell(&mut account, history, stuck, explained, calls);
    Violation { explained, calls, account }
}

fn tell<C: Display, State: Display>(
    account: &mut String,
    history: &History<C>,
    stuck: &Stuck<State>,
    explained: usize,
    calls: usize,
) -> fmt::Result {
    writeln!(account, "not linearizable: of {calls} calls at most {explained} can be explained, in this order:")?;
    for &(thread, number) in &stuck.order {
        line(account, thread, &history[thread][number])?;
    }
    writeln!(account, "after them: {}", stuck.state)?;
    writeln!(account, "and none of these can come next:")?;
    let pending = |thread: usize| history[thread].get(stuck.done[thread]);
    let soonest = (0..history.len()).filter_map(pending).map(|call| call.ended).min();
    for thread in 0..history.len() {
        if let Some(call) = pending(thread).filter(|call| soonest.is_some_and(|soonest| call.began <= soonest)) {
            line(account, thread, call)?;
        }
    }
    writeln!(account, "the whole history, with the times at which each call began and ended:")?;
    let mut all: Vec<_> =
        history.iter().enumerate().flat_map(|(thread, calls)| calls.iter().map(move |call| (thread, call))).collect();
    all.sort_by_key(|(_, call)| call.began);
    for (thread, call) in all {
        line(account, thread, call)?;
    }
    Ok(())
}

fn line<C: Display>(account: &mut String, thread: usize, timed: &Timed<C>) -> fmt::Result {
    writeln!(account, "  {:>4} ..{:>4}  thread {thread}: {}", timed.began, timed.ended, timed.call)
}
