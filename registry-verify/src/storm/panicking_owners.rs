//! Threads and tasks panic while they own leases.
//!
//! They unwind without the panic hook, which belongs to the whole program and would print thousands of panics that are
//! meant. Some panic in the middle of a lookup or of a list, in the registry's hands.

use std::panic::resume_unwind;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use registry_core::{Backend, Select};
use registry_router::Registry;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::field::{held, registry, server, transport};
use super::logbook::Logbook;
use super::owner::Owner;

/// What one owner holds: a server and two transports bound to it.
const REGISTRATIONS: usize = 3;

/// How many threads panic at once.
const AT_ONCE: usize = 8;

pub(super) fn run<B: Backend>(logbook: &mut Logbook) {
    let registry = registry::<B>();
    let owners = logbook.sized(400);
    let calm = panicking_threads(&registry, owners);
    after(&registry, logbook, "threads", owners, calm);

    let owners = logbook.sized(20_000);
    let began = Instant::now();
    let calm = panicking_tasks(&registry, owners);
    logbook.time("tasks_ms", began.elapsed());
    after(&registry, logbook, "tasks", owners, calm);

    // The same names again: they are free.
    let calm = panicking_tasks(&registry, owners);
    after(&registry, logbook, "tasks of the same names", owners, calm);
}

fn after<B: Backend>(registry: &Registry<u64, B>, logbook: &mut Logbook, who: &str, owners: usize, calm: usize) {
    logbook.died(owners * REGISTRATIONS);
    logbook.expect_eq(&format!("{who} that did not panic"), calm, 0);
    logbook.left_over(&format!("of the {who} that panicked"), held(registry));
}

/// Says how many of them did not panic.
fn panicking_threads<B: Backend>(registry: &Registry<u64, B>, owners: usize) -> usize {
    let mut calm = 0;
    let numbers: Vec<_> = (0..owners).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let all_own = Barrier::new(numbers.len());
        thread::scope(|scope| {
            let own_and_panic = |number| {
                let _owners = own(registry, number);
                all_own.wait();
                panic_somewhere(registry, number);
            };
            let threads: Vec<_> = numbers.iter().map(|&number| scope.spawn(move || own_and_panic(number))).collect();
            calm += threads.into_iter().map(thread::ScopedJoinHandle::join).filter(Result::is_ok).count();
        });
    }
    calm
}

/// Says how many of them did not panic.
fn panicking_tasks<B: Backend>(registry: &Registry<u64, B>, owners: usize) -> usize {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("threads can be started");
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in 0..owners {
            let registry = registry.clone();
            tasks.spawn(async move {
                let _owners = own(&registry, number);
                tokio::task::yield_now().await;
                panic_somewhere(&registry, number);
            });
        }
        let mut calm = 0;
        while let Some(ended) = tasks.join_next().await {
            calm += usize::from(!ended.is_err_and(|error| error.is_panic()));
        }
        calm
    })
}

fn own<B: Backend>(registry: &Registry<u64, B>, number: usize) -> [Owner; REGISTRATIONS] {
    let id = server("panicking", number);
    let owner = Owner::server(registry, id.clone());
    let bound = |n| Owner::bound(registry, transport("panicking", REGISTRATIONS * number + n), &id);
    [owner, bound(1), bound(2)]
}

fn panic_somewhere<B: Backend>(registry: &Registry<u64, B>, number: usize) {
    match number % 4 {
        0 => {
            registry.with_server(server("panicking", number), |_| panic_quietly());
        }
        1 => {
            registry.select_servers(Select::all().filter(|_| panic_quietly()));
        }
        _ => panic_quietly(),
    }
}

fn panic_quietly() -> ! {
    resume_unwind(Box::new("an owner panics, as it is meant to"))
}
