//! The scenario of the program `mcp` over every backend, with one shard and with 64.

use std::time::Duration;

use registry_core::Backend;
use registry_router::Registry;

use registry_demos::mcp::{self, Frame, Plan};

/// The time limit of a scenario.
const TIMEOUT: Duration = Duration::from_secs(120);

async fn the_report_matches<B: Backend>(shards: usize, plan: Plan) {
    let registry = Registry::<Frame, B>::builder().shards(shards).build().unwrap();
    let report = tokio::time::timeout(TIMEOUT, mcp::run(registry, plan)).await.expect("timed out").unwrap();
    let mismatches = report.mismatches();
    assert!(mismatches.is_empty(), "{mismatches:#?}\n{report}");
}

macro_rules! tests {
    ($($module:ident $Name:ident),+) => {
        $(mod $module {
            use registry_router::backends::$Name;

            use super::{Plan, the_report_matches};

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn with_one_shard() {
                the_report_matches::<$Name>(1, Plan { clients: 8, calls: 20 }).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn with_64_shards() {
                the_report_matches::<$Name>(64, Plan { clients: 8, calls: 20 }).await;
            }

            #[tokio::test]
            async fn with_two_clients_on_one_thread() {
                the_report_matches::<$Name>(64, Plan { clients: 2, calls: 1 }).await;
            }
        })+
    };
}

registry_backends::for_every_backend!(tests);
