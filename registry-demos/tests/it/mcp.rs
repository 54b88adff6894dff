//! The scenario of the program `mcp` over every backend, with one shard and with 64.

use std::time::Duration;

use registry_core::Backend;
use registry_router::Registry;

use registry_demos::mcp::{self, Frame, Plan};

/// What runs longer than this hangs.
const LIMIT: Duration = Duration::from_secs(120);

async fn the_account_matches<B: Backend>(shards: usize, plan: Plan) {
    let registry = Registry::<Frame, B>::builder().shards(shards).build().unwrap();
    let account = tokio::time::timeout(LIMIT, mcp::run(registry, plan)).await.expect("it hangs").unwrap();
    let faults = account.faults();
    assert!(faults.is_empty(), "{faults:#?}\n{account}");
}

macro_rules! tests {
    ($($module:ident $Name:ident),+) => {
        $(mod $module {
            use registry_router::backends::$Name;

            use super::{Plan, the_account_matches};

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn with_one_shard() {
                the_account_matches::<$Name>(1, Plan { clients: 8, calls: 20 }).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn with_64_shards() {
                the_account_matches::<$Name>(64, Plan { clients: 8, calls: 20 }).await;
            }

            #[tokio::test]
            async fn with_as_few_clients_as_can_be_on_one_thread() {
                the_account_matches::<$Name>(64, Plan { clients: 2, calls: 1 }).await;
            }
        })+
    };
}

registry_backends::for_every_backend!(tests);
