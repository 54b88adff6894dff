//! Memory comes back: what is left when all have left, after several waves under new names.

use std::alloc::System;
use std::sync::Arc;

use registry_backends::{Visitor, for_each};
use registry_core::{Backend, Shard};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many bytes are allocated at present.
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

// The only test here: another one at the same time would be counted too.
#[test]
fn at_most_a_quarter_of_the_peak_is_left_when_all_have_left() {
    struct Waves;

    impl Visitor for Waves {
        fn visit<B: Backend>(&mut self) {
            let empty = live_bytes();
            let backend = B::default();
            let mailbox = Arc::new(());
            let shards: Vec<_> =
                (0..SHARDS).map(|_| backend.shard::<Box<[u8]>, (Arc<()>, [u64; 2]), [u64; 3]>(0)).collect();
            let of = |i: u64| &shards[(i % SHARDS) as usize];
            let mut peak = 0;
            for wave in 0..WAVES {
                let names = wave * ENTRIES..(wave + 1) * ENTRIES;
                for i in names.clone() {
                    let value = (Arc::clone(&mailbox), [i; 2]);
                    let key = format!("name {i}").into_bytes().into();
                    assert!(of(i).insert_new(hash(i), key, value, [i; 3]).is_ok());
                }
                peak = peak.max(live_bytes() - empty);
                for i in names {
                    assert!(of(i).remove_if(hash(i), format!("name {i}").as_bytes(), |_, _, _| true));
                }
                shards.iter().for_each(Shard::shrink);
                let left = live_bytes() - empty;
                assert!(left * 4 <= peak, "{}: {left} bytes of {peak} after wave {wave}", B::NAME);
            }
        }
    }

    for_each(&mut Waves);
}
