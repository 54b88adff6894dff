//! Requests with replies: a call waits for the reply with a time limit, and each way to fail is told apart.
//!
//! When the worker disappears, pending and later calls fail at once and not after the time limit.
//! Run it with `cargo run -p registry-router --example request_reply`.

#![allow(clippy::print_stdout, reason = "an example prints what happens")]

use std::time::{Duration, Instant};

use registry_router::{CallErrorKind, Inbox, Registry, Request, ServerLease, ToServer, TransportId, mailbox};

/// The messages of this program: requests to square a number, and nothing else.
type Square = Request<u64, u64>;

/// Replies to requests. The registration ends with this task.
async fn work(_lease: ServerLease, mut inbox: Inbox<ToServer<Square>>) {
    while let Some(delivery) = inbox.recv().await {
        let (number, mut reply) = delivery.message.into_parts();
        // Numbers above 1,000 take very long, and are computed by a task of their own.
        tokio::spawn(async move {
            let time = Duration::from_secs(if number > 1_000 { 3_600 } else { 0 });
            tokio::select! {
                () = tokio::time::sleep(time) => drop(reply.send(number * number)),
                () = reply.cancelled() => println!("{number}: the caller does not wait any more"),
            }
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry: Registry<Square> = Registry::builder().build()?;
    let (mailbox, inbox) = mailbox(8);
    let worker = tokio::spawn(work(registry.register_server("worker", mailbox, ())?, inbox));
    // `from` names the sender; it need not be registered.
    let from = TransportId::new("client")?;
    let limit = Some(Duration::from_secs(10));
    let square =
        async |number, limit| registry.call_server("worker", &from, number, limit).await.map_err(|error| error.kind());

    assert_eq!(square(12, limit).await, Ok(144));
    println!("12 squared is 144");

    assert_eq!(square(5_000, Some(Duration::from_millis(50))).await, Err(CallErrorKind::TimedOut));
    println!("5000: no reply within 50 ms");

    // Requests are sent when the method is called; here three are in the mailbox before the first reply is waited for.
    let calls = [1, 2, 3].map(|number| registry.call_server("worker", &from, number, limit));
    let mut squares = Vec::new();
    for call in calls {
        squares.push(call.await?);
    }
    println!("1, 2, 3: {squares:?}");

    let start = Instant::now();
    worker.abort();
    let _ = worker.await;
    assert_eq!(square(4, limit).await, Err(CallErrorKind::NotFound));
    assert!(start.elapsed() < Duration::from_secs(5), "the call did not wait for its time limit");
    println!("the worker has disappeared: the call failed at once");
    Ok(())
}
