//! From the name of a backend to something that runs: the one place where types become names.

use std::sync::Arc;

use anyhow::{Context, Result};
use registry_core::Backend;
use registry_router::backends::{Visitor, for_each};

use crate::bare::dashmap::BareDashmap;
use crate::bare::evmap::BareEvmap;
use crate::bare::left_right::BareLeftRight;
use crate::bare::limit::Limit;
use crate::bare::papaya::BarePapaya;
use crate::bare::reference::BareReference;
use crate::bare::{Family, OverBare};
use crate::driver::{self, Job, Slice};
use crate::registry::{Layout, OverRegistry};
use crate::subject::{Session, Subject};
use crate::tails;
use crate::timed_loop::{Operation, OperationLoop, SessionAccess, TimedLoop};
use crate::world::World;

/// A subject whose type is forgotten. What is called through it takes milliseconds; loops over operations are inside.
pub trait Runner: Send + Sync {
    /// Registers all that is to be there from the beginning.
    fn fill(&self, world: &World);

    /// Binds all transports, in turn, to the servers.
    fn bind_all(&self, world: &World);

    /// Runs a workload for a while.
    fn slice(&self, world: &Arc<World>, job: &Job) -> Result<Slice>;

    /// Measures latencies under open-loop load.
    fn tails(&self, world: &Arc<World>, job: &tails::Job<'_>) -> Result<Vec<tails::Outcome>>;

    /// How unevenly the entries lie over the shards.
    fn skew(&self) -> Option<f64>;

    /// Returns the loop of the n-th thread over an operation.
    fn timed_loop<'a>(&self, operation: Operation, world: &'a World, thread: usize) -> Box<dyn TimedLoop + 'a>;
}

/// The names of all backends, in the order of the list.
#[must_use]
pub fn backends() -> Vec<&'static str> {
    struct Names(Vec<&'static str>);
    impl Visitor for Names {
        fn visit<B: Backend>(&mut self) {
            self.0.push(B::NAME);
        }
    }
    let mut names = Names(Vec::new());
    for_each(&mut names);
    names.0
}

/// A registry on that backend, as it serves: with checks in the background.
///
/// # Errors
///
/// If there is no such backend, or the registry does not like its settings.
pub fn registry(backend: &str, layout: Layout) -> Result<Box<dyn Runner>> {
    on_backend(backend, One { layout, checked: true })?
}

/// The same that nobody checks, for whoever counts what it takes or only asks whether it can be made.
///
/// # Errors
///
/// If there is no such backend, or the registry does not like its settings.
pub fn unchecked_registry(backend: &str, layout: Layout) -> Result<Box<dyn Runner>> {
    on_backend(backend, One { layout, checked: false })?
}

/// One registry on that backend as two subjects, with statistics on and off. Filling one fills both.
///
/// # Errors
///
/// If there is no such backend, or the registry does not like its settings.
pub fn heard_and_unheard(backend: &str, layout: Layout) -> Result<[Box<dyn Runner>; 2]> {
    on_backend(backend, Both(layout))?
}

/// The bare map of that backend, if there is one. A backend without one is measured, but compared with nothing.
#[must_use]
pub fn bare(backend: &str, layout: Layout) -> Option<Box<dyn Runner>> {
    fn of<F: Family>(layout: Layout) -> Option<Box<dyn Runner>> {
        Some(boxed(OverBare::<F>::new(layout)))
    }
    match backend {
        "dashmap" => of::<BareDashmap>(layout),
        "evmap" => of::<BareEvmap>(layout),
        "left-right" => of::<BareLeftRight>(layout),
        "papaya" => of::<BarePapaya>(layout),
        "reference" => of::<BareReference>(layout),
        _ => None,
    }
}

/// The immutable map, which is no backend's.
#[must_use]
pub fn limit() -> Box<dyn Runner> {
    boxed(Limit::default())
}

/// Something to be done on one backend.
pub trait OnBackend {
    /// What comes of it.
    type Outcome;

    /// Does it.
    fn run<B: Backend>(self) -> Self::Outcome;
}

/// Does it on the backend of that name.
///
/// # Errors
///
/// If there is no such backend.
pub fn on_backend<T: OnBackend>(name: &str, task: T) -> Result<T::Outcome> {
    struct Named<'a, T: OnBackend> {
        name: &'a str,
        task: Option<T>,
        outcome: Option<T::Outcome>,
    }
    impl<T: OnBackend> Visitor for Named<'_, T> {
        fn visit<B: Backend>(&mut self) {
            if B::NAME == self.name {
                self.outcome = self.task.take().map(T::run::<B>);
            }
        }
    }
    let mut named = Named { name, task: Some(task), outcome: None };
    for_each(&mut named);
    named.outcome.with_context(|| format!("there is no backend {name:?}; there are {}", backends().join(", ")))
}

struct One {
    layout: Layout,
    checked: bool,
}

impl OnBackend for One {
    type Outcome = Result<Box<dyn Runner>>;

    fn run<B: Backend>(self) -> Self::Outcome {
        let make = if self.checked { OverRegistry::<B, _>::checked } else { OverRegistry::<B, _>::new };
        Ok(boxed(make(self.layout)?))
    }
}

struct Both(Layout);

impl OnBackend for Both {
    type Outcome = Result<[Box<dyn Runner>; 2]>;

    fn run<B: Backend>(self) -> Self::Outcome {
        Ok(OverRegistry::<B, _>::heard_and_unheard(self.0)?.map(boxed))
    }
}

fn boxed<S: Subject>(subject: S) -> Box<dyn Runner> {
    Box::new(Running(Arc::new(subject)))
}

struct Running<S>(Arc<S>);

impl<S: Subject> Runner for Running<S> {
    fn fill(&self, world: &World) {
        self.0.session().fill(world);
    }

    fn bind_all(&self, world: &World) {
        let session = self.0.session();
        for (transport, server) in world.transports.iter().zip(world.servers.iter().cycle()) {
            session.bind(transport, server).expect("both are registered");
        }
    }

    fn slice(&self, world: &Arc<World>, job: &Job) -> Result<Slice> {
        driver::run(&self.0, world, job)
    }

    fn tails(&self, world: &Arc<World>, job: &tails::Job<'_>) -> Result<Vec<tails::Outcome>> {
        tails::run(&self.0, world, job)
    }

    fn skew(&self) -> Option<f64> {
        self.0.skew()
    }

    fn timed_loop<'a>(&self, operation: Operation, world: &'a World, thread: usize) -> Box<dyn TimedLoop + 'a> {
        OperationLoop::boxed(operation, SessionAccess { session: self.0.session(), world }, world.keys(thread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { shards: 4, servers: 0, transports: 0 };

    #[test]
    fn every_backend_can_be_made_and_has_a_bare_map() {
        let names = backends();
        assert!(["dashmap", "evmap", "papaya", "reference"].iter().all(|name| names.contains(name)), "{names:?}");
        for name in names {
            assert!(registry(name, LAYOUT).is_ok() && heard_and_unheard(name, LAYOUT).is_ok());
            assert!(bare(name, LAYOUT).is_some(), "{name}");
        }
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        let error = registry("nope", LAYOUT).err().expect("there is no such backend").to_string();
        assert!(error.contains("\"nope\"") && error.contains("papaya"), "{error}");
        assert!(bare("nope", LAYOUT).is_none());
    }

    #[test]
    fn what_the_registry_says_is_passed_on() {
        let error = registry("papaya", Layout { shards: 3, ..LAYOUT }).err().expect("3 is no power of two");
        assert!(error.to_string().contains("power of two"), "{error}");
    }
}
