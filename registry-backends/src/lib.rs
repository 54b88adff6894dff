//! The concurrent maps that a registry can be built on, one module each.
//!
//! | Backend | Feature |
//! |---|---|
//! | `Papaya` | `papaya`, on by default |
//! | `Dashmap` | `dashmap` |
//! | `Evmap` | `evmap` |
//! | `LeftRight` | `left-right` |
//! | [`Reference`] | none: always compiled |
//!
//! This file has the list of backends and nothing specific to one of them; the documentation of each module opens with
//! its trade-offs. All implement the contract of [`Shard`](registry_core::Shard) and pass the conformance suite of
//! `registry-conformance`.
//!
//! To add a backend, add a file, an item of the list below, and a dependency and a feature in the manifest. Tests,
//! benchmarks and tables that use [`for_each`] or [`for_every_backend!`] then include it.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "papaya", feature = "dashmap", feature = "evmap", feature = "left-right"))]
mod batches;
mod contention;
mod hashed;
mod predicate;
#[cfg(any(feature = "papaya", feature = "evmap", feature = "left-right"))]
mod teardown;
#[cfg(any(feature = "evmap", feature = "left-right"))]
mod writer_lock;
#[cfg(any(not(shuttle), feature = "dashmap"))]
mod writer_priority;

backends! {
    ($)
    reference::Reference,
    #[cfg(feature = "papaya")]
    papaya::Papaya,
    #[cfg(feature = "dashmap")]
    dashmap::Dashmap,
    #[cfg(feature = "evmap")]
    evmap::Evmap,
    #[cfg(feature = "left-right")]
    left_right::LeftRight,
}

/// Declares the modules of the backends, and everything that is generated from their list.
///
/// The `$` before the list is for the macro that is declared in here: in the body of a macro a plain `$` would belong to
/// the outer one.
macro_rules! backends {
    (($d:tt) $($(#[cfg(feature = $feature:literal)])? $module:ident :: $Name:ident),+ $(,)?) => {
        $(
            $(
                #[cfg(feature = $feature)]
                #[cfg_attr(docsrs, doc(cfg(feature = $feature)))]
            )?
            pub mod $module;
            $(
                #[cfg(feature = $feature)]
                #[cfg_attr(docsrs, doc(cfg(feature = $feature)))]
            )?
            pub use self::$module::$Name;
        )+

        /// An action for each backend, for programs that select a backend by name at run time.
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
            /// Called once for each backend.
            fn visit<B: registry_core::Backend>(&mut self);
        }

        /// Calls the visitor with every backend that is compiled in, in the order of the list.
        pub fn for_each(visitor: &mut impl Visitor) {
            $(
                $(#[cfg(feature = $feature)])?
                visitor.visit::<$Name>();
            )+
        }

        /// Passes the list of all backends to a macro, to define tests once per backend.
        ///
        /// Takes the name of a macro and invokes it with pairs of a module name and a backend. The list contains all
        /// backends, so the caller must enable all features.
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
        /// # #[cfg(all(feature = "papaya", feature = "dashmap", feature = "evmap", feature = "left-right"))]
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
                $(#[cfg(feature = $feature)])?
                mod $module {
                    registry_conformance::conformance!(crate::$Name);
                }
            )+
        }
    };
}
use backends;
