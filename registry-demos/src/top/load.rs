//! A registry, and threads that look up, route, register and leave as the user wants it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context as _;
use registry_core::Backend as _;
use registry_router::{HealthSettings, Limits, MonitorSettings, Registry, ServerLease, TransportId, TransportLease};

use crate::top::controls::{Controls, MOST_THREADS};
use crate::top::slow_backend::{Sink, Sinks, Slowed, Switch};
use crate::top::state::State;

/// Servers and transports that stay.
const SERVERS: usize = 2_048;
const TRANSPORTS: usize = 2_048;

/// How many of each there may be.
const SERVERS_AT_MOST: usize = 2_500;
const TRANSPORTS_AT_MOST: usize = 4_096;

/// For each step of churn, a thread keeps so many more transports.
const KEPT: usize = 250;

/// Many more than by default are timed: slow shards leave time for little, and are to be told soon all the same.
const SAMPLE_EVERY: u32 = 8;

/// Lookups and messages between two looks at the controls.
const BATCH: usize = 512;

type HealthEvent = Registry<u64, Slowed, Sinks>;

/// A registry under load.
pub struct Load {
    registry: HealthEvent,
    began: Instant,
    switch: Switch,
    dials: Arc<Dials>,
    threads: Vec<JoinHandle<()>>,
    _servers: Vec<ServerLease>,
    _transports: Vec<TransportLease>,
}

/// What the threads go by.
struct Dials {
    now: Mutex<(Controls, bool)>,
    changed: Condvar,
}

impl Dials {
    fn set(&self, change: impl FnOnce(&mut (Controls, bool))) {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// How the load is set; waits while this thread is not wanted. `None` at the end.
    fn read(&self, thread: usize) -> Option<Controls> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |now: &mut (Controls, bool)| !now.1 && thread >= now.0.threads;
        let now = self.changed.wait_while(now, idle).unwrap_or_else(PoisonError::into_inner);
        (!now.1).then_some(now.0)
    }
}

impl Load {
    /// Fills a registry and starts the threads.
    pub fn start(shards: usize, controls: Controls) -> anyhow::Result<Self> {
        let switch = Switch::new(shards);
        let registry: HealthEvent = Registry::builder()
            .shards(shards)
            .backend(Slowed::new(switch.clone()))
            .monitor(MonitorSettings { sample_every: SAMPLE_EVERY, ..MonitorSettings::default() })
            .limits(Limits {
                servers: Some(SERVERS_AT_MOST),
                transports: Some(TRANSPORTS_AT_MOST),
                ..Limits::default()
            })
            .build()?;
        let servers = (0..SERVERS).map(|number| registry.register_server(server(number), Sink, ()));
        let servers = servers.collect::<Result<_, _>>()?;
        let transports = (0..TRANSPORTS).map(|number| {
            registry.register_transport_bound_to(format!("conn-{number}"), Sink, (), server(number % SERVERS))
        });
        let transports = transports.collect::<Result<_, _>>()?;
        switch.set(controls.slow);
        let dials = Arc::new(Dials { now: Mutex::new((controls, false)), changed: Condvar::new() });
        let threads = (0..MOST_THREADS).map(|number| {
            let (dials, mut worker) = (Arc::clone(&dials), Worker::new(registry.clone(), number)?);
            let work = move || {
                while let Some(controls) = dials.read(number) {
                    worker.batch(&controls);
                }
            };
            std::thread::Builder::new().name(format!("load-{number}")).spawn(work).context("no thread can be started")
        });
        let threads = threads.collect::<anyhow::Result<_>>()?;
        let began = Instant::now();
        Ok(Self { registry, began, switch, dials, threads, _servers: servers, _transports: transports })
    }

    /// What can be shown before anything has been seen.
    pub fn state(&self) -> State {
        let controls = self.dials.now.lock().unwrap_or_else(PoisonError::into_inner).0;
        let limits = vec![("servers", SERVERS_AT_MOST), ("transports", TRANSPORTS_AT_MOST)];
        State::new(Slowed::NAME, self.registry.shard_count(), &HealthSettings::default(), limits, controls)
    }

    /// Checks the registry's health, and shows what it says of itself.
    pub fn look(&self, state: &mut State, now: Instant) {
        let elapsed = now.saturating_duration_since(self.began);
        let changes = self.registry.tick(now);
        state.changed(changes, elapsed);
        state.sample(self.registry.all_shard_stats(), self.registry.contention_status().admission, elapsed);
    }

    /// Makes the load another one.
    pub fn set(&self, controls: Controls) {
        self.switch.set(controls.slow);
        self.dials.set(|now| now.0 = controls);
    }

    /// Sets all figures back to zero.
    pub fn reset(&self, state: &mut State) {
        self.registry.reset_stats();
        state.forget();
    }

    /// Whether a thread has ended, which none does by itself.
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends the threads.
    pub fn stop(self) -> anyhow::Result<()> {
        self.dials.set(|now| now.1 = true);
        for thread in self.threads {
            thread.join().ok().context("a thread of the load has panicked")?;
        }
        Ok(())
    }
}

fn server(number: usize) -> String {
    format!("tools/{number}")
}

/// What one thread does.
struct Worker {
    registry: HealthEvent,
    number: usize,
    dice: u64,
    servers: Vec<String>,
    from: TransportId,
    /// The transports that it keeps for a while, the oldest first.
    kept: VecDeque<TransportLease>,
    born: u64,
}

impl Worker {
    fn new(registry: HealthEvent, number: usize) -> anyhow::Result<Self> {
        Ok(Self {
            registry,
            number,
            dice: 0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1),
            servers: (0..SERVERS).map(server).collect(),
            from: TransportId::new(format!("load-{number}"))?,
            kept: VecDeque::new(),
            born: 0,
        })
    }

    fn below(&mut self, bound: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        ((self.dice >> 11) % bound as u64) as usize
    }

    /// Some hundred lookups and messages, and the churn that goes with them.
    fn batch(&mut self, controls: &Controls) {
        for number in 0..BATCH {
            let some = self.below(SERVERS);
            let id = &self.servers[if controls.hot && number % 2 == 0 { 0 } else { some }];
            match number % 16 {
                // A message in four, and now and then a name that no transport has.
                0..4 => drop(self.registry.route_to_server(id, &self.from, 0)),
                4 => drop(self.registry.with_transport(id, |_| ())),
                _ => drop(self.registry.with_server(id, |_| ())),
            }
        }
        for _ in 0..controls.churn {
            self.born += 1;
            let id = format!("visitor-{}-{}", self.number, self.born);
            let to = self.below(SERVERS);
            // Whoever is refused gets everything back, and goes home.
            let visitor = self.registry.register_transport_bound_to(id, Sink, (), &self.servers[to]);
            self.kept.extend(visitor.ok());
        }
        let leaving = self.kept.len().saturating_sub(controls.churn * KEPT);
        // Not all at once.
        self.kept.drain(..leaving.min(2 * controls.churn + 1));
    }
}
