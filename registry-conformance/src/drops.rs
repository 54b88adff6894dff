//! When keys, values and states are dropped, and that their code may use the shard.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

use registry_core::{Backend, NotInserted, Shard};

use crate::{ShardExt, hash, run};

/// Counts the drops of [`Counted`] states, by their number.
pub(super) struct DropCounts(Arc<[AtomicUsize]>);

/// A state that counts its drop.
pub(super) struct Counted {
    counts: Arc<[AtomicUsize]>,
    pub(super) number: usize,
}

impl DropCounts {
    pub(super) fn new(entries: usize) -> Self {
        Self((0..entries).map(|_| AtomicUsize::new(0)).collect())
    }

    pub(super) fn counted(&self, number: usize) -> Counted {
        Counted { counts: Arc::clone(&self.0), number }
    }

    /// Asserts that each state has been dropped exactly once.
    #[track_caller]
    pub(super) fn check(&self) {
        for (number, drops) in self.0.iter().enumerate() {
            assert_eq!(drops.load(Ordering::Relaxed), 1, "drops of state {number}");
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts[self.number].fetch_add(1, Ordering::Relaxed);
    }
}

/// Removed states, rejected states and states still in the shard are each dropped exactly once, at the latest with the
/// shard and its backend.
pub fn every_state_is_dropped_once<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard();
        let counts = DropCounts::new(2_000);
        for i in 0..1_000 {
            shard.put(&i.to_string(), counts.counted(i));
            assert!(shard.insert(&i.to_string(), counts.counted(1_000 + i)).is_err());
        }
        for i in (0..1_000).step_by(3) {
            assert!(shard.remove(&i.to_string(), |value| value.number == i));
        }
        for i in 0..1_000 {
            if let Some(drops) = shard.read(&i.to_string(), |value| value.counts[i].load(Ordering::Relaxed)) {
                assert_eq!(drops, 0, "dropped while in the shard");
            }
        }
        drop(shard);
        drop(setup);
        counts.check();
    });
}

/// A shard that several threads have used drops all of its entries, whichever thread drops the shard.
pub fn dropping_a_shard_drops_its_entries<B: Backend>() {
    run::<B>(|setup| {
        let value = Arc::new(());
        for _ in 0..10 {
            let shard = Arc::new(setup.shard::<Arc<()>>());
            let threads = [0, 1, 2].map(|id| {
                let (shard, value) = (Arc::clone(&shard), Arc::clone(&value));
                thread::spawn(move || {
                    for i in 0..100 {
                        shard.put(&format!("{id} {i}"), Arc::clone(&value));
                        if i % 2 == 0 {
                            shard.delete(&format!("{id} {i}"));
                        }
                    }
                })
            });
            drop(shard);
            for thread in threads {
                thread.join().expect("the writer does not panic");
            }
        }
        drop(setup);
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

/// The drop of a removed state may insert into and remove from the same shard, whenever the drop happens.
pub fn drop_of_a_removed_state_may_write<B: Backend>() {
    /// A state that runs a closure when it is dropped. A closure, because a state that names the type of its own shard
    /// would have an infinite type.
    struct OnDrop(Option<Box<dyn Fn() + Send + Sync>>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            if let Some(call) = &self.0 {
                call();
            }
        }
    }

    const ROUNDS: usize = 300;
    run::<B>(|setup| {
        let shard = Arc::new(setup.shard::<OnDrop>());
        let calls = Arc::new(AtomicUsize::new(0));
        let on_drop = |i: usize| {
            let (shard, calls) = (Arc::downgrade(&shard), Arc::clone(&calls));
            OnDrop(Some(Box::new(move || {
                calls.fetch_add(1, Ordering::Relaxed);
                // The upgrade fails while the shard itself is dropped.
                if let Some(shard) = Weak::upgrade(&shard) {
                    shard.put(&format!("inserted on drop {i}"), OnDrop(None));
                    shard.put("temporary", OnDrop(None));
                    shard.delete("temporary");
                }
            })))
        };
        for i in (0..ROUNDS).step_by(2) {
            // Two at a time, so that the write that drops a state may be an insertion or a removal.
            let keys = [i, i + 1].map(|i| (i, format!("key {i}")));
            for (i, key) in &keys {
                shard.put(key, on_drop(*i));
                // Rejected, and dropped by the caller.
                drop(shard.insert(key, OnDrop(None)));
            }
            for (_, key) in &keys {
                shard.delete(key);
                assert!(!shard.contains(key));
            }
        }
        let written = shard.len();
        assert_eq!(written, calls.load(Ordering::Relaxed), "each call leaves one entry");
        drop(shard);
        drop(setup);
        assert_eq!(calls.load(Ordering::Relaxed), ROUNDS);
    });
}

/// The drop of a key, value or state may read and write the same shard, and the clone of a value may read it, whenever
/// they happen.
pub fn drop_and_clone_may_reenter_the_shard<B: Backend>() {
    const ROUNDS: usize = 200;
    run::<B>(|setup| {
        let shard = Arc::new(setup.backend.shard::<Reentrant, Reentrant, Reentrant>(setup.capacity));
        let calls = Arc::new([const { AtomicUsize::new(0) }; 4]);
        let reentrant = |part: usize, name: &str| {
            let (shard, calls) = (Arc::downgrade(&shard), Arc::clone(&calls));
            let call = move |dropped: bool| {
                let number = calls[if dropped { part } else { CLONED }].fetch_add(1, Ordering::Relaxed);
                let Some(shard) = Weak::upgrade(&shard) else { return };
                let seen = shard.with(hash("permanent"), b"permanent", |key, _, _| key.name == "permanent");
                assert_eq!(seen, Some(true));
                if dropped {
                    // A unique key, because this drop may run inside another one.
                    let temporary = format!("temporary {part} {number}");
                    let insert = || {
                        let [key, value, state] = [(); 3].map(|()| inert(&temporary));
                        shard.insert_new(hash(&temporary), key, value, state)
                    };
                    assert!(insert().is_ok() && insert().is_err());
                    assert!(shard.remove_if(hash(&temporary), temporary.as_bytes(), |_, _, _| true));
                }
            };
            // The clone of a key must not use the shard.
            Reentrant { name: name.to_owned(), call: Some(Arc::new(call)), reenters_on_clone: part == VALUE }
        };
        assert!(shard.insert_new(hash("permanent"), inert("permanent"), inert(""), inert("")).is_ok());
        for round in 0..ROUNDS {
            let name = round.to_string();
            let insert = |declines: bool| {
                let [key, value, state] = [KEY, VALUE, STATE].map(|part| reentrant(part, &name));
                shard.insert_new_with(hash(&name), key, value, state, |_| if declines { Err(()) } else { Ok(()) })
            };
            assert!(matches!(insert(true), Err(NotInserted::Declined(..))));
            assert!(insert(false).is_ok());
            assert!(matches!(insert(false), Err(NotInserted::Occupied(..))));
            assert!(!shard.remove_if(hash(&name), name.as_bytes(), |_, _, _| false));
            // Every tenth entry stays until the shard is dropped.
            if round % 10 > 0 {
                assert!(shard.remove_if(hash(&name), name.as_bytes(), |_, _, _| true));
            }
        }
        assert_eq!(shard.len(), 1 + ROUNDS / 10);
        drop(shard);
        drop(setup);
        for (part, name) in [(KEY, "keys"), (VALUE, "values"), (STATE, "states")] {
            let calls = calls[part].load(Ordering::Relaxed);
            assert!(calls >= 3 * ROUNDS, "{calls} drops of {name}");
        }
    });
}

const KEY: usize = 0;
const VALUE: usize = 1;
const STATE: usize = 2;
const CLONED: usize = 3;

/// A key, value or state that uses its shard when it is dropped or cloned.
struct Reentrant {
    name: String,
    /// Called with `true` on a drop and `false` on a clone. A closure, because a part that names the type of its own
    /// shard would have an infinite type.
    call: Option<Arc<dyn Fn(bool) + Send + Sync>>,
    reenters_on_clone: bool,
}

fn inert(name: &str) -> Reentrant {
    Reentrant { name: name.to_owned(), call: None, reenters_on_clone: false }
}

impl AsRef<[u8]> for Reentrant {
    fn as_ref(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

impl Clone for Reentrant {
    fn clone(&self) -> Self {
        if let Some(call) = self.call.as_ref().filter(|_| self.reenters_on_clone) {
            call(false);
        }
        Self { name: self.name.clone(), call: self.call.clone(), reenters_on_clone: self.reenters_on_clone }
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call(true);
        }
    }
}
