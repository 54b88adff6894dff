//! Laws of what becomes of values.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

use super::{Backend, Calls, hash, hold};
use crate::shard::{NotInserted, Shard};

/// Counts the drops of values.
pub(super) struct Ledger(Arc<[AtomicUsize]>);

/// A value in a [`Ledger`].
pub(super) struct Entry {
    ledger: Arc<[AtomicUsize]>,
    pub(super) number: usize,
}

impl Ledger {
    pub(super) fn new(entries: usize) -> Self {
        Self((0..entries).map(|_| AtomicUsize::new(0)).collect())
    }

    pub(super) fn entry(&self, number: usize) -> Entry {
        Entry { ledger: Arc::clone(&self.0), number }
    }

    /// Asserts that each value has been dropped exactly once.
    #[track_caller]
    pub(super) fn check(&self) {
        for (number, drops) in self.0.iter().enumerate() {
            assert_eq!(drops.load(Ordering::Relaxed), 1, "drops of value {number}");
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ledger[self.number].fetch_add(1, Ordering::Relaxed);
    }
}

/// Values that were removed, values that were turned down and values that were still there are each dropped exactly
/// once, by the time that shard and backend are gone.
pub fn every_value_is_dropped_once<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard();
        let ledger = Ledger::new(2_000);
        for i in 0..1_000 {
            shard.put(&i.to_string(), ledger.entry(i));
            assert!(shard.insert(&i.to_string(), ledger.entry(1_000 + i)).is_err());
        }
        for i in (0..1_000).step_by(3) {
            assert!(shard.remove(&i.to_string(), |value| value.number == i));
        }
        for i in 0..1_000 {
            if let Some(drops) = shard.read(&i.to_string(), |value| value.ledger[i].load(Ordering::Relaxed)) {
                assert_eq!(drops, 0, "dropped while it is there");
            }
        }
        drop(shard);
        drop(fresh);
        ledger.check();
    });
}

/// A shard that many threads have used leaves nothing behind when it is dropped on one of them.
pub fn a_dropped_shard_frees_its_values<B: Backend>() {
    hold::<B>(|fresh| {
        let value = Arc::new(());
        for _ in 0..10 {
            let shard = Arc::new(fresh.shard::<Arc<()>>());
            let threads = [0, 1, 2].map(|me| {
                let (shard, value) = (Arc::clone(&shard), Arc::clone(&value));
                thread::spawn(move || {
                    for i in 0..100 {
                        shard.put(&format!("{me} {i}"), Arc::clone(&value));
                        if i % 2 == 0 {
                            shard.delete(&format!("{me} {i}"));
                        }
                    }
                })
            });
            drop(shard);
            for thread in threads {
                thread.join().expect("it writes");
            }
        }
        drop(fresh);
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

/// The drop of a removed value may come back with an insertion and a removal in the same shard, whenever it happens.
pub fn a_dropped_value_may_write<B: Backend>() {
    /// A value that calls back when it is dropped. It is a closure because a value that names the shard it is in would
    /// be of an infinite type.
    struct Last(Option<Box<dyn Fn() + Send + Sync>>);

    impl Drop for Last {
        fn drop(&mut self) {
            if let Some(call) = &self.0 {
                call();
            }
        }
    }

    const ROUNDS: usize = 300;
    hold::<B>(|fresh| {
        let shard = Arc::new(fresh.shard::<Last>());
        let calls = Arc::new(AtomicUsize::new(0));
        let last = |i: usize| {
            let (shard, calls) = (Arc::downgrade(&shard), Arc::clone(&calls));
            Last(Some(Box::new(move || {
                calls.fetch_add(1, Ordering::Relaxed);
                // There is nothing to write to when the shard itself is going.
                if let Some(shard) = Weak::upgrade(&shard) {
                    shard.put(&format!("last words {i}"), Last(None));
                    shard.put("brief", Last(None));
                    shard.delete("brief");
                }
            })))
        };
        for i in (0..ROUNDS).step_by(2) {
            // Two at a time, so that a write that lets go of a value may be an insertion or a removal.
            let keys = [i, i + 1].map(|i| (i, format!("key {i}")));
            for (i, key) in &keys {
                shard.put(key, last(*i));
                // Turned down, and dropped by its owner.
                drop(shard.insert(key, Last(None)));
            }
            for (_, key) in &keys {
                shard.delete(key);
                assert!(!shard.has(key));
            }
        }
        let written = shard.len();
        assert_eq!(written, calls.load(Ordering::Relaxed), "one entry stays of each call");
        drop(shard);
        drop(fresh);
        assert_eq!(calls.load(Ordering::Relaxed), ROUNDS);
    });
}

/// Keys, heads and states may each come back with reads and writes of the same shard when they are dropped, and heads with
/// a read when they are cloned, whenever that happens.
pub fn what_is_dropped_or_cloned_may_call_back<B: Backend>() {
    const ROUNDS: usize = 200;
    hold::<B>(|fresh| {
        let shard = Arc::new(fresh.backend.shard::<Loud, Loud, Loud>(fresh.capacity));
        let calls = Arc::new([const { AtomicUsize::new(0) }; 4]);
        let loud = |what: usize, name: &str| {
            let (shard, calls) = (Arc::downgrade(&shard), Arc::clone(&calls));
            let call = move |dropped: bool| {
                let number = calls[if dropped { what } else { CLONED }].fetch_add(1, Ordering::Relaxed);
                let Some(shard) = Weak::upgrade(&shard) else { return };
                let seen = shard.with(hash("steady"), b"steady", |key, _, _| key.name == "steady");
                assert_eq!(seen, Some(true));
                if dropped {
                    // A name of its own, for another drop may come in the middle of this one.
                    let brief = format!("brief {what} {number}");
                    let insert = || {
                        let [key, value, state] = [(); 3].map(|()| quiet(&brief));
                        shard.insert_new(hash(&brief), key, value, state)
                    };
                    assert!(insert().is_ok() && insert().is_err());
                    assert!(shard.remove_if(hash(&brief), brief.as_bytes(), |_, _, _| true));
                }
            };
            // The clone of a key must not call back.
            Loud { name: name.to_owned(), call: Some(Arc::new(call)), clones_call: what == HEAD }
        };
        assert!(shard.insert_new(hash("steady"), quiet("steady"), quiet(""), quiet("")).is_ok());
        for round in 0..ROUNDS {
            let name = round.to_string();
            let insert = |declines: bool| {
                let [key, value, state] = [KEY, HEAD, STATE].map(|what| loud(what, &name));
                shard.insert_new_with(hash(&name), key, value, state, |_| if declines { Err(()) } else { Ok(()) })
            };
            assert!(matches!(insert(true), Err(NotInserted::Declined(..))));
            assert!(insert(false).is_ok());
            assert!(matches!(insert(false), Err(NotInserted::Occupied(..))));
            assert!(!shard.remove_if(hash(&name), name.as_bytes(), |_, _, _| false));
            // Some stay until the shard goes.
            if round % 10 > 0 {
                assert!(shard.remove_if(hash(&name), name.as_bytes(), |_, _, _| true));
            }
        }
        assert_eq!(shard.len(), 1 + ROUNDS / 10);
        drop(shard);
        drop(fresh);
        for (what, name) in [(KEY, "keys"), (HEAD, "heads"), (STATE, "states")] {
            let calls = calls[what].load(Ordering::Relaxed);
            assert!(calls >= 3 * ROUNDS, "{calls} drops of {name}");
        }
    });
}

const KEY: usize = 0;
const HEAD: usize = 1;
const STATE: usize = 2;
const CLONED: usize = 3;

/// A key, a head or a state that calls back when it is dropped or cloned.
struct Loud {
    name: String,
    /// Told whether it is dropped, or else cloned. It is a closure because something that names the shard it is in would
    /// be of an infinite type.
    call: Option<Arc<dyn Fn(bool) + Send + Sync>>,
    clones_call: bool,
}

fn quiet(name: &str) -> Loud {
    Loud { name: name.to_owned(), call: None, clones_call: false }
}

impl AsRef<[u8]> for Loud {
    fn as_ref(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

impl Clone for Loud {
    fn clone(&self) -> Self {
        if let Some(call) = self.call.as_ref().filter(|_| self.clones_call) {
            call(false);
        }
        Self { name: self.name.clone(), call: self.call.clone(), clones_call: self.clones_call }
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call(true);
        }
    }
}
