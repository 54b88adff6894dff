//! Laws of `capacity` and `shrink`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Backend, Calls, hash, hold};
use crate::shard::{Batch, ReadRequest, Shard};

/// Room that is not needed any more is given back, and no entry changes by it; a shard that has grown and shrunk grows
/// again.
pub fn a_shrink_gives_room_back_and_changes_no_entry<B: Backend>() {
    const MANY: u64 = 10_000;
    const FEW: u64 = 10;
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        for wave in 0..3 {
            let names = |i: u64| if i < FEW { i.to_string() } else { format!("{i} of wave {wave}") };
            for i in if wave == 0 { 0 } else { FEW }..MANY {
                shard.put(&names(i), i);
            }
            assert!(shard.capacity() >= shard.len());
            shard.shrink();
            assert_eq!((shard.len() as u64, shard.read(&names(MANY - 1), |value| *value)), (MANY, Some(MANY - 1)));
            for i in FEW..MANY {
                shard.delete(&names(i));
            }
            shard.shrink();
            let needed = shard.len().max(fresh.capacity);
            assert!(shard.capacity() <= 4 * needed + 64, "room for {} when {needed} are needed", shard.capacity());
            assert_eq!(shard.len() as u64, FEW);
            for i in 0..FEW {
                assert_eq!(shard.read(&i.to_string(), |value| *value), Some(i));
            }
            assert!(!shard.has(&names(MANY - 1)));
        }
    });
}

/// While a shard shrinks again and again, and others come and go, all that is there throughout is read, by one and by
/// many, also inside other reads.
pub fn a_shrink_disturbs_no_reader<B: Backend>() {
    const ROUNDS: usize = 20;
    const STEADY: u64 = 20;
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        for i in 0..STEADY {
            shard.put(&i.to_string(), i);
        }
        let done = AtomicBool::new(false);
        let (first, last) = (0.to_string(), (STEADY - 1).to_string());
        let both = || {
            let wanted = [&first, &last].map(|key| ReadRequest { shard: &shard, hash: hash(key), key: key.as_bytes() });
            let mut shown = Vec::new();
            Shard::with_each(&wanted, |_, batch: &Batch<'_, String, (), u64>| {
                shown.extend(batch.iter().map(|seen| seen.map(|(_, (), value)| *value)));
            });
            assert_eq!(shown, [Some(0), Some(STEADY - 1)]);
        };
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        both();
                        let nested = shard.read(&first, |outer| {
                            // Time for a shrink to begin.
                            thread::yield_now();
                            both();
                            (*outer, shard.read(&last, |inner| shard.read(&first, |innermost| (*inner, *innermost))))
                        });
                        assert_eq!(nested, Some((0, Some(Some((STEADY - 1, 0))))));
                        assert!(shard.len() as u64 >= STEADY);
                    }
                });
            }
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    shard.put("come", 1);
                    shard.delete("come");
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
        assert_eq!(shard.len() as u64, STEADY);
    });
}
