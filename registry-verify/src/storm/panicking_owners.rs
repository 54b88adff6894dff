//! Threads and tasks panic while they own leases.
//!
//! They unwind without the panic hook, which is global and would print thousands of intended panics. Some panic inside
//! a callback of a lookup or a selection.

use std::panic::resume_unwind;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use registry_core::{Backend, Select};
use registry_router::Registry;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::fixture::{entry_counts, registry, server, transport};
use super::owner::Owner;
use super::recorder::Recorder;

/// The registrations of one owner: a server and two transports bound to it.
const REGISTRATIONS: usize = 3;

/// The number of threads that panic at once.
const AT_ONCE: usize = 8;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let registry = registry::<B>();
    let owners = recorder.scaled(400);
    let not_panicked = panicking_threads(&registry, owners);
    expect_all_panicked(&registry, recorder, "threads", owners, not_panicked);

    let owners = recorder.scaled(20_000);
    let began = Instant::now();
    let not_panicked = panicking_tasks(&registry, owners);
    recorder.time("tasks_ms", began.elapsed());
    expect_all_panicked(&registry, recorder, "tasks", owners, not_panicked);

    // The names are free, so the same ones are used again.
    let not_panicked = panicking_tasks(&registry, owners);
    expect_all_panicked(&registry, recorder, "tasks with the same names", owners, not_panicked);
}

fn expect_all_panicked<B: Backend>(
    registry: &Registry<u64, B>,
    recorder: &mut Recorder,
    kind: &str,
    owners: usize,
    not_panicked: usize,
) {
    recorder.add_deaths(owners * REGISTRATIONS);
    recorder.expect_eq(&format!("{kind} that did not panic"), not_panicked, 0);
    recorder.expect_empty(&format!("after {kind} panicked"), entry_counts(registry));
}

/// Returns the number of threads that did not panic.
fn panicking_threads<B: Backend>(registry: &Registry<u64, B>, owners: usize) -> usize {
    let mut not_panicked = 0;
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
            not_panicked += threads.into_iter().map(thread::ScopedJoinHandle::join).filter(Result::is_ok).count();
        });
    }
    not_panicked
}

/// Returns the number of tasks that did not panic.
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
        let mut not_panicked = 0;
        while let Some(ended) = tasks.join_next().await {
            not_panicked += usize::from(!ended.is_err_and(|error| error.is_panic()));
        }
        not_panicked
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
    resume_unwind(Box::new("an intended panic"))
}
