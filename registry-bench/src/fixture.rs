//! The ids and mailboxes of a run, made before anything is timed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::timed_loop::{ABSENT_IDS, Keys};
use registry_router::{Inbox, ServerId, ServerMailbox, TransportId, TransportMailbox, mailbox};

/// The messages of all benches.
pub type Message = u64;

/// The receiving end of a server's mailbox.
pub type ServerInbox = Inbox<registry_router::ToServer<Message>>;

/// The greatest number of distinct mailboxes; more servers share them.
///
/// A tokio channel takes some 2 KiB even when it is empty, which a million servers do not leave room for.
const MOST_INBOXES: usize = 1_024;

/// The capacity of a mailbox.
const INBOX_CAPACITY: usize = 256;

/// The number of copies of the hot id.
const HOT: usize = 1_024;

/// The capacity of the mailbox that all transports share.
pub const TRANSPORT_INBOX_CAPACITY: usize = 16_384;

/// The ids and mailboxes of a run, shared by everything that is compared in it.
#[derive(Debug)]
pub struct Fixture {
    /// Servers that are registered beforehand.
    pub servers: Vec<ServerId>,
    /// The same servers in random order, so that no timed loop draws keys.
    pub order: Vec<ServerId>,
    /// Copies of the first of the random order, read from memory as other keys are.
    pub hot: Vec<ServerId>,
    /// Servers that are never registered.
    pub absent_ids: Vec<ServerId>,
    /// Servers that are registered during a run.
    pub claims: Vec<ServerId>,
    /// Transports that are registered beforehand.
    pub transports: Vec<TransportId>,
    /// The sender of all messages.
    pub sender: TransportId,
    transport_mailbox: TransportMailbox<Message>,
    mailboxes: Vec<ServerMailbox<Message>>,
    inboxes: Vec<Mutex<ServerInbox>>,
    transport_inbox: Mutex<Inbox<registry_router::ToTransport<Message>>>,
    /// The messages on their way, if live tasks receive them.
    flow: Option<Arc<Flow>>,
}

/// Counts the messages to live tasks.
#[derive(Debug, Default)]
pub struct Flow {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Flow {
    /// Records that a message has been received.
    pub fn received(&self) {
        self.received.fetch_add(1, Ordering::Release);
    }

    /// Waits until all messages have been received.
    fn settle(&self) {
        while self.received.load(Ordering::Acquire) < self.sent.load(Ordering::Acquire) {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

/// The numbers of ids.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Servers that are registered beforehand.
    pub servers: usize,
    /// Servers that are never registered.
    pub absent_ids: usize,
    /// Servers that are registered during a run.
    pub claims: usize,
    /// Transports that are registered beforehand.
    pub transports: usize,
}

impl Fixture {
    /// Makes ids in the form of UUIDs, drawn from the seed, and mailboxes.
    ///
    /// # Panics
    ///
    /// If the number of servers is zero.
    #[must_use]
    pub fn new(counts: Counts, seed: u64) -> Self {
        Self::with_inboxes(counts, seed, MOST_INBOXES)
    }

    /// Makes the same ids, and at most `most` distinct mailboxes.
    ///
    /// # Panics
    ///
    /// If the number of servers or of mailboxes is zero.
    #[must_use]
    pub fn with_inboxes(counts: Counts, seed: u64, most: usize) -> Self {
        assert!(most > 0, "servers need a mailbox");
        assert!(counts.servers > 0, "a run needs at least one server");
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut servers = |n: usize| -> Vec<ServerId> { (0..n).map(|_| server(&mut rng)).collect() };
        let (registered, absent_ids, claims) =
            (servers(counts.servers), servers(counts.absent_ids), servers(counts.claims));
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
            absent_ids,
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

    /// Makes the same ids, with a mailbox for each server, and returns the receiving ends for tasks to own.
    ///
    /// A receiver must call [`Flow::received`] for each message.
    ///
    /// # Panics
    ///
    /// If the number of servers is zero.
    #[must_use]
    pub fn with_owners(counts: Counts, seed: u64, capacity: usize) -> (Self, Arc<Flow>, Vec<ServerInbox>) {
        let mut fixture = Self::with_inboxes(counts, seed, 1);
        let flow = Arc::<Flow>::default();
        let inboxes: Vec<ServerInbox>;
        (fixture.mailboxes, inboxes) = (0..counts.servers).map(|_| mailbox(capacity)).unzip();
        fixture.inboxes.clear();
        fixture.flow = Some(Arc::clone(&flow));
        (fixture, flow, inboxes)
    }

    /// Returns the keys of the n-th thread.
    #[must_use]
    pub fn keys(&self, thread: usize) -> Keys<'_, ServerId, TransportId> {
        let absent_ids = self.absent_ids.get(thread * ABSENT_IDS..).unwrap_or_default();
        let absent_ids = &absent_ids[..ABSENT_IDS.min(absent_ids.len())];
        Keys { order: &self.order, hot: &self.hot, absent_ids, steps: &[] }
    }

    /// Returns the mailbox of the n-th server.
    #[must_use]
    pub fn mailbox(&self, server: usize) -> &ServerMailbox<Message> {
        &self.mailboxes[server % self.mailboxes.len()]
    }

    /// Returns the mailbox of all transports.
    #[must_use]
    pub fn transport_mailbox(&self) -> &TransportMailbox<Message> {
        &self.transport_mailbox
    }

    /// Returns how many messages can be spread over all servers before a mailbox may be full.
    #[must_use]
    pub fn room(&self) -> usize {
        self.mailboxes.len() * self.mailboxes[0].max_capacity() / 2
    }

    /// Records that messages have been sent to servers.
    pub fn sent(&self, messages: usize) {
        if let Some(flow) = &self.flow {
            flow.sent.fetch_add(messages as u64, Ordering::Release);
        }
    }

    /// Empties the mailbox of the n-th server, unless a live task owns it.
    pub fn drain(&self, server: usize) {
        if self.flow.is_some() {
            return;
        }
        empty(&self.inboxes[server % self.inboxes.len()]);
    }

    /// Empties all mailboxes, or waits until their owners have emptied them.
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

/// Draws an id of 36 bytes.
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
    fn the_same_seed_makes_the_same_fixture() {
        let counts = Counts { servers: 100, absent_ids: 10, claims: 5, transports: 7 };
        let (one, two) = (Fixture::new(counts, 1), Fixture::new(counts, 1));
        assert_eq!((&one.servers, &one.order, &one.absent_ids), (&two.servers, &two.order, &two.absent_ids));
        assert_ne!(one.servers, Fixture::new(counts, 2).servers);
        assert_eq!((one.claims.len(), one.transports.len()), (5, 7));
        assert_eq!(one.servers[0].as_bytes().len(), 36);
    }

    #[test]
    fn the_order_has_every_server_once() {
        let mut fixture = Fixture::new(Counts { servers: 1_000, absent_ids: 0, claims: 0, transports: 0 }, 3);
        assert_ne!(fixture.servers, fixture.order);
        fixture.servers.sort();
        fixture.order.sort();
        assert_eq!(fixture.servers, fixture.order);
        fixture.servers.dedup();
        assert_eq!(fixture.servers.len(), 1_000);
    }

    #[test]
    fn draining_waits_for_the_owners() {
        let counts = Counts { servers: 3, absent_ids: 0, claims: 0, transports: 0 };
        let (fixture, flow, mut inboxes) = Fixture::with_owners(counts, 1, 4);
        assert_eq!((inboxes.len(), fixture.room()), (3, 6));
        let delivery = registry_router::Delivery { from: fixture.sender.clone(), message: 5 };
        assert!(fixture.mailbox(2).try_send(delivery).is_ok());
        fixture.sent(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(inboxes[2].blocking_recv().map(|delivery| delivery.message), Some(5));
                flow.received();
            });
            fixture.drain_all();
        });
        assert!(inboxes[2].is_empty(), "draining returns when the message has been received");
    }
}
