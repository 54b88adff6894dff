//! Random programs of three threads, recorded and judged as the histories of real threads are.
//!
//! The program is drawn from the schedule's own source of chance, so that what a schedule's seed brings about it brings
//! about again.

use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::Backend;
use registry_router::Registry;
use shuttle::rand::{RngCore, thread_rng};
use shuttle::thread;

use super::World;
use crate::history::{Hand, Post, Program, Receive, TurnedDown, judge};
use crate::schedule::queue::{Queue, Queues};

const THREADS: usize = 3;

/// How many calls have been judged in this process.
pub(in crate::schedule) static JUDGED: AtomicU64 = AtomicU64::new(0);

/// Whatever three threads do, there is an order of instants that explains all results.
pub(super) fn a_program<B: Backend>() {
    let program = Program::of(thread_rng().next_u64(), THREADS);
    let builder = Registry::<u64, B, Queues>::builder().shards(program.shards.min(2)).probe(|_| ());
    let world: World<B> = builder.build().expect("the number of shards is valid");
    let clock = AtomicU64::new(0);
    let mut hands: Vec<_> = (0..THREADS).map(|thread| Hand::new(world.clone(), thread as u8)).collect();
    for (thread, todo) in &program.setup {
        hands[*thread].perform(*todo, &clock);
    }
    let hands = thread::scope(|scope| {
        let threads: Vec<_> = hands.into_iter().zip(&program.threads).collect();
        let threads: Vec<_> = threads
            .into_iter()
            .map(|(mut hand, program)| {
                let clock = &clock;
                scope.spawn(move || {
                    program.iter().for_each(|todo| hand.perform(*todo, clock));
                    hand
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    match judge(&world, hands, &clock) {
        Ok(calls) => JUDGED.fetch_add(calls as u64, Ordering::Relaxed),
        Err(wrong) => panic!("{wrong}"),
    };
}

impl Post for Queues {
    type Inbox<T: Send + 'static> = Queue<T>;

    fn open<T: Send + 'static>(capacity: usize) -> (Queue<T>, Queue<T>) {
        let queue = Queue::new(capacity);
        (queue.clone(), queue)
    }
}

impl<T: Send> Receive<T> for Queue<T> {
    fn close(&mut self) {
        Queue::close(self);
    }

    fn take(&mut self) -> Vec<T> {
        self.drain()
    }

    fn turned_down(&self) -> Option<TurnedDown> {
        None
    }
}
