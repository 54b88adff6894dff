//! Custom mailboxes: any queue can replace tokio's.

use std::fmt;
use std::sync::{Arc, Mutex};

use registry_core::Backend;
use registry_router::{Mailbox, MailboxFamily, Registry, RouteError, ToServer, TrySendError};

use crate::support::transport;

test_every_backend! {
    a_custom_mailbox_receives_messages,
    a_panicking_mailbox_affects_no_other_entry,
}

/// A mailbox over a vector with capacity 2, which panics if so configured.
struct VecMailbox<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    items: Vec<T>,
    panics: bool,
}

impl<T> VecMailbox<T> {
    fn new(panics: bool) -> Self {
        Self(Arc::new(Mutex::new(State { items: Vec::new(), panics })))
    }
}

impl<T> Clone for VecMailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for VecMailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VecMailbox")
    }
}

impl<T: Send + 'static> Mailbox<T> for VecMailbox<T> {
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let mut state = self.0.lock().unwrap();
        assert!(!state.panics, "configured to panic");
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
struct VecMailboxes;

impl MailboxFamily for VecMailboxes {
    type Mailbox<T: Send + 'static> = VecMailbox<T>;
}

fn a_custom_mailbox_receives_messages<B: Backend>(shards: usize) {
    let registry: Registry<String, B, VecMailboxes> = Registry::builder().shards(shards).build().unwrap();
    let mailbox: VecMailbox<ToServer<String>> = VecMailbox::new(false);
    let _s = registry.register_server("s", mailbox.clone(), ()).unwrap();
    let t = transport("t");
    registry.route_to_server("s", &t, "one".to_owned()).unwrap();
    registry.route_to_server("s", &t, "two".to_owned()).unwrap();
    let refused = registry.route_to_server("s", &t, "three".to_owned());
    assert_eq!(refused, Err(RouteError::Full("three".to_owned())));
    let items: Vec<_> = mailbox.0.lock().unwrap().items.drain(..).map(|delivery| delivery.message).collect();
    assert_eq!(items, ["one", "two"]);
}

fn a_panicking_mailbox_affects_no_other_entry<B: Backend>(shards: usize) {
    let registry: Registry<u64, B, VecMailboxes> = Registry::builder().shards(shards).build().unwrap();
    let (good, bad) = (VecMailbox::new(false), VecMailbox::new(true));
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
