//! Many concurrent callers of workers that crash and start again: each call ends in exactly one outcome, on both sides.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{CallErrorKind, ReplySender};

use super::{Numbers, Requests, numbers, server};
use crate::support::{transport, within_time_limit};

test_every_backend! {
    each_call_has_exactly_one_outcome_while_workers_crash,
}

const CALLERS: u64 = 4;
const CALLS: u64 = 250;

/// What the workers did with each request: the model that the outcomes of the calls must agree with.
#[derive(Default)]
struct Model {
    read: Mutex<HashSet<u64>>,
    /// Requests whose reply was accepted, so that the call must have it.
    answered: Mutex<HashSet<u64>>,
}

impl Model {
    fn reads(&self, number: u64) {
        assert!(self.read.lock().unwrap().insert(number), "request {number} was read twice");
    }

    fn replies(&self, number: u64, reply: ReplySender<u64>) {
        // Before the reply is sent the caller cannot check, and afterwards it may.
        let mut answered = self.answered.lock().unwrap();
        if reply.send(number + 1).is_ok() {
            answered.insert(number);
        }
    }

    /// Compares the outcome of a call with what the workers did.
    fn check(&self, number: u64, outcome: &Result<u64, CallErrorKind>) {
        // Workers record what they read before they do anything with it.
        let read = self.read.lock().unwrap().contains(&number);
        let answered = self.answered.lock().unwrap().contains(&number);
        match outcome {
            Ok(reply) => assert!(*reply == number + 1 && read && answered, "request {number} was not answered"),
            Err(CallErrorKind::Unanswered) => assert!(read && !answered, "request {number}"),
            Err(CallErrorKind::TimedOut) => assert!(!answered, "request {number} was answered in time"),
            // `Unread`, and the errors that return the message.
            Err(_) => assert!(!read && !answered, "request {number} was read"),
        }
    }
}

/// Serves some requests, then ends in one of several ways with requests in the inbox.
fn work(model: &Model, mut inbox: Requests, life: u64, held: &mut Vec<ReplySender<u64>>) {
    for served in 0..life % 13 + 3 {
        let Ok(delivery) = inbox.try_recv() else {
            std::thread::yield_now();
            continue;
        };
        let (number, reply) = delivery.message.into_parts();
        model.reads(number);
        match (served + life) % 5 {
            // Dropped without a reply.
            0 => drop(reply),
            // Kept, until the caller has timed out or too many are kept.
            1 => held.push(reply),
            _ => model.replies(number, reply),
        }
    }
    held.truncate(8);
    if life.is_multiple_of(3) {
        // An orderly end: everything accepted is read.
        inbox.close();
        while let Some(delivery) = inbox.blocking_recv() {
            let (number, reply) = delivery.message.into_parts();
            model.reads(number);
            model.replies(number, reply);
        }
    }
}

fn call<B: Backend>(
    registry: &Numbers<B>,
    from: &registry_router::TransportId,
    number: u64,
) -> impl Future<Output = Result<u64, CallErrorKind>> {
    let limit = Some(Duration::from_millis(20));
    async move {
        let outcome = if number.is_multiple_of(2) {
            registry.call_server("s", from, number, limit).await
        } else {
            registry.call_server_when_ready("s", from, number, limit).await
        };
        outcome.map_err(|error| error.kind())
    }
}

fn each_call_has_exactly_one_outcome_while_workers_crash<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = numbers::<B>(shards);
        let model = Model::default();
        let done = AtomicBool::new(false);
        let finished = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|caller| {
                    let (registry, model, finished) = (&registry, &model, &finished);
                    scope.spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                        let from = transport(&format!("t{caller}"));
                        runtime.block_on(async {
                            for call_number in 0..CALLS {
                                let number = caller * CALLS + call_number;
                                let outcome = call(registry, &from, number).await;
                                model.check(number, &outcome);
                                finished.fetch_add(1, Ordering::Relaxed);
                                if outcome.is_err() {
                                    std::thread::yield_now();
                                }
                            }
                        });
                    })
                })
                .collect();
            let worker = scope.spawn(|| {
                let mut held = Vec::new();
                for life in 0.. {
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                    let (lease, inbox) = server(&registry, "s", 2);
                    work(&model, inbox, life, &mut held);
                    drop(lease);
                }
            });
            let ended: Vec<_> = callers.into_iter().map(|caller| caller.join()).collect();
            done.store(true, Ordering::SeqCst);
            worker.join().unwrap();
            for outcome in ended {
                outcome.unwrap();
            }
        });
        assert_eq!(finished.into_inner(), CALLERS * CALLS);
    });
}
