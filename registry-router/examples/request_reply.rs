//! Requests with replies: a message carries the channel on which the worker replies, and the client waits with a timeout.
//!
//! When the worker disappears, pending and later requests fail at once and not after the timeout.
//! Run it with `cargo run -p registry-router --example request_reply`.

#![allow(clippy::print_stdout, reason = "an example prints what happens")]

use std::time::{Duration, Instant};

use registry_router::{Inbox, Registry, ServerLease, ToServer, TransportId, mailbox};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A request to square a number.
struct Square {
    number: u64,
    reply: oneshot::Sender<u64>,
}

/// Why a request has no reply.
#[derive(Debug, PartialEq)]
enum Failed {
    /// No worker is registered, or its mailbox is full or closed.
    NotDelivered(String),
    /// The worker disappeared before it replied.
    WorkerGone,
    /// The worker did not reply in time.
    TimedOut,
}

async fn square(registry: &Registry<Square>, from: &TransportId, number: u64, limit: Duration) -> Result<u64, Failed> {
    let (reply, replied) = oneshot::channel();
    let delivered = registry.route_to_server("worker", from, Square { number, reply });
    delivered.map_err(|error| Failed::NotDelivered(error.to_string()))?;
    match timeout(limit, replied).await {
        Ok(Ok(result)) => Ok(result),
        // The worker dropped the request, or its inbox with the request in it.
        Ok(Err(_)) => Err(Failed::WorkerGone),
        Err(_) => Err(Failed::TimedOut),
    }
}

/// Replies to requests; takes very long for those above 1,000. The registration ends with this task.
async fn work(_lease: ServerLease, mut inbox: Inbox<ToServer<Square>>) {
    while let Some(ToServer { message: Square { number, reply }, .. }) = inbox.recv().await {
        if number > 1_000 {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        // An error means that the client no longer waits.
        let _ = reply.send(number * number);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry: Registry<Square> = Registry::builder().build()?;
    let (mailbox, inbox) = mailbox(8);
    let worker = tokio::spawn(work(registry.register_server("worker", mailbox, ())?, inbox));
    // `from` names the sender; it need not be registered.
    let from = TransportId::new("client")?;

    let result = square(&registry, &from, 12, Duration::from_secs(10)).await;
    assert_eq!(result, Ok(144));
    println!("12 squared is 144");

    let result = square(&registry, &from, 5_000, Duration::from_millis(50)).await;
    assert_eq!(result, Err(Failed::TimedOut));
    println!("5000: no reply within 50 ms");

    let start = Instant::now();
    let pending = square(&registry, &from, 3, Duration::from_secs(10));
    let (result, ()) = tokio::join!(pending, async { worker.abort() });
    assert_eq!(result, Err(Failed::WorkerGone));
    let result = square(&registry, &from, 4, Duration::from_secs(10)).await;
    assert!(matches!(result, Err(Failed::NotDelivered(_))));
    assert!(start.elapsed() < Duration::from_secs(5), "neither request waited for its timeout");
    println!("the worker has disappeared: both requests failed at once");
    Ok(())
}
