//! Makes subjects from the names of backends.

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
use crate::fixture::Fixture;
use crate::registry::{Layout, OverRegistry};
use crate::subject::{Session, Subject};
use crate::tails;
use crate::timed_loop::{Operation, OperationLoop, SessionAccess, TimedLoop};

/// A type-erased subject. Each call takes milliseconds; loops over operations are inside.
pub trait Runner: Send + Sync {
    /// Registers all servers and transports.
    fn fill(&self, fixture: &Fixture);

    /// Binds all transports to the servers in turn.
    fn bind_all(&self, fixture: &Fixture);

    /// Runs a workload.
    fn slice(&self, fixture: &Arc<Fixture>, job: &Job) -> Result<Slice>;

    /// Measures latencies under open-loop load.
    fn tails(&self, fixture: &Arc<Fixture>, job: &tails::Job<'_>) -> Result<Vec<tails::Outcome>>;

    /// Returns the skew of the entries over the shards.
    fn skew(&self) -> Option<f64>;

    /// Returns the loop of the n-th thread over an operation.
    fn timed_loop<'a>(&self, operation: Operation, fixture: &'a Fixture, thread: usize) -> Box<dyn TimedLoop + 'a>;
}

/// Returns the names of all backends.
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

/// Returns a registry on a backend, with health checks in the background.
///
/// # Errors
///
/// If there is no such backend, or the settings are invalid.
pub fn registry(backend: &str, layout: Layout) -> Result<Box<dyn Runner>> {
    on_backend(backend, One { layout, checked: true })?
}

/// Returns the same without health checks, to count its bytes or to validate its settings.
///
/// # Errors
///
/// If there is no such backend, or the settings are invalid.
pub fn unchecked_registry(backend: &str, layout: Layout) -> Result<Box<dyn Runner>> {
    on_backend(backend, One { layout, checked: false })?
}

/// Returns one registry on a backend as two subjects, with statistics on and off. Filling one fills both.
///
/// # Errors
///
/// If there is no such backend, or the settings are invalid.
pub fn monitored_and_unmonitored(backend: &str, layout: Layout) -> Result<[Box<dyn Runner>; 2]> {
    on_backend(backend, Both(layout))?
}

/// Returns the bare map of a backend, if there is one. A backend without one is measured but not compared.
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

/// Returns the immutable map.
#[must_use]
pub fn limit() -> Box<dyn Runner> {
    boxed(Limit::default())
}

/// A task on a backend.
pub trait OnBackend {
    /// Its result.
    type Outcome;

    /// Runs it.
    fn run<B: Backend>(self) -> Self::Outcome;
}

/// Runs a task on the backend of that name.
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
        Ok(OverRegistry::<B, _>::monitored_and_unmonitored(self.0)?.map(boxed))
    }
}

fn boxed<S: Subject>(subject: S) -> Box<dyn Runner> {
    Box::new(Running(Arc::new(subject)))
}

struct Running<S>(Arc<S>);

impl<S: Subject> Runner for Running<S> {
    fn fill(&self, fixture: &Fixture) {
        self.0.session().fill(fixture);
    }

    fn bind_all(&self, fixture: &Fixture) {
        let session = self.0.session();
        for (transport, server) in fixture.transports.iter().zip(fixture.servers.iter().cycle()) {
            session.bind(transport, server).expect("both are registered");
        }
    }

    fn slice(&self, fixture: &Arc<Fixture>, job: &Job) -> Result<Slice> {
        driver::run(&self.0, fixture, job)
    }

    fn tails(&self, fixture: &Arc<Fixture>, job: &tails::Job<'_>) -> Result<Vec<tails::Outcome>> {
        tails::run(&self.0, fixture, job)
    }

    fn skew(&self) -> Option<f64> {
        self.0.skew()
    }

    fn timed_loop<'a>(&self, operation: Operation, fixture: &'a Fixture, thread: usize) -> Box<dyn TimedLoop + 'a> {
        OperationLoop::boxed(operation, SessionAccess { session: self.0.session(), fixture }, fixture.keys(thread))
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
            assert!(registry(name, LAYOUT).is_ok() && monitored_and_unmonitored(name, LAYOUT).is_ok());
            assert!(bare(name, LAYOUT).is_some(), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = registry("nope", LAYOUT).err().expect("there is no such backend").to_string();
        assert!(error.contains("\"nope\"") && error.contains("papaya"), "{error}");
        assert!(bare("nope", LAYOUT).is_none());
    }

    #[test]
    fn invalid_settings_are_rejected() {
        let error = registry("papaya", Layout { shards: 3, ..LAYOUT }).err().expect("3 is no power of two");
        assert!(error.to_string().contains("power of two"), "{error}");
    }
}
