//! Laws of `for_each` and `len`.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Backend, Calls, hold};
use crate::shard::Shard;

/// At rest a visit shows each entry once, and nothing else.
pub fn every_entry_is_visited_once<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
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

/// A visit ends at the entry that breaks it.
pub fn a_visit_stops_at_a_break<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
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

/// While another thread inserts and removes other entries, and the shard grows with them, a visit shows each entry that
/// is there throughout exactly once.
pub fn what_is_there_throughout_is_visited_once<B: Backend>() {
    const STEADY: usize = 100;
    const PASSES: usize = 200;
    hold::<B>(|fresh| {
        let shard = fresh.shard::<()>();
        for i in 0..STEADY {
            shard.put(&format!("steady {i}"), ());
        }
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    // At first one of four stays, so that the shard grows; but not forever, or a visit would take longer
                    // and longer.
                    shard.put(&format!("passing {i}"), ());
                    if i >= 100 && (i % 4 != 0 || i > 10_000) {
                        shard.delete(&format!("passing {}", i - 100));
                    }
                }
            });
            for _ in 0..PASSES {
                let mut visits = HashMap::new();
                shard.for_each(|key, _, ()| {
                    if key.starts_with("steady") {
                        *visits.entry(key.clone()).or_insert(0) += 1;
                    }
                    ControlFlow::Continue(())
                });
                let once = visits.values().filter(|visits| **visits == 1).count();
                assert_eq!((once, visits.len()), (STEADY, STEADY));
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}

/// When nobody writes any more, the length is the number of entries, however many threads wrote.
pub fn the_length_is_exact_at_rest<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        assert!(shard.is_empty());
        thread::scope(|scope| {
            for me in 0..4 {
                let shard = &shard;
                scope.spawn(move || {
                    for i in 0..300 {
                        // A pair of threads shares its keys, so some insertions and removals fail.
                        let key = format!("{} {i}", me / 2);
                        shard.insert(&key, me).ok();
                        if i % 3 == 0 {
                            shard.remove(&key, |owner| *owner == me);
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
