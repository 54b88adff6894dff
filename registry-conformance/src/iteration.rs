//! Iteration by `for_each`, and `len`.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use registry_core::{Backend, Shard};

use crate::{ShardExt, run};

/// Without concurrent writes, an iteration visits each entry once and nothing else.
pub fn for_each_visits_every_entry_once<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        shard.for_each(|key, _, _| panic!("`{key}` in an empty shard"));
        for i in 0..2_000 {
            shard.put(&i.to_string(), i);
        }
        for i in (0..2_000).step_by(2) {
            shard.delete(&i.to_string());
        }
        let mut visited = Vec::new();
        shard.for_each(|key, _, value| {
            assert_eq!(*key, value.to_string());
            visited.push(*value);
            ControlFlow::Continue(())
        });
        visited.sort_unstable();
        assert!(visited.into_iter().eq((1..2_000).step_by(2)));
    });
}

/// An iteration ends at the entry for which the closure breaks.
pub fn for_each_stops_at_break<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        for i in 0..100 {
            shard.put(&i.to_string(), i);
        }
        for stop in 1..=100 {
            let mut visited = 0;
            shard.for_each(|_, _, _| {
                visited += 1;
                if visited == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(visited, stop);
        }
    });
}

/// While another thread inserts and removes other entries, and the shard grows with them, an iteration visits each
/// permanent entry exactly once.
pub fn for_each_visits_stable_entries_once_during_writes<B: Backend>() {
    const PERMANENT: usize = 100;
    const PASSES: usize = 200;
    run::<B>(|setup| {
        let shard = setup.shard::<()>();
        for i in 0..PERMANENT {
            shard.put(&format!("permanent {i}"), ());
        }
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    // At first one of four entries stays, so that the shard grows; but not indefinitely, or each
                    // iteration would take longer than the last.
                    shard.put(&format!("temporary {i}"), ());
                    if i >= 100 && (i % 4 != 0 || i > 10_000) {
                        shard.delete(&format!("temporary {}", i - 100));
                    }
                }
            });
            for _ in 0..PASSES {
                let mut visits = HashMap::new();
                shard.for_each(|key, _, ()| {
                    if key.starts_with("permanent") {
                        *visits.entry(key.clone()).or_insert(0) += 1;
                    }
                    ControlFlow::Continue(())
                });
                let once = visits.values().filter(|visits| **visits == 1).count();
                assert_eq!((once, visits.len()), (PERMANENT, PERMANENT));
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}

/// After all writers have finished, the length is the number of entries, however many threads wrote.
pub fn len_is_exact_when_quiescent<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        assert!(shard.is_empty());
        thread::scope(|scope| {
            for id in 0..4 {
                let shard = &shard;
                scope.spawn(move || {
                    for i in 0..300 {
                        // Two threads share their keys, so some insertions and removals fail.
                        let key = format!("{} {i}", id / 2);
                        shard.insert(&key, id).ok();
                        if i % 3 == 0 {
                            shard.remove(&key, |inserted_by| *inserted_by == id);
                        }
                    }
                });
            }
        });
        let mut entries = 0;
        shard.for_each(|_, _, _| {
            entries += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(shard.len(), entries);
        assert_eq!(shard.is_empty(), entries == 0);
    });
}
