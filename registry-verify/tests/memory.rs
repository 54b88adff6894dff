//! The storms that count bytes, on every backend, one after another: the allocator is global.

use std::alloc::System;

use registry_core::Backend;
use registry_router::backends::{Visitor, for_each};
use registry_verify::storm::{ALL, Context, Scale, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Returns the number of currently allocated bytes.
fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

// The only test in this binary: a concurrent one would be counted too.
#[test]
fn failures_and_deaths_leak_no_more_bytes_than_their_bound() {
    struct Counted(usize);

    impl Visitor for Counted {
        fn visit<B: Backend>(&mut self) {
            for storm in ALL.iter().filter(|storm| storm.counts_bytes) {
                let report = run::<B>(storm.name, Context::new(Scale::Short, 1).with_live_bytes(live_bytes));
                assert_eq!(report.violations, 0, "{} in {}: {:#?}", B::NAME, storm.name, report.cases);
                let [storm] = &report.storms[..] else { panic!("{} in {} has no measurements", B::NAME, storm.name) };
                assert_eq!(storm.leftover, 0, "{} in {}", B::NAME, storm.name);
                assert!(storm.deaths > 0, "{} in {}: no deaths", B::NAME, storm.name);
                self.0 += 1;
            }
        }
    }

    let mut counted = Counted(0);
    for_each(&mut counted);
    assert!(counted.0 > 0, "no storm counts bytes");
}
