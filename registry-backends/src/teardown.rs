//! Thread teardown: whether a dependency's thread-local can still be used, or has been destroyed.
//!
//! papaya's collector and the crate `thread_local` keep a number for each thread in a thread-local with a destructor,
//! and panic if they are used after it has run. A panic there aborts the process. But a value in another thread-local,
//! such as a lease, is dropped later than those if it was initialised earlier.
//!
//! So each dependency has a guard here: a thread-local that is initialised right after the dependency's own one.
//! Destructors run in the reverse order of initialisation, so the guard is destroyed first, and records that the
//! dependency's thread-local is about to be.

use std::cell::Cell;
#[cfg(feature = "left-right")]
use std::ops::Deref;
use std::panic::catch_unwind;

/// The state of a dependency's thread-local on the current thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not used by this crate yet.
    Unused,
    /// Usable, with the guard initialised.
    Live,
    /// Destroyed, or about to be.
    Destroyed,
}

/// Declares a module that tracks one dependency; `$touch` uses its thread-local.
macro_rules! track {
    ($(#[$attribute:meta])* $module:ident, $touch:expr) => {
        $(#[$attribute])*
        pub(crate) mod $module {
            use super::*;

            thread_local! {
                // Without a destructor, so that it can be read at any time.
                static PHASE: Cell<Phase> = const { Cell::new(Phase::Unused) };
                static GUARD: Guard = const { Guard };
            }

            struct Guard;

            impl Drop for Guard {
                fn drop(&mut self) {
                    PHASE.set(Phase::Destroyed);
                }
            }

            /// Returns whether the current thread can use it. Once `false`, it stays `false`.
            #[inline]
            pub(crate) fn is_usable() -> bool {
                PHASE.get() == Phase::Live || initialize()
            }

            #[cold]
            fn initialize() -> bool {
                if PHASE.get() == Phase::Unused {
                    // Panics if the thread is being torn down and other code has used the dependency before.
                    let usable = catch_unwind($touch).is_ok() && GUARD.try_with(|_| ()).is_ok();
                    PHASE.set(if usable { Phase::Live } else { Phase::Destroyed });
                }
                PHASE.get() == Phase::Live
            }
        }
    };
}

track! {
    /// papaya's collector.
    #[cfg(feature = "papaya")]
    collector,
    || {
        static ANY: std::sync::LazyLock<seize::Collector> = std::sync::LazyLock::new(seize::Collector::new);
        drop(ANY.enter());
    }
}

track! {
    /// The crate `thread_local`.
    #[cfg(any(feature = "evmap", feature = "left-right"))]
    handles,
    || {
        static ANY: ::thread_local::ThreadLocal<()> = ::thread_local::ThreadLocal::new();
        ANY.get_or(|| ());
    }
}

/// A read handle of a map: the one of the current thread, or one for a single call during teardown.
#[cfg(feature = "left-right")]
pub(crate) enum ReadHandle<'a, T> {
    PerThread(&'a T),
    Temporary(T),
}

#[cfg(feature = "left-right")]
impl<T> Deref for ReadHandle<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::PerThread(handle) => handle,
            Self::Temporary(handle) => handle,
        }
    }
}

/// Runs a read whose slow path takes a `dyn` closure, so that the slow path is compiled once for all closures.
#[cold]
#[inline(never)]
pub(crate) fn read_by_dyn<K, V, S, R>(
    read: impl FnOnce(&K, &V, &S) -> R,
    slow: impl FnOnce(&mut dyn FnMut(&K, &V, &S)),
) -> Option<R> {
    let (mut read, mut result) = (Some(read), None);
    slow(&mut |key, value, state| result = read.take().map(|read| read(key, value, state)));
    result
}
