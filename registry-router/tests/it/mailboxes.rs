//! Mailboxes of one's own: any queue can stand in for tokio's.

use std::fmt;
use std::sync::{Arc, Mutex};

use registry_core::Backend;
use registry_router::{Mailbox, MailboxFamily, Registry, RouteError, ToServer, TrySendError};

use crate::support::transport;

over_every_backend! {
    a_mailbox_of_ones_own_takes_messages,
    a_panicking_mailbox_harms_nobody_else,
}

/// Keeps what it is given in a vector with room for two; panics when told to.
struct Pigeonhole<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    items: Vec<T>,
    panics: bool,
}

impl<T> Pigeonhole<T> {
    fn new(panics: bool) -> Self {
        Self(Arc::new(Mutex::new(State { items: Vec::new(), panics })))
    }
}

impl<T> Clone for Pigeonhole<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Pigeonhole<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pigeonhole")
    }
}

impl<T: Send + 'static> Mailbox<T> for Pigeonhole<T> {
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let mut state = self.0.lock().unwrap();
        assert!(!state.panics, "told to panic");
        if state.items.len() == 2 {
            return Err(TrySendError::Full(item));
        }
        state.items.push(item);
        Ok(())
    }

    fn is_closed(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Pigeonholes;

impl MailboxFamily for Pigeonholes {
    type Mailbox<T: Send + 'static> = Pigeonhole<T>;
}

fn a_mailbox_of_ones_own_takes_messages<B: Backend>(shards: usize) {
    let registry: Registry<String, B, Pigeonholes> = Registry::builder().shards(shards).build().unwrap();
    let hole: Pigeonhole<ToServer<String>> = Pigeonhole::new(false);
    let _s = registry.register_server("s", hole.clone(), ()).unwrap();
    let t = transport("t");
    registry.route_to_server("s", &t, "one".to_owned()).unwrap();
    registry.route_to_server("s", &t, "two".to_owned()).unwrap();
    let refused = registry.route_to_server("s", &t, "three".to_owned());
    assert_eq!(refused, Err(RouteError::Full("three".to_owned())));
    let items: Vec<_> = hole.0.lock().unwrap().items.drain(..).map(|delivery| delivery.message).collect();
    assert_eq!(items, ["one", "two"]);
}

fn a_panicking_mailbox_harms_nobody_else<B: Backend>(shards: usize) {
    let registry: Registry<u64, B, Pigeonholes> = Registry::builder().shards(shards).build().unwrap();
    let (good, bad) = (Pigeonhole::new(false), Pigeonhole::new(true));
    let _good = registry.register_server("good", good.clone(), ()).unwrap();
    let bad = registry.register_server("bad", bad, ()).unwrap();
    let t = transport("t");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| registry.route_to_server("bad", &t, 1)));
    assert!(panicked.is_err());
    registry.route_to_server("good", &t, 2).unwrap();
    assert_eq!(good.0.lock().unwrap().items[0].message, 2);
    assert!(bad.release());
    assert_eq!(registry.server_count(), 1);
}
