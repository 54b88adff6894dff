//! The labels that registries are exported under, and the gauges to reset when a registry ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use metrics::{Gauge, Key, Recorder};

use crate::observe::events;

/// How many exports are remembered for each registry. Programs usually have one recorder.
const MAX_EXPORTS: usize = 8;

/// The labels in use by the registries of this process.
static CLAIMS: Mutex<Vec<Claim>> = Mutex::new(Vec::new());

/// A label that a registry is exported under, valid until that registry is dropped.
struct Claim {
    recorder: usize,
    label: Option<String>,
    owner: Weak<()>,
}

/// The exports of one registry. Dropping it resets the exported gauges.
#[derive(Default)]
pub(crate) struct Exports {
    owner: Arc<()>,
    exports: Mutex<Vec<Export>>,
}

/// The export to one recorder under one name.
struct Export {
    recorder: usize,
    /// The given name.
    name: Option<String>,
    /// The name that is exported.
    label: Option<String>,
    gauges: Gauges,
}

/// The exported gauges, each with the value that it is reset to.
pub(super) type Gauges = HashMap<Key, (Gauge, f64)>;

impl Exports {
    /// Returns the label to export under: the given name, with a number appended if another registry uses it.
    pub(super) fn label(&self, recorder: &dyn Recorder, name: Option<&str>) -> Option<String> {
        let recorder = address(recorder);
        let mut exports = lock(&self.exports);
        if let Some(known) = exports.iter().find(|known| known.is(recorder, name)) {
            return known.label.clone();
        }
        let label = self.claim(recorder, name);
        let name = name.map(str::to_owned);
        if exports.len() == MAX_EXPORTS {
            exports.remove(0);
        }
        exports.push(Export { recorder, name: name.clone(), label: label.clone(), gauges: Gauges::new() });
        drop(exports);
        if label != name {
            // Without a lock: a subscriber may export.
            events::renamed(name.as_deref(), label.as_deref().unwrap_or_default());
        }
        label
    }

    fn claim(&self, recorder: usize, name: Option<&str>) -> Option<String> {
        let mut claims = lock(&CLAIMS);
        claims.retain(|claim| claim.owner.strong_count() > 0);
        let owner = Arc::downgrade(&self.owner);
        let is_free = |label: &Option<String>| {
            let others = claims.iter().filter(|claim| claim.recorder == recorder && !claim.owner.ptr_eq(&owner));
            others.into_iter().all(|claim| claim.label != *label)
        };
        let numbered = (2_u64..).map(|number| Some(name.map_or(number.to_string(), |name| format!("{name}-{number}"))));
        let mut candidates = std::iter::once(name.map(str::to_owned)).chain(numbered);
        let label = candidates.find(is_free).expect("numbers are not exhausted");
        claims.push(Claim { recorder, label: label.clone(), owner });
        label
    }

    /// Records the exported gauges, and resets those that were exported before but not now.
    pub(super) fn published(&self, recorder: &dyn Recorder, name: Option<&str>, gauges: Gauges) {
        let recorder = address(recorder);
        let stale = {
            let mut exports = lock(&self.exports);
            let Some(export) = exports.iter_mut().find(|export| export.is(recorder, name)) else { return };
            let missing = |key: &Key| !gauges.contains_key(key);
            let stale: Vec<_> = export.gauges.extract_if(|key, _| missing(key)).map(|(_, gauge)| gauge).collect();
            export.gauges.extend(gauges);
            stale
        };
        reset(stale);
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        let exports = std::mem::take(self.exports.get_mut().unwrap_or_else(PoisonError::into_inner));
        reset(exports.into_iter().flat_map(|export| export.gauges.into_values()));
    }
}

impl Export {
    fn is(&self, recorder: usize, name: Option<&str>) -> bool {
        self.recorder == recorder && self.name.as_deref() == name
    }
}

/// Resets gauges. Recorders are user code, so the caller must not hold a lock.
fn reset(gauges: impl IntoIterator<Item = (Gauge, f64)>) {
    gauges.into_iter().for_each(|(gauge, reset_value)| gauge.set(reset_value));
}

/// Returns the address of a recorder, which identifies it.
fn address(recorder: &dyn Recorder) -> usize {
    std::ptr::from_ref(recorder).addr()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
