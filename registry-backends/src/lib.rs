//! The concurrent maps that a registry can be built on, each in one file behind a feature.
//!
//! This file knows which backends there are, and nothing of how any of them works; each module tells that of its own,
//! what it costs first. All keep the contract of [`Shard`](registry_core::Shard), and pass the conformance suite of
//! `registry-conformance`.
//!
//! To add one: a file, a line in the list below, and a dependency and a feature in the manifest. Tests, benches and
//! tables that go through [`for_each`] or [`for_every_backend!`] pick it up from there.

#[cfg(any(feature = "papaya", feature = "dashmap", feature = "left-right"))]
mod batches;
#[cfg(any(feature = "papaya", feature = "left-right"))]
mod ending;
#[cfg(any(not(shuttle), feature = "dashmap"))]
mod gate;
mod hashed;
mod met;

backends! {
    ($)
    reference::Reference,
    #[cfg(feature = "papaya")]
    papaya::Papaya,
    #[cfg(feature = "dashmap")]
    dashmap::Dashmap,
    #[cfg(feature = "left-right")]
    evmap::Evmap,
    #[cfg(feature = "left-right")]
    left_right::LeftRight,
}

/// Declares the modules, and all that goes through the list of them.
///
/// The `$` in front of the list is for the macro that is declared in here: in the body of a macro a plain `$` would
/// belong to the outer one.
macro_rules! backends {
    (($d:tt) $($(#[$attribute:meta])* $module:ident :: $Name:ident),+ $(,)?) => {
        $(
            $(#[$attribute])*
            pub mod $module;
            $(#[$attribute])*
            pub use self::$module::$Name;
        )+

        /// Something to be done with each backend; for programs that choose one by its name at run time.
        ///
        /// ```
        /// use registry_backends::{Visitor, for_each};
        /// use registry_core::Backend;
        ///
        /// struct Names(Vec<&'static str>);
        ///
        /// impl Visitor for Names {
        ///     fn visit<B: Backend>(&mut self) {
        ///         self.0.push(B::NAME);
        ///     }
        /// }
        ///
        /// let mut names = Names(Vec::new());
        /// for_each(&mut names);
        /// assert!(names.0.contains(&"reference"));
        /// ```
        pub trait Visitor {
            /// Visits a backend.
            fn visit<B: registry_core::Backend>(&mut self);
        }

        /// Visits all backends that are compiled in, in the order of the list.
        pub fn for_each(visitor: &mut impl Visitor) {
            $(
                $(#[$attribute])*
                visitor.visit::<$Name>();
            )+
        }

        /// Hands the list of all backends to a macro, for tests that are to exist once per backend.
        ///
        /// It takes the name of a macro and calls it with pairs of a module's name and a backend's. All backends are in
        /// the list, so the caller must have all features on.
        ///
        /// ```
        /// macro_rules! tests {
        ///     ($($module:ident $Name:ident),+) => {
        ///         $(mod $module {
        ///             type Backend = registry_backends::$Name;
        ///             // Tests of `Backend` go here.
        ///         })+
        ///     };
        /// }
        ///
        /// # #[cfg(all(feature = "papaya", feature = "dashmap", feature = "left-right"))]
        /// registry_backends::for_every_backend!(tests);
        /// ```
        #[macro_export]
        macro_rules! for_every_backend {
            ($d callback:ident) => {
                $d callback! { $($module $Name),+ }
            };
        }

        #[cfg(test)]
        mod conformance {
            $(
                $(#[$attribute])*
                mod $module {
                    registry_conformance::conformance!(crate::$Name);
                }
            )+
        }
    };
}
use backends;
