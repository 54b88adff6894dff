//! Limits per value of a label, such as per tenant.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_core::{Kind, Limit, LimitHits, LimitUsage, Metadata};

use super::settings::LabelLimit;

/// Counts the entries of each value of the label. All registrations with the label briefly take one lock.
pub(super) struct LabelLimiter {
    limit: LabelLimit,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The values with entries, and those whose limit was reached since the last drain.
    values: HashMap<Arc<str>, LabelValue>,
    /// The values whose limit was reached since the last drain, in order and without duplicates; at most [`MAX_LISTED`].
    listed: Vec<(Kind, Arc<str>)>,
    /// The number of values whose limit was reached since then while the list was full.
    unlisted: u64,
    /// The number of drains, which are the calls of [`LabelLimiter::take_limit_hits`].
    drains: u64,
}

/// The maximum length of the list of reached limits; further ones are only counted.
///
/// Bounds the memory for short-lived values, whether health checks are made or not.
const MAX_LISTED: usize = 65_536;

/// The number of values that a drain handles per acquisition of the lock.
const DRAIN_CHUNK: usize = 256;

struct LabelValue {
    /// The key of this value in the map.
    name: Arc<str>,
    servers: KindUsage,
    transports: KindUsage,
}

#[derive(Default)]
struct KindUsage {
    used: usize,
    hits: u64,
    is_listed: bool,
    /// The number of the drain before which this was last counted as unlisted.
    unlisted_before: Option<u64>,
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

/// Shows the number of values and not the values, which may be secrets.
impl fmt::Debug for LabelLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelLimiter")
            .field("limit", &self.limit)
            .field("values", &self.lock().values.len())
            .finish_non_exhaustive()
    }
}

impl LabelLimiter {
    pub(super) fn new(limit: LabelLimit) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Adds an entry to the value of the label, or returns the limit that is reached.
    ///
    /// Succeeds without counting if the label is absent.
    pub(super) fn try_acquire(&self, kind: Kind, metadata: &Metadata) -> Result<(), (Limit, usize)> {
        let (Some(max), Some(name)) = (self.max(kind), metadata.get(&self.limit.key)) else { return Ok(()) };
        let State { values, listed, unlisted, drains } = &mut *self.lock();
        // Tested first, so that the name is copied only if it is new.
        if !values.contains_key(name) {
            let name: Arc<str> = name.into();
            values.insert(Arc::clone(&name), LabelValue::new(name));
        }
        let Some(value) = values.get_mut(name) else { return Ok(()) };
        let usage = value.usage(kind);
        if usage.used < max {
            usage.used += 1;
            return Ok(());
        }
        usage.hits += 1;
        if !usage.is_listed && listed.len() < MAX_LISTED {
            usage.is_listed = true;
            listed.push((kind, Arc::clone(&value.name)));
        } else if !usage.is_listed && usage.unlisted_before.replace(*drains) != Some(*drains) {
            *unlisted += 1;
        }
        Err((self.limit_of(kind, name), max))
    }

    /// Returns whether both count under the same value, or neither is counted.
    pub(super) fn have_same_value(&self, kind: Kind, old: &Metadata, new: &Metadata) -> bool {
        self.max(kind).is_none() || old.get(&self.limit.key) == new.get(&self.limit.key)
    }

    /// Removes an entry that was added with the same arguments.
    pub(super) fn release(&self, kind: Kind, metadata: &Metadata) {
        let (Some(_), Some(name)) = (self.max(kind), metadata.get(&self.limit.key)) else { return };
        let values = &mut self.lock().values;
        let Some(value) = values.get_mut(name) else { return };
        let usage = value.usage(kind);
        debug_assert!(usage.used > 0, "released more often than acquired");
        usage.used = usage.used.saturating_sub(1);
        if !value.is_in_use() {
            values.remove(name);
        }
    }

    /// Drains and returns the limits that were reached since the last call. O(limits returned).
    pub(super) fn take_limit_hits(&self) -> LimitHits {
        let (listed, unlisted) = {
            let mut state = self.lock();
            state.drains += 1;
            (std::mem::take(&mut state.listed), std::mem::take(&mut state.unlisted))
        };
        let mut limits = Vec::with_capacity(listed.len());
        for chunk in listed.chunks(DRAIN_CHUNK) {
            let values = &mut self.lock().values;
            for (kind, name) in chunk {
                let (Some(max), Some(value)) = (self.max(*kind), values.get_mut(name)) else { continue };
                let usage = value.usage(*kind);
                // Hits from here on belong to the next call.
                usage.is_listed = false;
                let (used, hits) = (usage.used as u64, usage.hits);
                let limit = self.limit_of(*kind, name);
                limits.push(LimitUsage::new(limit, max as u64).with_used(used).with_hits(hits));
                if !value.is_in_use() {
                    values.remove(name);
                }
            }
        }
        LimitHits::default().with_limits(limits).with_unlisted(unlisted)
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
        // No code under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
