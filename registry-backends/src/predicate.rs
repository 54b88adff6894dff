//! Calling the closures that decide on a write.

use registry_core::reentrancy;

/// Calls a closure that completes a value or decides on a removal, with the guard of
/// [`reentrancy::enter_predicate`] held.
#[inline]
pub(crate) fn in_predicate<R>(decide: impl FnOnce() -> R) -> R {
    let _predicate = reentrancy::enter_predicate();
    decide()
}
