//! Every storm, at a fiftieth of its size, on every backend. Those that count bytes are in `memory.rs`.

use registry_core::Backend;
use registry_verify::storm::{ALL, Context, Scale, run};

fn survives<B: Backend>() {
    for plan in ALL.iter().filter(|plan| !plan.counts_bytes) {
        let account = run::<B>(plan.name, Context::new(Scale::Short, 1));
        assert_eq!(account.violations, 0, "{} in {}: {:#?}", B::NAME, plan.name, account.cases);
        let [storm] = &account.storms[..] else { panic!("{} in {} has no figures", B::NAME, plan.name) };
        assert_eq!(storm.leftover, 0, "{} in {}", B::NAME, plan.name);
        assert!(storm.deaths > 0, "{} in {}: nobody died", B::NAME, plan.name);
    }
}

macro_rules! suites {
    ($($module:ident $Backend:ident),* $(,)?) => {
        $(
            #[test]
            fn $module() {
                survives::<registry_router::backends::$Backend>();
            }
        )*
    };
}
registry_router::backends::for_every_backend!(suites);

#[test]
fn a_storm_that_nobody_knows_is_a_violation() {
    let account = run::<registry_router::backends::Reference>("drizzle", Context::new(Scale::Short, 1));
    assert_eq!((account.violations, account.storms.len()), (1, 0));
}

#[test]
fn a_storm_that_counts_bytes_is_a_violation_where_nobody_counts() {
    for plan in ALL.iter().filter(|plan| plan.counts_bytes) {
        let account = run::<registry_router::backends::Reference>(plan.name, Context::new(Scale::Short, 1));
        assert!(account.violations > 0, "{}", plan.name);
    }
}
