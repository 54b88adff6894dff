//! 10,000 owners drop their inboxes but not their registrations.
//!
//! Lookups do not find the entries, their names are free, and a sweep removes all of them and no others: a full sweep,
//! sweeps of single shards at given instants, and the background task. The lag of the latter is measured from before
//! the first death until admission was released for the last entry, which is when its name is free.

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use registry_core::{Admission, AdmissionError, AdmissionState, Backend, BindError, Kind, Metadata, RouteError};
use registry_router::{Registry, ServerId, TransportId};
use tokio::runtime::Builder;

use super::fixture::{entry_counts, server, transport};
use super::owner::Owner;
use super::recorder::{EntryCounts, Recorder};

/// The interval of background sweeps of each shard, the shortest possible with 64 shards.
const SWEEP_INTERVAL: Duration = Duration::from_millis(64);

/// One in this many entries is found by a message, and another one by a registration of its name, before any sweep.
const FOUND_PERIOD: usize = 10;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let (removed_tx, removed_rx) = mpsc::channel();
    let builder = Registry::<u64, B>::builder().admission(ReleaseNotifier(removed_tx));
    let registry = builder.build().expect("the default settings are valid");
    let population = Population::new(&registry, recorder.scaled(5_000), recorder.scaled(1_000));

    dead_entries_are_not_found(&registry, &population, recorder);
    sweep_removes_the_dead(&registry, &population, recorder);
    sweep_shard_removes_the_dead(&registry, &population, recorder);
    sweep_task_removes_the_dead(&registry, &population, &removed_rx, recorder);

    let Population { live, .. } = population;
    recorder.add_deaths(live.len());
    drop(live);
    recorder.expect_empty("at the end", entry_counts(&registry));
}

/// Live servers with a transport each, and the ids of the entries that die.
struct Population {
    live: Vec<Owner>,
    servers: Vec<ServerId>,
    transports: Vec<TransportId>,
    live_servers: Vec<ServerId>,
}

impl Population {
    fn new<B: Backend>(registry: &Registry<u64, B>, dying: usize, live: usize) -> Self {
        let live_servers: Vec<_> = (0..live).map(|number| server("live", number)).collect();
        let mut owners = Vec::new();
        for (number, server_id) in live_servers.iter().enumerate() {
            owners.push(Owner::server(registry, server_id.clone()));
            owners.push(Owner::bound(registry, transport("live", number), server_id));
        }
        Self {
            live: owners,
            servers: (0..dying).map(|number| server("dying", number)).collect(),
            transports: (0..dying).map(|number| transport("dying", number)).collect(),
            live_servers,
        }
    }

    /// Registers the dying: servers, and transports bound to live servers, to dying ones, or unbound.
    fn register_dying<B: Backend>(&self, registry: &Registry<u64, B>) -> Vec<Owner> {
        let mut owners: Vec<_> = self.servers.iter().map(|id| Owner::server(registry, id.clone())).collect();
        for (number, id) in self.transports.iter().enumerate() {
            owners.push(match number % 3 {
                0 => Owner::bound(registry, id.clone(), &self.live_servers[number % self.live_servers.len()]),
                1 => Owner::bound(registry, id.clone(), &self.servers[number]),
                _ => Owner::transport(registry, id.clone()),
            });
        }
        owners
    }

    /// Registers the dying and lets them die; returns their number.
    fn die_silently<B: Backend>(&self, registry: &Registry<u64, B>, recorder: &mut Recorder) -> usize {
        let owners = self.register_dying(registry);
        let deaths = owners.len();
        recorder.add_deaths(deaths);
        owners.into_iter().for_each(Owner::die_silently);
        deaths
    }

    /// Records a failure unless exactly the live entries and their bindings remain.
    fn expect_only_live<B: Backend>(&self, registry: &Registry<u64, B>, when: &str, recorder: &mut Recorder) {
        let all = self.live_servers.len();
        let EntryCounts { servers, transports, bindings } = entry_counts(registry);
        recorder.expect(servers.min(transports).min(bindings) >= all, || format!("a live entry is missing {when}"));
        let remaining = EntryCounts {
            servers: servers.saturating_sub(all),
            transports: transports.saturating_sub(all),
            bindings: bindings.saturating_sub(all),
        };
        recorder.expect_empty(when, remaining);
        let current = self.live.iter().filter(|owner| owner.lease.is_current()).count();
        recorder.expect_eq("live entries still registered", current, 2 * all);
        let bound = |(number, server_id): &(usize, &ServerId)| {
            registry.server_for_transport(transport("live", *number)).as_ref() == Some(server_id)
        };
        recorder.expect_eq("live entries still bound", self.live_servers.iter().enumerate().filter(bound).count(), all);
    }
}

/// Before any sweep, dead entries are counted but not found.
fn dead_entries_are_not_found<B: Backend>(
    registry: &Registry<u64, B>,
    population: &Population,
    recorder: &mut Recorder,
) {
    population.die_silently(registry, recorder);
    let (dead, live) = (population.servers.len(), population.live_servers.len());
    let server_id = &population.live_servers[0];
    let found = population.servers.iter().filter(|id| registry.find_server(id).is_some()).count()
        + population.transports.iter().filter(|id| registry.with_transport(id, |_| ()).is_some()).count()
        + population.transports.iter().filter(|id| registry.server_for_transport(id).is_some()).count()
        + population.servers.iter().filter(|id| !registry.transports_of(id).is_empty()).count();
    recorder.expect_eq("lookups that found a dead entry", found, 0);
    let listed = (registry.list_servers().len(), registry.list_transports().len());
    recorder.expect_eq("listed servers and transports", listed, (live, live));
    let bound: usize = population.live_servers.iter().map(|server_id| registry.transports_of(server_id).len()).sum();
    recorder.expect_eq("transports of live servers", bound, live);
    let bindings = population.transports.iter().map(|id| registry.bind_transport_to_server(id, server_id));
    recorder.expect_each("bindings of dead transports", bindings, &Err(BindError::TransportNotFound));
    let registered = (registry.server_count(), registry.transport_count());
    recorder.expect_eq("registrations, dead ones included", registered, (live + dead, live + dead));
}

/// Some entries are removed by a message, some by a registration of their name, and all others by one sweep.
fn sweep_removes_the_dead<B: Backend>(registry: &Registry<u64, B>, population: &Population, recorder: &mut Recorder) {
    let from = transport("sender", 0);
    let messages = population.servers.iter().step_by(FOUND_PERIOD);
    let sent = messages.clone().map(|id| registry.route_to_server(id, &from, 7));
    recorder.expect_each("messages to dead entries", sent, &Err(RouteError::Closed(7)));
    let successors: Vec<_> = population.servers.iter().skip(1).step_by(FOUND_PERIOD).cloned().collect();
    let found = messages.len() + successors.len();
    let successors: Vec<_> = successors.into_iter().map(|id| Owner::server(registry, id)).collect();

    let began = Instant::now();
    let swept = registry.sweep();
    recorder.set_cleanup(began.elapsed());
    let (servers, transports) = (population.servers.len() - found, population.transports.len());
    recorder.expect_eq("entries removed by the sweep", (swept.servers, swept.transports), (servers, transports));
    let current = successors.iter().filter(|owner| owner.lease.is_current()).count();
    recorder.expect_eq("successors that the sweep left in place", current, successors.len());
    drop(successors);
    population.expect_only_live(registry, "after a sweep", recorder);
}

/// The lag of a sweep is the time since the previous one, by the caller's clock.
fn sweep_shard_removes_the_dead<B: Backend>(
    registry: &Registry<u64, B>,
    population: &Population,
    recorder: &mut Recorder,
) {
    let shards = 0..registry.shard_count();
    registry.reset_stats();
    let now = Instant::now();
    let removed: usize = shards
        .clone()
        .map(|shard| registry.sweep_shard(shard, now))
        .map(|swept| swept.servers + swept.transports)
        .sum();
    recorder.expect_eq("entries removed by sweeps without dead entries", removed, 0);
    let deaths = population.die_silently(registry, recorder);
    let swept: Vec<_> = shards.map(|shard| registry.sweep_shard(shard, now + SWEEP_INTERVAL)).collect();
    let all: usize = swept.iter().map(|swept| swept.servers + swept.transports).sum();
    recorder.expect_eq("entries removed by sweeps of all shards", all, deaths);
    let longest = swept.iter().map(|swept| swept.lag).max();
    recorder.expect_eq("longest lag of those sweeps", longest, Some(SWEEP_INTERVAL));
    let counted: u64 = registry.all_shard_stats().iter().map(|stats| stats.swept).sum();
    recorder.expect_eq("swept entries in the statistics", counted, deaths as u64);
    population.expect_only_live(registry, "after sweeps of all shards", recorder);
}

/// The background task removes all dead entries, and ends with the registry.
fn sweep_task_removes_the_dead<B: Backend>(
    registry: &Registry<u64, B>,
    population: &Population,
    removed_rx: &Receiver<Instant>,
    recorder: &mut Recorder,
) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("threads can be started");
    let owners = population.register_dying(registry);
    let deaths = owners.len();
    recorder.add_deaths(deaths);
    // Discards earlier releases, which have all been sent by now.
    while removed_rx.try_recv().is_ok() {}
    let sweep_task = runtime.spawn(registry.sweep_task(SWEEP_INTERVAL));
    let began = Instant::now();
    owners.into_iter().for_each(Owner::die_silently);
    let last = removed_rx.iter().take(deaths).last();
    let lag = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(began));
    recorder.record_lag(lag);
    recorder.figure("lag_in_rounds_x", lag.as_secs_f64() / SWEEP_INTERVAL.as_secs_f64());
    population.expect_only_live(registry, "after sweeps in the background", recorder);
    sweep_task.abort();
    let cancelled = runtime.block_on(sweep_task).is_err_and(|error| error.is_cancelled());
    recorder.expect(cancelled, || "the sweep task ended before its registry".to_owned());

    let short_lived: Registry<u64, B> = super::fixture::registry();
    let sweep_task = runtime.spawn(short_lived.sweep_task(SWEEP_INTERVAL));
    drop(short_lived);
    recorder.expect(runtime.block_on(sweep_task).is_ok(), || {
        "the sweep task panicked after its registry was dropped".to_owned()
    });
}

/// Admits every entry, and reports each release, which happens when the name is free.
#[derive(Debug)]
struct ReleaseNotifier(Sender<Instant>);

impl Admission for ReleaseNotifier {
    fn admit(&self, _kind: Kind, _metadata: &Metadata, _now: Instant) -> Result<(), AdmissionError> {
        Ok(())
    }

    fn release(&self, _kind: Kind, _metadata: &Metadata) {
        // The receiver is gone once the storm is over.
        let _ = self.0.send(Instant::now());
    }

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }
}
