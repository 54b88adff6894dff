//! A mailbox of your own: tokio's unbounded channel, for receivers that must never cause `Full`.
//!
//! Run it with `cargo run -p registry-router --example custom_mailbox`.

#![allow(clippy::print_stdout, reason = "an example prints what happens")]

use registry_router::{
    Mailbox, MailboxFamily, Registry, RouteError, ServerId, ToTransport, TrySendError, backends::Papaya,
};
use tokio::sync::mpsc;

/// The sending end, which the registry holds. The receiving end is tokio's.
struct Unbounded<T>(mpsc::UnboundedSender<T>);

impl<T: Send + 'static> Mailbox<T> for Unbounded<T> {
    // Runs inside a read of the registry, so it must not wait and must not call the registry.
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.0.send(item).map_err(|error| TrySendError::Closed(error.0))
    }

    // Every lookup calls this, so it must be cheap. Once it has returned `true` it must not return `false` again.
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

// Clones send to the same queue; a derived `Clone` would require `T: Clone`.
impl<T> Clone for Unbounded<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The family names the mailbox for each type of delivery: those to servers and those to transports.
struct UnboundedFamily;

impl MailboxFamily for UnboundedFamily {
    type Mailbox<T: Send + 'static> = Unbounded<T>;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The family is a type parameter of the registry, after the message and the backend.
    let registry: Registry<u32, Papaya, UnboundedFamily> = Registry::builder().build()?;
    let (sender, mut receiver) = mpsc::unbounded_channel::<ToTransport<u32>>();
    let lease = registry.register_transport("display", Unbounded(sender), ())?;

    // The sender of a message is named; it need not be registered.
    let feed = ServerId::new("feed")?;
    for price in 0..10_000 {
        registry.route_to_transport("display", &feed, price)?;
    }
    println!("{} messages are waiting, and none was rejected", receiver.len());
    for expected in 0..10_000 {
        let delivery = receiver.recv().await.expect("the sending end is registered");
        assert_eq!((delivery.from.as_str(), delivery.message), ("feed", expected));
    }

    // A transport whose mailbox is closed is no longer found, although its lease is still held.
    drop(receiver);
    assert!(registry.find_transport("display").is_none());
    assert_eq!(registry.route_to_transport("display", &feed, 1), Err(RouteError::Closed(1)));
    // The message also ended the registration, so the next one finds nothing.
    assert!(!lease.is_current());
    assert_eq!(registry.route_to_transport("display", &feed, 2), Err(RouteError::NotFound(2)));
    println!("the receiver is closed, and the messages were returned");
    Ok(())
}
