//! Capacity and shrinking.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use registry_core::{Backend, Batch, ReadRequest, Shard};

use crate::{ShardExt, hash, run};

/// `shrink` reduces the capacity to what the entries need and changes no entry, and a shard that has shrunk can grow
/// again.
pub fn shrink_reduces_capacity_and_keeps_entries<B: Backend>() {
    const PEAK: u64 = 10_000;
    const REMAINING: u64 = 10;
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        for wave in 0..3 {
            let key = |i: u64| if i < REMAINING { i.to_string() } else { format!("{i} of wave {wave}") };
            for i in if wave == 0 { 0 } else { REMAINING }..PEAK {
                shard.put(&key(i), i);
            }
            assert!(shard.capacity() >= shard.len());
            shard.shrink();
            assert_eq!((shard.len() as u64, shard.read(&key(PEAK - 1), |value| *value)), (PEAK, Some(PEAK - 1)));
            for i in REMAINING..PEAK {
                shard.delete(&key(i));
            }
            shard.shrink();
            let needed = shard.len().max(setup.capacity);
            assert!(shard.capacity() <= 4 * needed + 64, "capacity {} when {needed} is needed", shard.capacity());
            assert_eq!(shard.len() as u64, REMAINING);
            for i in 0..REMAINING {
                assert_eq!(shard.read(&i.to_string(), |value| *value), Some(i));
            }
            assert!(!shard.contains(&key(PEAK - 1)));
        }
    });
}

/// While a shard shrinks repeatedly and other entries are inserted and removed, every permanent entry is found by
/// `with` and `with_each`, also inside other reads.
pub fn shrink_does_not_disturb_readers<B: Backend>() {
    const ROUNDS: usize = 20;
    const PERMANENT: u64 = 20;
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        for i in 0..PERMANENT {
            shard.put(&i.to_string(), i);
        }
        let done = AtomicBool::new(false);
        let (first, last) = (0.to_string(), (PERMANENT - 1).to_string());
        let read_both = || {
            let requests =
                [&first, &last].map(|key| ReadRequest { shard: &shard, hash: hash(key), key: key.as_bytes() });
            let mut seen = Vec::new();
            Shard::with_each(&requests, |_, batch: &Batch<'_, String, (), u64>| {
                seen.extend(batch.iter().map(|seen| seen.map(|(_, (), value)| *value)));
            });
            assert_eq!(seen, [Some(0), Some(PERMANENT - 1)]);
        };
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        read_both();
                        let nested = shard.read(&first, |outer| {
                            // Lets a shrink start.
                            thread::yield_now();
                            read_both();
                            (*outer, shard.read(&last, |inner| shard.read(&first, |innermost| (*inner, *innermost))))
                        });
                        assert_eq!(nested, Some((0, Some(Some((PERMANENT - 1, 0))))));
                        assert!(shard.len() as u64 >= PERMANENT);
                    }
                });
            }
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    shard.put("temporary", 1);
                    shard.delete("temporary");
                }
            });
            for round in 0..ROUNDS {
                for i in 0..20 {
                    shard.put(&format!("{i} of {round}"), i);
                }
                for i in 0..20 {
                    shard.delete(&format!("{i} of {round}"));
                }
                shard.shrink();
            }
            done.store(true, Ordering::Relaxed);
        });
        shard.for_each(|key, (), value| {
            assert_eq!(*key, value.to_string());
            std::ops::ControlFlow::Continue(())
        });
        assert_eq!(shard.len() as u64, PERMANENT);
    });
}
