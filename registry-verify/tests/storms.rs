//! Every storm at short scale on every backend. Those that count bytes are in `memory.rs`.

use registry_core::Backend;
use registry_verify::storm::{ALL, Context, Scale, run};

fn survives<B: Backend>() {
    for storm in ALL.iter().filter(|storm| !storm.counts_bytes) {
        let report = run::<B>(storm.name, Context::new(Scale::Short, 1));
        assert_eq!(report.violations, 0, "{} in {}: {:#?}", B::NAME, storm.name, report.cases);
        let [storm] = &report.storms[..] else { panic!("{} in {} has no measurements", B::NAME, storm.name) };
        assert_eq!(storm.leftover, 0, "{} in {}", B::NAME, storm.name);
        assert!(storm.deaths > 0, "{} in {}: no deaths", B::NAME, storm.name);
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
fn an_unknown_storm_is_a_violation() {
    let report = run::<registry_router::backends::Reference>("drizzle", Context::new(Scale::Short, 1));
    assert_eq!((report.violations, report.storms.len()), (1, 0));
}

#[test]
fn a_byte_counting_storm_without_a_counter_is_a_violation() {
    for storm in ALL.iter().filter(|storm| storm.counts_bytes) {
        let report = run::<registry_router::backends::Reference>(storm.name, Context::new(Scale::Short, 1));
        assert!(report.violations > 0, "{}", storm.name);
    }
}
