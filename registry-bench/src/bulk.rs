//! Bulk operations and bound routes compared with single operations, on one registry, in turns.
//!
//! - `find_many_vs_single`: 32 servers in one call against 32 calls, each read in place; ids in random order.
//! - `route_many_vs_single`: 32 messages in one call against 32 calls.
//! - `bound_route_vs_route`: a message through a bound route against one to the same server by its name.
//! - `bound_route_vs_look_ups`: the same against first looking up the server that the transport is bound to.
//!
//! Both sides do the same work on the same registry, in turns, see [`interleave`]; each pair of slices gives one ratio
//! of times per lookup or message.

use std::fmt::Display;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use registry_core::Backend;
use registry_router::{BoundRoute, Registry, RouteError, ServerId, TransportId};

use crate::choose::{OnBackend, on_backend};
use crate::failures::Failures;
use crate::fixture::{Counts, Fixture, Message};
use crate::interleave::{Extent, Side, interleave};
use crate::ratio::Request;
use crate::record::Ratio;
use crate::spread::Spread;
use crate::timed_loop::{Operation, TimedLoop};

/// The number of comparisons.
pub const ROWS: usize = 4;

/// The number of ids in one bulk call.
const MANY: usize = 32;

/// The greatest number of transports with a route.
const MOST_ROUTES: usize = 1 << 16;

const NOT_FOUND: &str = "it was not found";

/// Measures all ratios on one registry.
///
/// # Errors
///
/// If the backend or the number of shards is not possible, or an operation failed.
pub fn measure(request: &Request) -> Result<Vec<Ratio>> {
    struct Measure<'a>(&'a Request);
    impl OnBackend for Measure<'_> {
        type Outcome = Result<Vec<Ratio>>;

        fn run<B: Backend>(self) -> Self::Outcome {
            measure_on::<B>(self.0)
        }
    }
    on_backend(&request.backend, Measure(request))?
}

fn measure_on<B: Backend>(request: &Request) -> Result<Vec<Ratio>> {
    let transports = request.entries.min(MOST_ROUTES);
    let counts = Counts { servers: request.entries, absent_ids: 0, claims: 0, transports };
    let fixture = Fixture::new(counts, request.seed);
    let registry: Registry<Message, B> =
        Registry::builder().shards(request.shards).capacity(request.entries).build()?;
    for (n, id) in fixture.servers.iter().enumerate() {
        registry.register_server(id, fixture.mailbox(n).clone(), ())?.detach();
    }
    // Bound in random order, so that neighbouring transports have distant servers.
    for (id, server) in fixture.transports.iter().zip(&fixture.order) {
        registry.register_transport_bound_to(id, fixture.transport_mailbox().clone(), (), server)?.detach();
    }
    let on = On { registry: &registry, fixture: &fixture };
    let mut ratios = Vec::new();
    for &threads in &request.threads {
        let room = Some(fixture.room());
        let rows: [(&str, Operation, [Side<'_>; 2]); ROWS] = [
            (
                "find_many_vs_single",
                Operation::Lookup,
                [side(threads, None, move |_| on.find_many()), side(threads, None, move |_| on.find_each())],
            ),
            (
                "route_many_vs_single",
                Operation::Route,
                [side(threads, room, move |_| on.route_many()), side(threads, room, move |_| on.route_each())],
            ),
            (
                "bound_route_vs_route",
                Operation::Route,
                [
                    side(threads, room, move |thread| on.through(thread, threads)),
                    side(threads, room, move |thread| on.by_name(thread, threads)),
                ],
            ),
            (
                "bound_route_vs_look_ups",
                Operation::Route,
                [
                    side(threads, room, move |thread| on.through(thread, threads)),
                    side(threads, room, move |thread| on.by_lookups(thread, threads)),
                ],
            ),
        ];
        for (name, operation, sides) in rows {
            ratios.push(compare(request, name, operation, &fixture, &sides)?);
        }
    }
    Ok(ratios)
}

/// The loop of one thread on one side.
type Turn<'a> = Box<dyn TimedLoop + 'a>;

/// The operations on a registry.
struct On<'a, B: Backend> {
    registry: &'a Registry<Message, B>,
    fixture: &'a Fixture,
}

impl<B: Backend> Clone for On<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for On<'_, B> {}

impl<'a, B: Backend> On<'a, B> {
    fn find_many(self) -> Turn<'a> {
        let Self { registry, fixture } = self;
        let mailbox = fixture.mailbox(0);
        Box::new(move |start: usize, operations: usize| {
            let (mut failures, mut same) = (Failures::default(), 0);
            let took = time(&fixture.order, start, operations, |place, ids| {
                registry.with_many_servers(ids, |number, entry| match entry {
                    Some(entry) => same += usize::from(entry.mailbox.same_channel(mailbox)),
                    None => failures.note(place + number, NOT_FOUND),
                });
            });
            black_box(same);
            (took, failures)
        })
    }

    fn find_each(self) -> Turn<'a> {
        let Self { registry, fixture } = self;
        let mailbox = fixture.mailbox(0);
        Box::new(move |start: usize, operations: usize| {
            let (mut failures, mut same) = (Failures::default(), 0);
            let took = time(&fixture.order, start, operations, |place, ids| {
                for (number, id) in ids.iter().enumerate() {
                    match registry.with_server(id, |entry| entry.mailbox.same_channel(mailbox)) {
                        Some(is_same) => same += usize::from(is_same),
                        None => failures.note(place + number, NOT_FOUND),
                    }
                }
            });
            black_box(same);
            (took, failures)
        })
    }

    fn route_many(self) -> Turn<'a> {
        let Self { registry, fixture } = self;
        Box::new(move |start: usize, operations: usize| {
            let mut failures = Failures::default();
            let took = time(&fixture.order, start, operations, |place, ids| {
                for (number, reason) in registry.route_many_to_servers(ids.iter().map(|id| (id, &fixture.sender, 1))) {
                    failures.note(place + number, reason);
                }
            });
            (took, failures)
        })
    }

    fn route_each(self) -> Turn<'a> {
        let Self { registry, fixture } = self;
        Box::new(move |start: usize, operations: usize| {
            let mut failures = Failures::default();
            let took = time(&fixture.order, start, operations, |place, ids| {
                for (number, id) in ids.iter().enumerate() {
                    if let Err(reason) = registry.route_to_server(id, &fixture.sender, 1) {
                        failures.note(place + number, reason);
                    }
                }
            });
            (took, failures)
        })
    }

    /// Returns the transports of a thread, each with its server.
    fn pairs(self, thread: usize, threads: usize) -> Vec<(&'a TransportId, &'a ServerId)> {
        let all = self.fixture.transports.iter().zip(&self.fixture.order);
        all.skip(thread).step_by(threads).collect()
    }

    fn through(self, thread: usize, threads: usize) -> Turn<'a> {
        let registry = self.registry;
        let of = |(transport, _)| registry.bound_route(transport).expect("all are registered");
        let mut routes: Vec<BoundRoute<Message>> = self.pairs(thread, threads).into_iter().map(of).collect();
        // The first message resolves the route.
        for route in &mut routes {
            route.try_send(registry, 1).expect("the mailboxes are empty");
        }
        self.fixture.drain_all();
        Box::new(move |start: usize, operations: usize| {
            time_mut(&mut routes, start, operations, |route| route.try_send(registry, 1))
        })
    }

    fn by_name(self, thread: usize, threads: usize) -> Turn<'a> {
        let (registry, mut pairs) = (self.registry, self.pairs(thread, threads));
        Box::new(move |start: usize, operations: usize| {
            time_mut(&mut pairs, start, operations, |(transport, server)| {
                registry.route_to_server(server, transport, 1)
            })
        })
    }

    fn by_lookups(self, thread: usize, threads: usize) -> Turn<'a> {
        let (registry, mut pairs) = (self.registry, self.pairs(thread, threads));
        Box::new(move |start: usize, operations: usize| {
            time_mut(&mut pairs, start, operations, |(transport, _)| {
                let server = registry.server_for_transport(*transport).ok_or(RouteError::NotFound(1))?;
                registry.route_to_server(&server, transport, 1)
            })
        })
    }
}

/// Returns a side of a comparison on a number of threads.
fn side<'a>(threads: usize, room: Option<usize>, make: impl Fn(usize) -> Turn<'a> + Sync + 'a) -> Side<'a> {
    Side { make: Box::new(make), threads, room }
}

/// Compares two sides.
fn compare(
    request: &Request,
    name: &str,
    operation: Operation,
    fixture: &Fixture,
    sides: &[Side<'_>; 2],
) -> Result<Ratio> {
    let extent = Extent { keys: fixture.order.len(), rounds: request.rounds, slice: request.slice };
    let times =
        interleave(sides, extent, &|| fixture.drain_all()).with_context(|| format!("{name} on {}", request.backend))?;
    let spread_of = |figure: fn(&Vec<f64>) -> f64| {
        Spread::of(&times.rounds.iter().map(figure).collect::<Vec<_>>()).context("there must be at least one round")
    };
    Ok(Ratio {
        name: name.to_owned(),
        operation: operation.name().to_owned(),
        q1: None,
        q3: None,
        backend: request.backend.clone(),
        shards: request.shards,
        threads: sides[0].threads,
        entries: request.entries,
        spread: spread_of(|round| round[0] / round[1])?,
        subject_ns: Some(spread_of(|round| round[0])?.median),
        bare_ns: Some(spread_of(|round| round[1])?.median),
        rounds: request.rounds,
        operations: Some(times.operations),
        seed: request.seed,
    })
}

/// Times a bulk operation over the keys, [`MANY`] at a time, beginning again at their end. It is passed the index of
/// the first key.
#[inline]
fn time<K>(keys: &[K], start: usize, operations: usize, mut operation: impl FnMut(usize, &[K])) -> Duration {
    let mut place = start % keys.len();
    let mut left = operations;
    let began = Instant::now();
    while left > 0 {
        let upto = (place + left.min(MANY)).min(keys.len());
        operation(place, black_box(&keys[place..upto]));
        left -= upto - place;
        place = upto % keys.len();
    }
    began.elapsed()
}

/// Times `operations` calls over the items from `start` on, beginning again at their end, and counts the failures.
#[inline]
fn time_mut<T, E: Display>(
    row: &mut [T],
    start: usize,
    operations: usize,
    mut operation: impl FnMut(&mut T) -> Result<(), E>,
) -> (Duration, Failures) {
    let mut place = start % row.len();
    let mut failures = Failures::default();
    let began = Instant::now();
    for _ in 0..operations {
        if let Err(reason) = operation(black_box(&mut row[place])) {
            failures.note(place, reason);
        }
        place += 1;
        if place == row.len() {
            place = 0;
        }
    }
    (began.elapsed(), failures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choose;

    #[test]
    fn keys_are_visited_in_batches_and_wrap_around() {
        let keys: Vec<usize> = (0..40).collect();
        let mut seen = Vec::new();
        time(&keys, 5, 75, |place, keys| seen.push((place, keys.to_vec())));
        assert_eq!(
            seen.iter().map(|(place, keys)| (*place, keys.len())).collect::<Vec<_>>(),
            [(5, 32), (37, 3), (0, 32), (32, 8)]
        );
        let seen: Vec<usize> = seen.into_iter().flat_map(|(_, keys)| keys).collect();
        assert_eq!(seen, (5..80).map(|n| n % 40).collect::<Vec<_>>());
        let mut row = [0; 3];
        let (_, failures) = time_mut(&mut row, 2, 5, |times| {
            *times += 1;
            if *times == 2 { Err("twice") } else { Ok(()) }
        });
        assert_eq!(row, [2, 1, 2]);
        assert_eq!(failures.to_string(), "2 operations did not do what they should; the first, id 2: twice");
    }

    #[test]
    fn every_comparison_is_measured_on_every_backend() {
        for backend in choose::backends() {
            let request = Request {
                backend: backend.to_owned(),
                shards: 4,
                entries: 100,
                threads: vec![1, 2],
                rounds: 2,
                pairs: 1,
                slice: Duration::from_micros(50),
                seed: 1,
            };
            let ratios = measure(&request).unwrap();
            assert_eq!(ratios.len(), 2 * ROWS, "{backend}");
            for ratio in ratios {
                assert!(ratio.spread.min > 0.0 && ratio.spread.median.is_finite(), "{ratio:?}");
            }
        }
    }
}
