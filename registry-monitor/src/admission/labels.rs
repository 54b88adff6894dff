//! A number of places for each value of a label: each tenant has its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_core::{Kind, Limit, LimitHits, LimitUsage, Metadata};

use super::settings::LabelLimit;

/// The places of each value of the label. All registrations with the label share one lock, for a moment.
pub(super) struct LabelLimiter {
    limit: LabelLimit,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Values that are registered, and those that were hit since the last check.
    values: HashMap<Arc<str>, LabelValue>,
    /// What was hit since the last check, in this order, each once; at most [`MAX_LISTED`].
    listed: Vec<(Kind, Arc<str>)>,
    /// How many were hit since then that found the list full.
    unlisted: u64,
    /// The number of the last check.
    check: u64,
}

/// So many values are remembered to have been hit; beyond that they are counted. Whether checks are made or not, values
/// that come and go do not fill the memory.
const MAX_LISTED: usize = 65_536;

/// While hits are told, the lock is held for so many values at a time.
const DRAIN_CHUNK: usize = 256;

struct LabelValue {
    /// The same that it is found by.
    name: Arc<str>,
    servers: KindUsage,
    transports: KindUsage,
}

#[derive(Default)]
struct KindUsage {
    used: usize,
    hits: u64,
    /// Whether it is in the list of those that were hit.
    is_listed: bool,
    /// The number of the last check when it was last counted as unlisted.
    counted_in: Option<u64>,
}

impl LabelValue {
    fn new(name: Arc<str>) -> Self {
        Self { name, servers: KindUsage::default(), transports: KindUsage::default() }
    }

    fn is_in_use(&self) -> bool {
        [&self.servers, &self.transports].iter().any(|usage| usage.used > 0 || usage.is_listed)
    }

    fn usage(&mut self, kind: Kind) -> &mut KindUsage {
        match kind {
            Kind::Server => &mut self.servers,
            Kind::Transport => &mut self.transports,
        }
    }
}

/// Shows how many values there are, and no value: they may be secrets.
impl fmt::Debug for LabelLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labels")
            .field("limit", &self.limit)
            .field("values", &self.lock().values.len())
            .finish_non_exhaustive()
    }
}

impl LabelLimiter {
    pub(super) fn new(limit: LabelLimit) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Takes a place of the value of the label; who has no such label needs none.
    pub(super) fn try_acquire(&self, kind: Kind, metadata: &Metadata) -> Result<(), (Limit, usize)> {
        let (Some(max), Some(value)) = (self.max(kind), metadata.get(&self.limit.key)) else { return Ok(()) };
        let State { values, listed, unlisted, check } = &mut *self.lock();
        // Looked for first: a value is copied when it is new, and not each time.
        if !values.contains_key(value) {
            let name: Arc<str> = value.into();
            values.insert(Arc::clone(&name), LabelValue::new(name));
        }
        let Some(entry) = values.get_mut(value) else { return Ok(()) };
        let usage = entry.usage(kind);
        if usage.used < max {
            usage.used += 1;
            return Ok(());
        }
        usage.hits += 1;
        if !usage.is_listed && listed.len() < MAX_LISTED {
            usage.is_listed = true;
            listed.push((kind, Arc::clone(&entry.name)));
        } else if !usage.is_listed && usage.counted_in.replace(*check) != Some(*check) {
            *unlisted += 1;
        }
        Err((self.limit_of(kind, value), max))
    }

    /// Whether both are counted under the same value, or neither is counted.
    pub(super) fn have_same_value(&self, kind: Kind, old: &Metadata, new: &Metadata) -> bool {
        self.max(kind).is_none() || old.get(&self.limit.key) == new.get(&self.limit.key)
    }

    /// Gives back a place that was taken with these arguments.
    pub(super) fn release(&self, kind: Kind, metadata: &Metadata) {
        let (Some(_), Some(value)) = (self.max(kind), metadata.get(&self.limit.key)) else { return };
        let values = &mut self.lock().values;
        let Some(entry) = values.get_mut(value) else { return };
        let usage = entry.usage(kind);
        debug_assert!(usage.used > 0, "a place was given back that nobody had taken");
        usage.used = usage.used.saturating_sub(1);
        if !entry.is_in_use() {
            values.remove(value);
        }
    }

    /// Returns the values that were hit since the call before, and forgets that they were. O(those).
    pub(super) fn take_limit_hits(&self) -> LimitHits {
        let (listed, unlisted) = {
            let mut state = self.lock();
            state.check += 1;
            (std::mem::take(&mut state.listed), std::mem::take(&mut state.unlisted))
        };
        let mut limits = Vec::with_capacity(listed.len());
        for names in listed.chunks(DRAIN_CHUNK) {
            let values = &mut self.lock().values;
            for (kind, name) in names {
                let (Some(max), Some(entry)) = (self.max(*kind), values.get_mut(name)) else { continue };
                let usage = entry.usage(*kind);
                // What is hit from here on counts for the next call.
                usage.is_listed = false;
                let (used, hits) = (usage.used as u64, usage.hits);
                limits.push(LimitUsage { limit: self.limit_of(*kind, name), max: max as u64, used, hits });
                if !entry.is_in_use() {
                    values.remove(name);
                }
            }
        }
        LimitHits { limits, unlisted }
    }

    fn max(&self, kind: Kind) -> Option<usize> {
        match kind {
            Kind::Server => self.limit.servers,
            Kind::Transport => self.limit.transports,
        }
    }

    fn limit_of(&self, kind: Kind, value: &str) -> Limit {
        Limit::Label { kind, key: self.limit.key.as_str().into(), value: value.into() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here calls code that can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
