//! What a run is made of, prepared before any clock is read: ids, and mailboxes with somebody to empty them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::timed_loop::{Keys, STRANGERS};
use registry_router::{Inbox, ServerId, ServerMailbox, TransportId, TransportMailbox, mailbox};

/// The messages of all benches.
pub type Message = u64;

/// The receiving end of a server's mailbox.
pub type ServerInbox = Inbox<registry_router::ToServer<Message>>;

/// The most distinct mailboxes; servers beyond share them.
///
/// A tokio channel takes some 2 KiB even when it is empty, which a million servers do not leave room for.
const MOST_INBOXES: usize = 1_024;

/// How many messages a mailbox holds.
const INBOX_CAPACITY: usize = 256;

/// The number of copies of the hot id.
const HOT: usize = 1_024;

/// How many messages the one mailbox of all transports holds.
pub const TRANSPORT_INBOX_CAPACITY: usize = 16_384;

/// The ids and mailboxes of a run. The same objects serve everything that is compared in it.
#[derive(Debug)]
pub struct World {
    /// Servers that are registered from the beginning.
    pub servers: Vec<ServerId>,
    /// The same servers in random order, to be looked up without drawing them in the timed loop.
    pub order: Vec<ServerId>,
    /// The first of the random order, many times, so that its copies are read from memory as other keys are.
    pub hot: Vec<ServerId>,
    /// Servers that are never registered.
    pub strangers: Vec<ServerId>,
    /// Servers that are registered during a run.
    pub claims: Vec<ServerId>,
    /// Transports that are registered from the beginning.
    pub transports: Vec<TransportId>,
    /// Who sends.
    pub sender: TransportId,
    transport_mailbox: TransportMailbox<Message>,
    mailboxes: Vec<ServerMailbox<Message>>,
    inboxes: Vec<Mutex<ServerInbox>>,
    transport_inbox: Mutex<Inbox<registry_router::ToTransport<Message>>>,
    /// What went through the mailboxes, where others than this world empty them.
    flow: Option<Arc<Flow>>,
}

/// What went through mailboxes that live tasks empty.
#[derive(Debug, Default)]
pub struct Flow {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Flow {
    /// Says that a message has been received.
    pub fn received(&self) {
        self.received.fetch_add(1, Ordering::Release);
    }

    /// Waits until all that was sent has been received.
    fn settle(&self) {
        while self.received.load(Ordering::Acquire) < self.sent.load(Ordering::Acquire) {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

/// How many ids of each kind there are.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Of servers that are registered.
    pub servers: usize,
    /// Of servers that are not.
    pub strangers: usize,
    /// Of servers that come and go.
    pub claims: usize,
    /// Of transports.
    pub transports: usize,
}

impl World {
    /// Makes ids that look like UUIDs, drawn from the seed, and mailboxes.
    ///
    /// # Panics
    ///
    /// If there are to be no servers.
    #[must_use]
    pub fn new(counts: Counts, seed: u64) -> Self {
        Self::with_inboxes(counts, seed, MOST_INBOXES)
    }

    /// The same ids, and at most so many distinct mailboxes.
    ///
    /// # Panics
    ///
    /// If there are to be no servers, or no mailboxes.
    #[must_use]
    pub fn with_inboxes(counts: Counts, seed: u64, most: usize) -> Self {
        assert!(most > 0, "servers need a mailbox");
        assert!(counts.servers > 0, "a run needs at least one server");
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut servers = |n: usize| -> Vec<ServerId> { (0..n).map(|_| server(&mut rng)).collect() };
        let (registered, strangers, claims) =
            (servers(counts.servers), servers(counts.strangers), servers(counts.claims));
        let transport = |id: ServerId| TransportId::new(id.as_str()).expect("what names a server can name a transport");
        let transports = servers(counts.transports).into_iter().map(transport).collect();
        let mut order = registered.clone();
        rng.shuffle(&mut order);
        let (mailboxes, inboxes) = (0..counts.servers.min(most))
            .map(|_| mailbox(INBOX_CAPACITY))
            .map(|(mailbox, inbox)| (mailbox, Mutex::new(inbox)))
            .unzip();
        let (transport_mailbox, transport_inbox) = mailbox(TRANSPORT_INBOX_CAPACITY);
        Self {
            hot: vec![order[0].clone(); HOT],
            order,
            strangers,
            claims,
            transports,
            sender: transport(server(&mut rng)),
            servers: registered,
            transport_mailbox,
            mailboxes,
            inboxes,
            transport_inbox: Mutex::new(transport_inbox),
            flow: None,
        }
    }

    /// The same ids, with a mailbox for each server, and the receiving ends for tasks to own.
    ///
    /// Whoever receives a message tells the [`Flow`].
    ///
    /// # Panics
    ///
    /// If there are to be no servers.
    #[must_use]
    pub fn with_owners(counts: Counts, seed: u64, capacity: usize) -> (Self, Arc<Flow>, Vec<ServerInbox>) {
        let mut world = Self::with_inboxes(counts, seed, 1);
        let flow = Arc::<Flow>::default();
        let inboxes: Vec<ServerInbox>;
        (world.mailboxes, inboxes) = (0..counts.servers).map(|_| mailbox(capacity)).unzip();
        world.inboxes.clear();
        world.flow = Some(Arc::clone(&flow));
        (world, flow, inboxes)
    }

    /// Returns the keys of the n-th thread.
    #[must_use]
    pub fn keys(&self, thread: usize) -> Keys<'_, ServerId, TransportId> {
        let strangers = self.strangers.get(thread * STRANGERS..).unwrap_or_default();
        let strangers = &strangers[..STRANGERS.min(strangers.len())];
        Keys { order: &self.order, hot: &self.hot, strangers, steps: &[] }
    }

    /// The mailbox of the n-th server.
    #[must_use]
    pub fn mailbox(&self, server: usize) -> &ServerMailbox<Message> {
        &self.mailboxes[server % self.mailboxes.len()]
    }

    /// The mailbox of all transports.
    #[must_use]
    pub fn transport_mailbox(&self) -> &TransportMailbox<Message> {
        &self.transport_mailbox
    }

    /// How many messages can be spread over all servers before some mailbox may be full.
    #[must_use]
    pub fn room(&self) -> usize {
        self.mailboxes.len() * self.mailboxes[0].max_capacity() / 2
    }

    /// Says that so many messages have been sent to servers.
    pub fn sent(&self, messages: usize) {
        if let Some(flow) = &self.flow {
            flow.sent.fetch_add(messages as u64, Ordering::Release);
        }
    }

    /// Empties the mailbox of the n-th server; one that somebody owns is left to its owner.
    pub fn drain(&self, server: usize) {
        if self.flow.is_some() {
            return;
        }
        empty(&self.inboxes[server % self.inboxes.len()]);
    }

    /// Empties all mailboxes, or waits until their owners have.
    pub fn drain_all(&self) {
        if let Some(flow) = &self.flow {
            flow.settle();
        }
        for server in 0..self.inboxes.len() {
            self.drain(server);
        }
        empty(&self.transport_inbox);
    }
}

fn empty<T>(inbox: &Mutex<Inbox<T>>) {
    let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
    while inbox.try_recv().is_ok() {}
}

/// An id of 36 bytes, as random as the generator.
fn server(rng: &mut fastrand::Rng) -> ServerId {
    let bits = rng.u128(..);
    let part = |shift: u32, digits: u32| (bits >> shift) & ((1 << (4 * digits)) - 1);
    let text =
        format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12));
    ServerId::new(text).expect("hexadecimal digits and dashes are an id")
}

#[cfg(test)]
mod tests {
    use registry_router::Mailbox;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_world() {
        let counts = Counts { servers: 100, strangers: 10, claims: 5, transports: 7 };
        let (one, two) = (World::new(counts, 1), World::new(counts, 1));
        assert_eq!((&one.servers, &one.order, &one.strangers), (&two.servers, &two.order, &two.strangers));
        assert_ne!(one.servers, World::new(counts, 2).servers);
        assert_eq!((one.claims.len(), one.transports.len()), (5, 7));
        assert_eq!(one.servers[0].as_bytes().len(), 36);
    }

    #[test]
    fn the_order_has_every_server_once() {
        let mut world = World::new(Counts { servers: 1_000, strangers: 0, claims: 0, transports: 0 }, 3);
        assert_ne!(world.servers, world.order);
        world.servers.sort();
        world.order.sort();
        assert_eq!(world.servers, world.order);
        world.servers.dedup();
        assert_eq!(world.servers.len(), 1_000);
    }

    #[test]
    fn a_world_with_owners_waits_for_them() {
        let counts = Counts { servers: 3, strangers: 0, claims: 0, transports: 0 };
        let (world, flow, mut inboxes) = World::with_owners(counts, 1, 4);
        assert_eq!((inboxes.len(), world.room()), (3, 6));
        let delivery = registry_router::Delivery { from: world.sender.clone(), message: 5 };
        assert!(world.mailbox(2).try_send(delivery).is_ok());
        world.sent(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(inboxes[2].blocking_recv().map(|delivery| delivery.message), Some(5));
                flow.received();
            });
            world.drain_all();
        });
        assert!(inboxes[2].is_empty(), "it came back when the message was taken");
    }
}
