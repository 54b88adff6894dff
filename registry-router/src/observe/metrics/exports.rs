//! Under which names a registry is exported, and the gauges that have to be put back when it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use metrics::{Gauge, Key, Recorder};

use crate::observe::events;

/// So many recorders are remembered for each registry; programs have one.
const MOST_RECORDERS: usize = 8;

/// All names that a registry of this process is exported under.
static NAMES: Mutex<Vec<Claim>> = Mutex::new(Vec::new());

/// A name that a registry is exported under, for as long as that registry lives.
struct Claim {
    recorder: usize,
    label: Option<String>,
    owner: Weak<()>,
}

/// What one registry has published. When it is dropped, its gauges are put back.
#[derive(Default)]
pub(crate) struct Exports {
    owner: Arc<()>,
    exports: Mutex<Vec<Export>>,
}

/// What was published to one recorder under one name.
struct Export {
    recorder: usize,
    /// As it was given.
    name: Option<String>,
    /// As it is published.
    label: Option<String>,
    gauges: Gauges,
}

/// Gauges that were set, each with the value that it has when nothing is exported any more.
pub(super) type Gauges = HashMap<Key, (Gauge, f64)>;

impl Exports {
    /// Returns the name to publish under: the given one, or with a number appended if another registry has it.
    pub(super) fn label(&self, recorder: &dyn Recorder, name: Option<&str>) -> Option<String> {
        let recorder = address(recorder);
        let mut exports = lock(&self.exports);
        if let Some(known) = exports.iter().find(|known| known.is(recorder, name)) {
            return known.label.clone();
        }
        let label = self.claim(recorder, name);
        let name = name.map(str::to_owned);
        if exports.len() == MOST_RECORDERS {
            exports.remove(0);
        }
        exports.push(Export { recorder, name: name.clone(), label: label.clone(), gauges: Gauges::new() });
        drop(exports);
        if label != name {
            // When nothing is locked: who listens may export.
            events::renamed(name.as_deref(), label.as_deref().unwrap_or_default());
        }
        label
    }

    fn claim(&self, recorder: usize, name: Option<&str>) -> Option<String> {
        let mut names = lock(&NAMES);
        names.retain(|claim| claim.owner.strong_count() > 0);
        let owner = Arc::downgrade(&self.owner);
        let is_free = |label: &Option<String>| {
            let others = names.iter().filter(|claim| claim.recorder == recorder && !claim.owner.ptr_eq(&owner));
            others.into_iter().all(|claim| claim.label != *label)
        };
        let numbered = (2_u64..).map(|number| Some(name.map_or(number.to_string(), |name| format!("{name}-{number}"))));
        let mut candidates = std::iter::once(name.map(str::to_owned)).chain(numbered);
        let label = candidates.find(is_free).expect("there is always another number");
        names.push(Claim { recorder, label: label.clone(), owner });
        label
    }

    /// Takes note of what has just been published, and puts those gauges back that were published before and not now.
    pub(super) fn published(&self, recorder: &dyn Recorder, name: Option<&str>, gauges: Gauges) {
        let recorder = address(recorder);
        let before = {
            let mut exports = lock(&self.exports);
            let Some(export) = exports.iter_mut().find(|export| export.is(recorder, name)) else { return };
            let missing = |key: &Key| !gauges.contains_key(key);
            let gone: Vec<_> = export.gauges.extract_if(|key, _| missing(key)).map(|(_, gauge)| gauge).collect();
            export.gauges.extend(gauges);
            gone
        };
        put_back(before);
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        let exports = std::mem::take(self.exports.get_mut().unwrap_or_else(PoisonError::into_inner));
        put_back(exports.into_iter().flat_map(|export| export.gauges.into_values()));
    }
}

impl Export {
    fn is(&self, recorder: usize, name: Option<&str>) -> bool {
        self.recorder == recorder && self.name.as_deref() == name
    }
}

/// Recorders are the user's code, so nothing may be locked here.
fn put_back(gauges: impl IntoIterator<Item = (Gauge, f64)>) {
    gauges.into_iter().for_each(|(gauge, at_the_end)| gauge.set(at_the_end));
}

/// What tells recorders apart.
fn address(recorder: &dyn Recorder) -> usize {
    std::ptr::from_ref(recorder).addr()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
