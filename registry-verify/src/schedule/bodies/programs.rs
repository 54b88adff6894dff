//! Random programs of three threads, recorded and checked like the histories of OS threads.
//!
//! The program is drawn from the scheduler's random numbers, so the seed of a schedule reproduces it.

use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::Backend;
use registry_router::Registry;
use shuttle::rand::{RngCore, thread_rng};
use shuttle::thread;

use super::TestRegistry;
use crate::history::{Client, MailboxFactory, Program, Receiver, Rejections, check_clients};
use crate::schedule::queue::{Queue, Queues};

const THREADS: usize = 3;

/// The number of calls checked in this process.
pub(in crate::schedule) static CHECKED_CALLS: AtomicU64 = AtomicU64::new(0);

/// The history of three concurrent threads is linearizable.
pub(super) fn random_program<B: Backend>() {
    let program = Program::of(thread_rng().next_u64(), THREADS);
    let builder = Registry::<u64, B, Queues>::builder().shards(program.shards.min(2)).probe(|_| ());
    let registry: TestRegistry<B> = builder.build().expect("the number of shards is valid");
    let clock = AtomicU64::new(0);
    let mut clients: Vec<_> = (0..THREADS).map(|thread| Client::new(registry.clone(), thread as u8)).collect();
    for (thread, op) in &program.setup {
        clients[*thread].perform(*op, &clock);
    }
    let clients = thread::scope(|scope| {
        let threads: Vec<_> = clients.into_iter().zip(&program.threads).collect();
        let threads: Vec<_> = threads
            .into_iter()
            .map(|(mut client, program)| {
                let clock = &clock;
                scope.spawn(move || {
                    program.iter().for_each(|op| client.perform(*op, clock));
                    client
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    match check_clients(&registry, clients, &clock) {
        Ok(calls) => CHECKED_CALLS.fetch_add(calls as u64, Ordering::Relaxed),
        Err(violation) => panic!("{violation}"),
    };
}

impl MailboxFactory for Queues {
    type Inbox<T: Send + 'static> = Queue<T>;

    fn mailbox<T: Send + 'static>(capacity: usize) -> (Queue<T>, Queue<T>) {
        let queue = Queue::new(capacity);
        (queue.clone(), queue)
    }
}

impl<T: Send> Receiver<T> for Queue<T> {
    fn close(&mut self) {
        Queue::close(self);
    }

    fn drain(&mut self) -> Vec<T> {
        Queue::drain(self)
    }

    fn rejections(&self) -> Option<Rejections> {
        None
    }
}
