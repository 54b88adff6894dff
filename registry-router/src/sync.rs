//! The locks and atomics of the registry: `std`'s, or the scheduler's in a build that explores schedules.
//!
//! Such a build is made with `--cfg shuttle`, by `cargo xtask verify` alone. No feature does it, because features add
//! up: one crate that turned it on would replace the locks of all others in the same build.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// A static that is made when it is first asked for; made anew for each schedule, where schedules are explored.
pub(crate) struct Global<T: Sync + 'static> {
    #[cfg(not(shuttle))]
    value: std::sync::LazyLock<T>,
    #[cfg(shuttle)]
    value: shuttle::lazy_static::Lazy<T>,
}

impl<T: Sync + 'static> Global<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        #[cfg(not(shuttle))]
        let value = std::sync::LazyLock::new(make);
        #[cfg(shuttle)]
        let value = shuttle::lazy_static::Lazy::new(make);
        Self { value }
    }

    pub(crate) fn get(&'static self) -> &'static T {
        #[cfg(not(shuttle))]
        return std::sync::LazyLock::force(&self.value);
        #[cfg(shuttle)]
        return self.value.get();
    }
}
