//! Registers a server and a transport, binds them, and routes a request and its reply.
//!
//! Run it with `cargo run -p registry-router --example quickstart`.

#![allow(clippy::print_stdout, reason = "an example prints what happens")]

use registry_router::{Metadata, Registry, RouteError, mailbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A registry routes messages of one type, here `String`. Clones share it, so it can be passed to any task.
    let registry: Registry<String> = Registry::builder().build()?;

    // A server registers under an id, with a mailbox and metadata. It reads the other end of the mailbox, the inbox.
    let (to_server, mut requests) = mailbox(16);
    let server_lease = registry.register_server("search", to_server, Metadata::new().with("version", "1.2"))?;

    // A transport, such as a network connection, registers likewise. It has no metadata here.
    let (to_transport, mut replies) = mailbox(16);
    let transport_lease = registry.register_transport("conn-1", to_transport, ())?;

    // A lookup reads the entry in place; `find_server` returns an owned copy instead.
    let version = registry.with_server("search", |entry| entry.metadata.get("version").map(str::to_owned));
    assert_eq!(version.flatten().as_deref(), Some("1.2"));

    // A transport is bound to at most one server.
    registry.bind_transport_to_server("conn-1", "search")?;
    assert_eq!(registry.server_for_transport("conn-1").as_ref(), Some(server_lease.id()));
    println!("conn-1 is bound to search");

    // The server runs in its own task: it replies to the sender of each request.
    let server = tokio::spawn({
        let registry = registry.clone();
        async move {
            while let Some(request) = requests.recv().await {
                let reply = format!("results for {:?}", request.message);
                registry.route_to_transport(&request.from, server_lease.id(), reply).expect("the mailbox has room");
                if request.message == "last" {
                    break;
                }
            }
            // The lease is dropped here, which ends the registration.
        }
    });

    // Routing never waits: the message is in the mailbox, or it is returned with the reason.
    registry.route_to_bound_server("conn-1", "rust".to_owned())?;
    registry.route_to_bound_server("conn-1", "last".to_owned())?;
    for expected in ["results for \"rust\"", "results for \"last\""] {
        let reply = replies.recv().await.expect("the transport is registered");
        assert_eq!(reply.message, expected);
        println!("{} replied: {}", reply.from, reply.message);
    }
    server.await?;

    // The name is free again, the binding has ended, and a message to the server is returned to the sender.
    assert!(registry.find_server("search").is_none() && registry.server_for_transport("conn-1").is_none());
    let returned = registry.route_to_server("search", transport_lease.id(), "late".to_owned());
    assert_eq!(returned, Err(RouteError::NotFound("late".to_owned())));
    println!("search has ended; a message to it was returned");

    drop(transport_lease);
    assert_eq!((registry.server_count(), registry.transport_count()), (0, 0));
    Ok(())
}
