//! Chat rooms: a room is a server, a connection is a transport bound to it, and a post is broadcast to the room.
//!
//! A connection that does not read is reported by the broadcast, and disconnected without delaying the others.
//! Run it with `cargo run -p registry-router --example chat_rooms`.

#![allow(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;

use registry_router::{Inbox, Registry, ToServer, ToTransport, TransportLease, mailbox};

type Chat = Registry<String>;

/// A connection is registered for as long as its lease exists and its inbox is open.
type Connection = (TransportLease, Inbox<ToTransport<String>>);

/// The number of unread messages after which a connection is disconnected.
const BACKLOG: usize = 2;

/// Connects a user to a room.
fn connect(chat: &Chat, user: &str, room: &str) -> Result<Connection, Box<dyn Error>> {
    let (mailbox, inbox) = mailbox(BACKLOG);
    Ok((chat.register_transport_bound_to(user, mailbox, (), room)?, inbox))
}

/// Broadcasts every post of a room to its connections, and disconnects those that do not keep up.
async fn run_room(chat: Chat, room: &'static str, mut posts: Inbox<ToServer<String>>) {
    while let Some(post) = posts.recv().await {
        let report = chat.broadcast(room, format!("{}: {}", post.from, post.message));
        println!("{room}: delivered to {} of {}", report.delivered, report.attempted());
        for slow in &report.full {
            println!("{room}: {slow} does not keep up and is disconnected");
            chat.unregister_transport(slow);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let chat: Chat = Registry::builder().build()?;
    let mut rooms = Vec::new();
    for room in ["lobby", "games"] {
        let (mailbox, posts) = mailbox(64);
        let lease = chat.register_server(room, mailbox, ())?;
        rooms.push((lease, tokio::spawn(run_room(chat.clone(), room, posts))));
    }
    let (_alice, mut alice_inbox) = connect(&chat, "alice", "lobby")?;
    let (_bob, mut bob_inbox) = connect(&chat, "bob", "lobby")?;
    let (carol, _carol_reads_nothing) = connect(&chat, "carol", "lobby")?;
    let (_dave, dave_inbox) = connect(&chat, "dave", "games")?;
    assert_eq!(chat.transports_of("lobby").len(), 3);

    // Carol's mailbox is full after two posts. The third one is delivered to the others all the same.
    for number in 1..=4 {
        chat.route_to_bound_server("alice", format!("post {number}"))?;
        for inbox in [&mut alice_inbox, &mut bob_inbox] {
            let received = inbox.recv().await.expect("the connection is registered");
            assert_eq!((received.from.as_str(), &*received.message), ("lobby", &*format!("alice: post {number}")));
        }
    }
    assert!(!carol.is_current(), "a connection that was disconnected no longer holds its name");
    assert_eq!(chat.transports_of("lobby").len(), 2);
    assert!(dave_inbox.is_empty(), "the rooms are separate");

    // A connection can move to another room.
    chat.bind_transport_to_server("bob", "games")?;
    assert_eq!(chat.transports_of("games").len(), 2);
    println!("bob has moved to games");

    // Releasing the lease of a room ends it, and the bindings of its connections.
    for (lease, task) in rooms {
        assert!(lease.release());
        task.abort();
    }
    assert_eq!((chat.server_count(), chat.binding_count(), chat.transport_count()), (0, 0, 3));
    Ok(())
}
