//! Memory is freed: what remains allocated when all entries have been removed, after several waves of new keys.

use std::alloc::System;
use std::sync::Arc;

use registry_backends::{Visitor, for_each};
use registry_core::{Backend, Shard};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Returns the number of bytes allocated now.
fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

const ENTRIES: u64 = 40_000;
const SHARDS: u64 = 16;
const WAVES: u64 = 4;

fn hash(i: u64) -> u64 {
    let mixed = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

// The only test of this program, because a concurrent one would be counted as well.
#[test]
fn at_most_a_quarter_of_peak_memory_remains_after_all_removals() {
    struct Waves;

    impl Visitor for Waves {
        fn visit<B: Backend>(&mut self) {
            let empty = live_bytes();
            let backend = B::default();
            let mailbox = Arc::new(());
            let shards: Vec<_> =
                (0..SHARDS).map(|_| backend.shard::<Box<[u8]>, (Arc<()>, [u64; 2]), [u64; 3]>(0)).collect();
            let shard = |i: u64| &shards[(i % SHARDS) as usize];
            let mut peak = 0;
            for wave in 0..WAVES {
                let keys = wave * ENTRIES..(wave + 1) * ENTRIES;
                for i in keys.clone() {
                    let value = (Arc::clone(&mailbox), [i; 2]);
                    let key = format!("key {i}").into_bytes().into();
                    assert!(shard(i).insert_new(hash(i), key, value, [i; 3]).is_ok());
                }
                peak = peak.max(live_bytes() - empty);
                for i in keys {
                    assert!(shard(i).remove_if(hash(i), format!("key {i}").as_bytes(), |_, _, _| true));
                }
                shards.iter().for_each(Shard::shrink);
                let remaining = live_bytes() - empty;
                assert!(remaining * 4 <= peak, "{}: {remaining} bytes of {peak} after wave {wave}", B::NAME);
            }
        }
    }

    for_each(&mut Waves);
}
