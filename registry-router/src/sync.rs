//! The locks and atomics of the registry: `std`'s, or shuttle's in a build that explores schedules.
//!
//! Such a build sets `--cfg shuttle`, which only `cargo xtask verify` does. It is not a feature, because cargo unifies
//! features: one crate that enabled it would replace the locks of all others in the same build.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// A static that is initialized on first access, and once for each schedule where schedules are explored.
pub(crate) struct Global<T: Sync + 'static> {
    #[cfg(not(shuttle))]
    value: std::sync::LazyLock<T>,
    #[cfg(shuttle)]
    value: shuttle::lazy_static::Lazy<T>,
}

impl<T: Sync + 'static> Global<T> {
    pub(crate) const fn new(init: fn() -> T) -> Self {
        #[cfg(not(shuttle))]
        let value = std::sync::LazyLock::new(init);
        #[cfg(shuttle)]
        let value = shuttle::lazy_static::Lazy::new(init);
        Self { value }
    }

    pub(crate) fn get(&'static self) -> &'static T {
        #[cfg(not(shuttle))]
        return std::sync::LazyLock::force(&self.value);
        #[cfg(shuttle)]
        return self.value.get();
    }
}
