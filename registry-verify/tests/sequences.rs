//! Random sequences conform to the specification on every backend, with 1, 2 and 64 shards.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::{TestCaseError, TestRunner};
use registry_core::Backend;
use registry_verify::sequence::{check, sequences};

fn sequences_conform_to_the_specification<B: Backend>() {
    let config = ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
    for shards in [1, 2, 64] {
        TestRunner::new(config.clone())
            .run(&sequences(100), |ops| match check::<B>(&ops, shards) {
                Ok(_) => Ok(()),
                Err(violation) => Err(TestCaseError::fail(violation.to_string())),
            })
            .unwrap_or_else(|error| panic!("{}, {shards} shards: {error}", B::NAME));
    }
}

macro_rules! suites {
    ($($module:ident $Backend:ident),* $(,)?) => {
        $(
            #[test]
            fn $module() {
                sequences_conform_to_the_specification::<registry_router::backends::$Backend>();
            }
        )*
    };
}
registry_router::backends::for_every_backend!(suites);
