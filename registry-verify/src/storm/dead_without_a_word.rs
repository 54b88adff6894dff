//! 10,000 owners drop their inboxes and leave their registrations behind.
//!
//! Nobody finds them, their names are free, and a sweep takes out all of them and nobody else: one that is called, one
//! of shards at given instants, and the one in the background. That one's lag is measured from before the first death
//! until admission has been told of the last end, which is when the name is free.

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use registry_core::{Admission, AdmissionError, AdmissionState, Backend, BindError, Kind, Metadata, RouteError};
use registry_router::{Registry, ServerId, TransportId};
use tokio::runtime::Builder;

use super::field::{held, server, transport};
use super::logbook::{Left, Logbook};
use super::owner::Owner;

/// How often the background sweeps each shard: as fast as it goes with 64 shards.
const EVERY: Duration = Duration::from_millis(64);

/// One in so many is found by a message, and another one by who wants its name, before any sweep.
const FOUND: usize = 10;

pub(super) fn run<B: Backend>(logbook: &mut Logbook) {
    let (ends, ended) = mpsc::channel();
    let builder = Registry::<u64, B>::builder().admission(Told(ends));
    let registry = builder.build().expect("the default settings are valid");
    let town = Town::new(&registry, logbook.sized(5_000), logbook.sized(1_000));

    found_by_nobody(&registry, &town, logbook);
    swept_by_call(&registry, &town, logbook);
    swept_by_shard(&registry, &town, logbook);
    swept_in_the_background(&registry, &town, &ended, logbook);

    let Town { living, .. } = town;
    logbook.died(living.len());
    drop(living);
    logbook.left_over("when the living are gone too", held(&registry));
}

/// Those who live on: servers with a transport each. And the names of those who do not.
struct Town {
    living: Vec<Owner>,
    servers: Vec<ServerId>,
    transports: Vec<TransportId>,
    homes: Vec<ServerId>,
}

impl Town {
    fn new<B: Backend>(registry: &Registry<u64, B>, dying: usize, living: usize) -> Self {
        let homes: Vec<_> = (0..living).map(|number| server("living", number)).collect();
        let mut owners = Vec::new();
        for (number, home) in homes.iter().enumerate() {
            owners.push(Owner::server(registry, home.clone()));
            owners.push(Owner::bound(registry, transport("living", number), home));
        }
        Self {
            living: owners,
            servers: (0..dying).map(|number| server("dying", number)).collect(),
            transports: (0..dying).map(|number| transport("dying", number)).collect(),
            homes,
        }
    }

    /// Registers everybody who is to die: servers, and transports bound to the living, to the dying, or to nobody.
    fn settle<B: Backend>(&self, registry: &Registry<u64, B>) -> Vec<Owner> {
        let mut owners: Vec<_> = self.servers.iter().map(|id| Owner::server(registry, id.clone())).collect();
        for (number, id) in self.transports.iter().enumerate() {
            owners.push(match number % 3 {
                0 => Owner::bound(registry, id.clone(), &self.homes[number % self.homes.len()]),
                1 => Owner::bound(registry, id.clone(), &self.servers[number]),
                _ => Owner::transport(registry, id.clone()),
            });
        }
        owners
    }

    /// Registers everybody who is to die, and lets them die without a word. Says how many there were.
    fn perish<B: Backend>(&self, registry: &Registry<u64, B>, logbook: &mut Logbook) -> usize {
        let owners = self.settle(registry);
        let deaths = owners.len();
        logbook.died(deaths);
        owners.into_iter().for_each(Owner::vanish);
        deaths
    }

    /// Whether only the living are left, and they are as they were.
    fn only_the_living<B: Backend>(&self, registry: &Registry<u64, B>, when: &str, logbook: &mut Logbook) {
        let all = self.homes.len();
        let Left { servers, transports, bindings } = held(registry);
        logbook.expect(servers.min(transports).min(bindings) >= all, || format!("one that lives is missing {when}"));
        let left = Left {
            servers: servers.saturating_sub(all),
            transports: transports.saturating_sub(all),
            bindings: bindings.saturating_sub(all),
        };
        logbook.left_over(when, left);
        let current = self.living.iter().filter(|owner| owner.lease.is_current()).count();
        logbook.expect_eq("living ones that are still registered", current, 2 * all);
        let bound = |(number, home): &(usize, &ServerId)| {
            registry.server_for_transport(transport("living", *number)).as_ref() == Some(home)
        };
        logbook.expect_eq("living ones that are still bound", self.homes.iter().enumerate().filter(bound).count(), all);
    }
}

/// Before any sweep, the dead are registered and nobody finds them.
fn found_by_nobody<B: Backend>(registry: &Registry<u64, B>, town: &Town, logbook: &mut Logbook) {
    town.perish(registry, logbook);
    let (dead, living) = (town.servers.len(), town.homes.len());
    let home = &town.homes[0];
    let found = town.servers.iter().filter(|id| registry.find_server(id).is_some()).count()
        + town.transports.iter().filter(|id| registry.with_transport(id, |_| ()).is_some()).count()
        + town.transports.iter().filter(|id| registry.server_for_transport(id).is_some()).count()
        + town.servers.iter().filter(|id| !registry.transports_of(id).is_empty()).count();
    logbook.expect_eq("lookups that found a dead one", found, 0);
    let listed = (registry.list_servers().len(), registry.list_transports().len());
    logbook.expect_eq("servers and transports in lists", listed, (living, living));
    let at_home: usize = town.homes.iter().map(|home| registry.transports_of(home).len()).sum();
    logbook.expect_eq("transports of the living", at_home, living);
    let bindings = town.transports.iter().map(|id| registry.bind_transport_to_server(id, home));
    logbook.expect_each("bindings of the dead", bindings, &Err(BindError::TransportNotFound));
    let registered = (registry.server_count(), registry.transport_count());
    logbook.expect_eq("registrations, dead ones among them", registered, (living + dead, living + dead));
}

/// Some are found by a message, some by who wants their name, and all others by one sweep.
fn swept_by_call<B: Backend>(registry: &Registry<u64, B>, town: &Town, logbook: &mut Logbook) {
    let from = transport("sender", 0);
    let messages = town.servers.iter().step_by(FOUND);
    let sent = messages.clone().map(|id| registry.route_to_server(id, &from, 7));
    logbook.expect_each("messages to the dead", sent, &Err(RouteError::Closed(7)));
    let heirs: Vec<_> = town.servers.iter().skip(1).step_by(FOUND).cloned().collect();
    let found = messages.len() + heirs.len();
    let heirs: Vec<_> = heirs.into_iter().map(|id| Owner::server(registry, id)).collect();

    let began = Instant::now();
    let swept = registry.sweep();
    logbook.cleaned_in(began.elapsed());
    let (servers, transports) = (town.servers.len() - found, town.transports.len());
    logbook.expect_eq("what the sweep takes out", (swept.servers, swept.transports), (servers, transports));
    let current = heirs.iter().filter(|owner| owner.lease.is_current()).count();
    logbook.expect_eq("heirs of the dead that the sweep left alone", current, heirs.len());
    drop(heirs);
    town.only_the_living(registry, "after a sweep", logbook);
}

/// The lag of a sweep is the time since the one before, by the clock of whoever calls it.
fn swept_by_shard<B: Backend>(registry: &Registry<u64, B>, town: &Town, logbook: &mut Logbook) {
    let shards = 0..registry.shard_count();
    registry.reset_stats();
    let now = Instant::now();
    let nobody: usize = shards
        .clone()
        .map(|shard| registry.sweep_shard(shard, now))
        .map(|swept| swept.servers + swept.transports)
        .sum();
    logbook.expect_eq("those whom a sweep takes out when nobody is dead", nobody, 0);
    let deaths = town.perish(registry, logbook);
    let swept: Vec<_> = shards.map(|shard| registry.sweep_shard(shard, now + EVERY)).collect();
    let all: usize = swept.iter().map(|swept| swept.servers + swept.transports).sum();
    logbook.expect_eq("those whom sweeps of all shards take out", all, deaths);
    let longest = swept.iter().map(|swept| swept.lag).max();
    logbook.expect_eq("the lag of those sweeps", longest, Some(EVERY));
    let counted: u64 = registry.all_shard_stats().iter().map(|stats| stats.swept).sum();
    logbook.expect_eq("those whom the statistics say were swept", counted, deaths as u64);
    town.only_the_living(registry, "after sweeps of all shards", logbook);
}

/// The task in the background finds everybody, and ends with the registry.
fn swept_in_the_background<B: Backend>(
    registry: &Registry<u64, B>,
    town: &Town,
    ended: &Receiver<Instant>,
    logbook: &mut Logbook,
) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("threads can be started");
    let owners = town.settle(registry);
    let deaths = owners.len();
    logbook.died(deaths);
    // Of earlier ends, which have all been told by now.
    while ended.try_recv().is_ok() {}
    let sweep_task = runtime.spawn(registry.sweep_task(EVERY));
    let began = Instant::now();
    owners.into_iter().for_each(Owner::vanish);
    let last = ended.iter().take(deaths).last();
    let lag = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(began));
    logbook.lagged(lag);
    logbook.figure("lag_in_rounds_x", lag.as_secs_f64() / EVERY.as_secs_f64());
    town.only_the_living(registry, "after sweeps in the background", logbook);
    sweep_task.abort();
    let cancelled = runtime.block_on(sweep_task).is_err_and(|error| error.is_cancelled());
    logbook.expect(cancelled, || "the sweeper ended although the registry was there".to_owned());

    let short_lived: Registry<u64, B> = super::field::registry();
    let sweep_task = runtime.spawn(short_lived.sweep_task(EVERY));
    drop(short_lived);
    logbook
        .expect(runtime.block_on(sweep_task).is_ok(), || "the sweeper panicked when its registry was gone".to_owned());
}

/// Refuses nobody, and is told of every end, when the name is free.
#[derive(Debug)]
struct Told(Sender<Instant>);

impl Admission for Told {
    fn admit(&self, _kind: Kind, _metadata: &Metadata, _now: Instant) -> Result<(), AdmissionError> {
        Ok(())
    }

    fn release(&self, _kind: Kind, _metadata: &Metadata) {
        // Nobody listens any more when the storm is over.
        let _ = self.0.send(Instant::now());
    }

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }
}
