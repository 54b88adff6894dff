//! Leaves out of a recorded history what does not matter for its being wrong.

use super::{History, Specification, check};

/// A smaller history that is not linearizable either, and is only so if the given one is.
///
/// Two kinds of calls are left out, and only those without which the rest still is a history that was seen:
///
/// - All calls after a moment of rest, at which every call had either ended or not begun. Whatever came later had no
///   part in what was wrong before.
/// - Calls that [only look](Specification::is_read_only). An order that explains all calls explains all but these.
///
/// A call that changes something stays: without it others might have no explanation that had one.
/// What is not known to be a violation, with `max_configurations` situations, comes back as it is.
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

/// The times, in order, at which a call ended and none was under way.
fn quiescent_points<C>(history: &History<C>) -> Vec<u64> {
    let calls = || history.iter().flatten();
    let mut quiescent_points: Vec<u64> = calls().map(|call| call.ended).collect();
    quiescent_points.retain(|&time| calls().all(|call| call.ended <= time || call.began > time));
    quiescent_points.sort_unstable();
    quiescent_points
}
