//! Removes calls from a history that are irrelevant to its violation.

use super::{History, Specification, check};

/// Returns a smaller history that is not linearizable either, provided that the given one is not.
///
/// Two kinds of calls are removed, and only if the rest remains a history that was observed:
///
/// - All calls after a quiescent point, at which every call has either ended or not begun. Later calls cannot cause an
///   earlier violation.
/// - [Read-only](Specification::is_read_only) calls. A linearization of all calls is also one of the others.
///
/// A call that changes the state is kept: without it, other calls might lose their only explanation. A history that is
/// not known to be a violation within `max_configurations` configurations is returned unchanged.
pub fn shrink<S: Specification>(
    specification: &S,
    initial: &S::State,
    history: &History<S::Call>,
    max_configurations: usize,
) -> History<S::Call> {
    let is_wrong =
        |history: &History<S::Call>| check(specification, initial, history, max_configurations).is_violation();
    let mut smallest = history.clone();
    if !is_wrong(&smallest) {
        return smallest;
    }
    for point in quiescent_points(history) {
        let mut cut = history.clone();
        for calls in &mut cut {
            calls.retain(|call| call.ended <= point);
        }
        if is_wrong(&cut) {
            smallest = cut;
            break;
        }
    }
    for thread in 0..smallest.len() {
        for number in (0..smallest[thread].len()).rev() {
            if specification.is_read_only(&smallest[thread][number].call) {
                let mut without = smallest.clone();
                without[thread].remove(number);
                if is_wrong(&without) {
                    smallest = without;
                }
            }
        }
    }
    smallest
}

/// Returns the times, in order, at which a call ended and no call was pending.
fn quiescent_points<C>(history: &History<C>) -> Vec<u64> {
    let calls = || history.iter().flatten();
    let mut quiescent_points: Vec<u64> = calls().map(|call| call.ended).collect();
    quiescent_points.retain(|&time| calls().all(|call| call.ended <= time || call.began > time));
    quiescent_points.sort_unstable();
    quiescent_points
}
