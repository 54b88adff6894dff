//! A number of places for each value of a label: each tenant has its own.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use registry_core::{Cap, CapUse, Kind, Metadata};

use super::settings::LabelCap;

/// The places of each value of the label. All registrations with the label share one lock, for a moment.
#[derive(Debug)]
pub(super) struct Labels {
    cap: LabelCap,
    /// Values of which somebody is registered. Who has left leaves nothing behind.
    values: Mutex<HashMap<Box<str>, Value>>,
}

#[derive(Debug, Default)]
struct Value {
    servers: Taken,
    transports: Taken,
}

#[derive(Debug, Default)]
struct Taken {
    used: usize,
    hits: u64,
}

impl Value {
    fn taken(&mut self, kind: Kind) -> &mut Taken {
        match kind {
            Kind::Server => &mut self.servers,
            Kind::Transport => &mut self.transports,
        }
    }
}

impl Labels {
    pub(super) fn new(cap: LabelCap) -> Self {
        Self { cap, values: Mutex::default() }
    }

    /// Takes a place of the value of the label; who has no such label needs none.
    pub(super) fn take(&self, kind: Kind, metadata: &Metadata) -> Result<(), (Cap, usize)> {
        let (Some(max), Some(value)) = (self.max(kind), metadata.get(&self.cap.key)) else { return Ok(()) };
        let mut values = self.lock();
        // Looked for first: a value is copied when it is new, and not each time.
        let taken = match values.get_mut(value) {
            Some(of_value) => of_value.taken(kind),
            None => values.entry(value.into()).or_default().taken(kind),
        };
        if taken.used < max {
            taken.used += 1;
            return Ok(());
        }
        taken.hits += 1;
        Err((self.cap_of(kind, value), max))
    }

    /// Whether both are counted under the same value, or neither is counted.
    pub(super) fn are_alike(&self, kind: Kind, old: &Metadata, new: &Metadata) -> bool {
        self.max(kind).is_none() || old.get(&self.cap.key) == new.get(&self.cap.key)
    }

    /// Gives back a place that was taken with these arguments.
    pub(super) fn give_back(&self, kind: Kind, metadata: &Metadata) {
        let (Some(_), Some(value)) = (self.max(kind), metadata.get(&self.cap.key)) else { return };
        let mut values = self.lock();
        let Some(of_value) = values.get_mut(value) else { return };
        let taken = of_value.taken(kind);
        debug_assert!(taken.used > 0, "a place was given back that nobody had taken");
        taken.used = taken.used.saturating_sub(1);
        if of_value.servers.used == 0 && of_value.transports.used == 0 {
            values.remove(value);
        }
    }

    /// The use of those values that have turned somebody away.
    pub(super) fn usage(&self) -> Vec<CapUse> {
        let mut usage = Vec::new();
        for (value, of_value) in &mut *self.lock() {
            for kind in [Kind::Server, Kind::Transport] {
                let (max, taken) = (self.max(kind), of_value.taken(kind));
                if let Some(max) = max.filter(|_| taken.hits > 0) {
                    let (used, hits) = (taken.used as u64, taken.hits);
                    usage.push(CapUse { cap: self.cap_of(kind, value), max: max as u64, used, hits });
                }
            }
        }
        usage
    }

    fn max(&self, kind: Kind) -> Option<usize> {
        match kind {
            Kind::Server => self.cap.servers,
            Kind::Transport => self.cap.transports,
        }
    }

    fn cap_of(&self, kind: Kind, value: &str) -> Cap {
        Cap::Label { kind, key: self.cap.key.as_str().into(), value: value.into() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Value>> {
        // Nothing in here calls code that can panic half-way.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
