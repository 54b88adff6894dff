//! The load: threads that look up, route, register and release, as the controls say.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context as _;
use registry_core::Backend as _;
use registry_router::{HealthSettings, Limits, MonitorSettings, Registry, ServerLease, TransportId, TransportLease};

use crate::top::controls::{Controls, MAX_THREADS};
use crate::top::slow_backend::{Discard, DiscardFamily, SlowBackend, SlowSwitch};
use crate::top::state::State;

/// Servers and transports that stay registered.
const SERVERS: usize = 2_048;
const TRANSPORTS: usize = 2_048;

/// The limits on registrations.
const MAX_SERVERS: usize = 2_500;
const MAX_TRANSPORTS: usize = 4_096;

/// How many transports a thread keeps per step of churn.
const KEPT_PER_CHURN: usize = 250;

/// Samples many more lookups than by default, because slow shards complete few and should be detected quickly.
const SAMPLE_EVERY: u32 = 8;

/// Lookups and messages between two reads of the controls.
const BATCH: usize = 512;

type LoadRegistry = Registry<u64, SlowBackend, DiscardFamily>;

/// A registry under load.
#[derive(Debug)]
pub struct Load {
    registry: LoadRegistry,
    start: Instant,
    switch: SlowSwitch,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    _servers: Vec<ServerLease>,
    _transports: Vec<TransportLease>,
}

/// What the threads share: the controls, and whether they must stop.
#[derive(Debug)]
struct Shared {
    state: Mutex<(Controls, bool)>,
    changed: Condvar,
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut (Controls, bool))) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Returns the controls, waiting while this thread is not needed; `None` when it must stop.
    fn controls(&self, thread: usize) -> Option<Controls> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |(controls, stopped): &mut (Controls, bool)| !*stopped && thread >= controls.threads;
        let state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        let (controls, stopped) = *state;
        (!stopped).then_some(controls)
    }
}

impl Load {
    /// Fills a registry and starts the threads.
    ///
    /// # Errors
    ///
    /// An error when the number of shards is invalid or a thread cannot be started.
    pub fn start(shards: usize, controls: Controls) -> anyhow::Result<Self> {
        let switch = SlowSwitch::new(shards);
        let registry: LoadRegistry = Registry::builder()
            .shards(shards)
            .backend(SlowBackend::new(switch.clone()))
            .monitor(MonitorSettings::default().with_sample_every(SAMPLE_EVERY))
            .limits(Limits::default().with_servers(MAX_SERVERS).with_transports(MAX_TRANSPORTS))
            .build()?;
        let servers = (0..SERVERS).map(|number| registry.register_server(server(number), Discard, ()));
        let servers = servers.collect::<Result<_, _>>()?;
        let transports = (0..TRANSPORTS).map(|number| {
            registry.register_transport_bound_to(format!("conn-{number}"), Discard, (), server(number % SERVERS))
        });
        let transports = transports.collect::<Result<_, _>>()?;
        switch.set(controls.slow);
        let shared = Arc::new(Shared { state: Mutex::new((controls, false)), changed: Condvar::new() });
        let threads = (0..MAX_THREADS).map(|number| {
            let (shared, mut worker) = (Arc::clone(&shared), Worker::new(registry.clone(), number)?);
            let work = move || {
                while let Some(controls) = shared.controls(number) {
                    worker.batch(&controls);
                }
            };
            std::thread::Builder::new().name(format!("load-{number}")).spawn(work).context("cannot start a thread")
        });
        let threads = threads.collect::<anyhow::Result<_>>()?;
        let start = Instant::now();
        Ok(Self { registry, start, switch, shared, threads, _servers: servers, _transports: transports })
    }

    /// Returns a state without samples.
    pub fn state(&self) -> State {
        let controls = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).0;
        let limits = vec![("servers", MAX_SERVERS), ("transports", MAX_TRANSPORTS)];
        State::new(SlowBackend::NAME, self.registry.shard_count(), &HealthSettings::default(), limits, controls)
    }

    /// Checks the registry's health and samples its statistics.
    pub fn sample(&self, state: &mut State, now: Instant) {
        let elapsed = now.saturating_duration_since(self.start);
        let changes = self.registry.tick(now);
        state.apply(changes, elapsed);
        state.sample(self.registry.all_shard_stats(), self.registry.contention_status().admission, elapsed);
    }

    /// Changes the load.
    pub fn set(&self, controls: Controls) {
        self.switch.set(controls.slow);
        self.shared.update(|(current, _)| *current = controls);
    }

    /// Resets all statistics.
    pub fn reset(&self, state: &mut State) {
        self.registry.reset_stats();
        state.clear_samples();
    }

    /// Returns whether a thread has exited, which happens only by a panic.
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Stops the threads.
    ///
    /// # Errors
    ///
    /// An error when a thread has panicked.
    pub fn stop(self) -> anyhow::Result<()> {
        self.shared.update(|(_, stopped)| *stopped = true);
        for thread in self.threads {
            thread.join().ok().context("a load thread has panicked")?;
        }
        Ok(())
    }
}

fn server(number: usize) -> String {
    format!("tools/{number}")
}

/// One load thread.
struct Worker {
    registry: LoadRegistry,
    number: usize,
    rng: u64,
    servers: Vec<String>,
    from: TransportId,
    /// The transports that it keeps registered for a while, the oldest first.
    kept: VecDeque<TransportLease>,
    registered: u64,
}

impl Worker {
    fn new(registry: LoadRegistry, number: usize) -> anyhow::Result<Self> {
        Ok(Self {
            registry,
            number,
            rng: 0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1),
            servers: (0..SERVERS).map(server).collect(),
            from: TransportId::new(format!("load-{number}"))?,
            kept: VecDeque::new(),
            registered: 0,
        })
    }

    /// Returns a pseudo-random number below `bound` (xorshift).
    fn below(&mut self, bound: usize) -> usize {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        ((self.rng >> 11) % bound as u64) as usize
    }

    /// Makes one batch of lookups and messages, and the churn that goes with it.
    fn batch(&mut self, controls: &Controls) {
        for number in 0..BATCH {
            let random = self.below(SERVERS);
            let id = &self.servers[if controls.hot && number % 2 == 0 { 0 } else { random }];
            match number % 16 {
                // One in four is a message; one in 16 looks up an id that no transport has.
                0..4 => drop(self.registry.route_to_server(id, &self.from, 0)),
                4 => drop(self.registry.with_transport(id, |_| ())),
                _ => drop(self.registry.with_server(id, |_| ())),
            }
        }
        for _ in 0..controls.churn {
            self.registered += 1;
            let id = format!("temporary-{}-{}", self.number, self.registered);
            let to = self.below(SERVERS);
            // A rejected registration is simply not kept.
            let lease = self.registry.register_transport_bound_to(id, Discard, (), &self.servers[to]);
            self.kept.extend(lease.ok());
        }
        let excess = self.kept.len().saturating_sub(controls.churn * KEPT_PER_CHURN);
        // Released gradually.
        self.kept.drain(..excess.min(2 * controls.churn + 1));
    }
}
