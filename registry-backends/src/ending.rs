//! The end of a thread: whether a map's own thread-local may still be used, or its destructor has run.
//!
//! papaya's collector and the crate `thread_local` keep a number for each thread in a thread-local with a destructor, and
//! panic when they are used after that has run. A panic there ends the process, and what a thread keeps in thread-locals of
//! its own, such as a lease, is dropped after it if it was first used before.
//!
//! So each dependency has a guard here, a thread-local that is first used right after the dependency's own. Destructors
//! run in the reverse order of first uses, so the guard's runs first, and says that the dependency's is about to.

use std::cell::Cell;
#[cfg(feature = "left-right")]
use std::ops::Deref;
use std::panic::catch_unwind;

/// What a thread knows of a dependency's thread-local.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not used from here.
    Fresh,
    /// In use, with the guard set.
    Live,
    /// Gone, or about to go.
    Gone,
}

/// Declares what is known of one dependency; `$touch` uses its thread-local.
macro_rules! dependency {
    ($(#[$attribute:meta])* $module:ident, $touch:expr) => {
        $(#[$attribute])*
        pub(crate) mod $module {
            use super::*;

            thread_local! {
                // Without a destructor, so that it can be asked at any time.
                static PHASE: Cell<Phase> = const { Cell::new(Phase::Fresh) };
                static GUARD: Guard = const { Guard };
            }

            struct Guard;

            impl Drop for Guard {
                fn drop(&mut self) {
                    PHASE.set(Phase::Gone);
                }
            }

            /// Whether the current thread may use it. Once it may not, it never may again.
            #[inline]
            pub(crate) fn is_usable() -> bool {
                PHASE.get() == Phase::Live || begin()
            }

            #[cold]
            fn begin() -> bool {
                if PHASE.get() == Phase::Fresh {
                    // It panics if the thread is ending and others have used the dependency before.
                    let usable = catch_unwind($touch).is_ok() && GUARD.try_with(|_| ()).is_ok();
                    PHASE.set(if usable { Phase::Live } else { Phase::Gone });
                }
                PHASE.get() == Phase::Live
            }
        }
    };
}

dependency! {
    /// papaya's collector.
    #[cfg(feature = "papaya")]
    collector,
    || {
        static ANY: std::sync::LazyLock<seize::Collector> = std::sync::LazyLock::new(seize::Collector::new);
        drop(ANY.enter());
    }
}

dependency! {
    /// The crate `thread_local`.
    #[cfg(feature = "left-right")]
    handles,
    || {
        static ANY: ::thread_local::ThreadLocal<()> = ::thread_local::ThreadLocal::new();
        ANY.get_or(|| ());
    }
}

/// A map's read handle: the thread's own, or one for a single call where that must not be asked for any more.
#[cfg(feature = "left-right")]
pub(crate) enum Reader<'a, T> {
    Own(&'a T),
    Late(T),
}

#[cfg(feature = "left-right")]
impl<T> Deref for Reader<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Own(reader) => reader,
            Self::Late(reader) => reader,
        }
    }
}
