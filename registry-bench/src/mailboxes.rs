//! Memory and cost of an idle connection's mailbox, for the two families of mailboxes that come with the registry.
//!
//! A tokio channel allocates room for 32 messages when it is made; a flume channel takes a twelfth of that until it is
//! used. Of the other bounded queues that were measured, async-channel, crossfire and tachyonix allocate their whole
//! capacity when they are made, and kanal takes a lock to tell whether it is closed.
//!
//! Many mailboxes are made at once, and the allocator is read before and after: the bytes asked of it, and the size of
//! both ends. It is read again after one message went through each, and once more while every receiver waits for a
//! message; the future of the receiver is boxed, as in a task, and has been polled once.
//!
//! The time is that of sending a message and of receiving it, over a few mailboxes that fit into the cache: all are
//! filled, then all are emptied. The counting allocator adds some nanoseconds to each allocation, which matters only
//! where a message is allocated.

use std::task::{Context, Waker};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use registry_router::{
    FlumeInbox, FlumeMailbox, Inbox, Mailbox, ToServer, TokioMailbox, try_flume_mailbox, try_mailbox,
};

use crate::fixture::{Counts, Fixture, Message};
use crate::record::Idle;
use crate::spread::Spread;

/// The number of mailboxes that are timed.
const TIMED: usize = 64;

/// The number of rounds that are timed.
const ROUNDS: usize = 501;

/// The names of the families.
pub const FAMILIES: [&str; 2] = ["tokio", "flume"];

type Item = ToServer<Message>;

/// A family of mailboxes and their receiving ends.
trait Family {
    const NAME: &'static str;
    type Mailbox: Mailbox<Item>;
    type Inbox;

    fn open(capacity: usize) -> Result<(Self::Mailbox, Self::Inbox)>;

    /// Receives a message if there is one.
    fn try_recv(inbox: &mut Self::Inbox) -> Option<Item>;

    /// Waits for a message.
    fn recv(inbox: &mut Self::Inbox) -> impl Future<Output = Option<Item>>;
}

struct Tokio;

impl Family for Tokio {
    const NAME: &'static str = "tokio";
    type Mailbox = TokioMailbox<Item>;
    type Inbox = Inbox<Item>;

    fn open(capacity: usize) -> Result<(Self::Mailbox, Self::Inbox)> {
        Ok(try_mailbox(capacity)?)
    }

    fn try_recv(inbox: &mut Self::Inbox) -> Option<Item> {
        inbox.try_recv().ok()
    }

    async fn recv(inbox: &mut Self::Inbox) -> Option<Item> {
        inbox.recv().await
    }
}

struct Flume;

impl Family for Flume {
    const NAME: &'static str = "flume";
    type Mailbox = FlumeMailbox<Item>;
    type Inbox = FlumeInbox<Item>;

    fn open(capacity: usize) -> Result<(Self::Mailbox, Self::Inbox)> {
        Ok(try_flume_mailbox(capacity)?)
    }

    fn try_recv(inbox: &mut Self::Inbox) -> Option<Item> {
        inbox.try_recv().ok()
    }

    async fn recv(inbox: &mut Self::Inbox) -> Option<Item> {
        inbox.recv().await
    }
}

/// Measures one family. `live` returns the number of bytes allocated at present.
///
/// # Errors
///
/// If there is no such family, the capacity is not possible, or a message is lost.
pub fn measure(family: &str, capacity: usize, mailboxes: usize, live: &dyn Fn() -> usize) -> Result<Idle> {
    match family {
        Tokio::NAME => measure_family::<Tokio>(capacity, mailboxes, live),
        Flume::NAME => measure_family::<Flume>(capacity, mailboxes, live),
        _ => bail!("there is no mailbox {family:?}; there are {}", FAMILIES.join(", ")),
    }
}

fn measure_family<F: Family>(capacity: usize, mailboxes: usize, live: &dyn Fn() -> usize) -> Result<Idle> {
    let fixture = Fixture::new(Counts { servers: 1, absent_ids: 0, claims: 0, transports: 0 }, 1);
    let item = |message| Item { from: fixture.sender.clone(), message };
    let mut ends = Vec::with_capacity(mailboxes);
    let size_of_ends = size_of::<(F::Mailbox, F::Inbox)>() as f64;
    let before = live();
    for _ in 0..mailboxes {
        ends.push(F::open(capacity)?);
    }
    let per_mailbox = |now: usize| size_of_ends + now.saturating_sub(before) as f64 / mailboxes as f64;
    let empty_bytes = per_mailbox(live());
    for (mailbox, inbox) in &mut ends {
        ensure!(mailbox.try_send(item(7)).is_ok(), "a {} mailbox has no room for a message", F::NAME);
        ensure!(F::try_recv(inbox) == Some(item(7)), "a {} mailbox lost a message", F::NAME);
    }
    let used_bytes = per_mailbox(live());
    let waiting_bytes = waiting::<F>(&mut ends, &|| per_mailbox(live()))?;
    ends.truncate(TIMED);
    let times: Vec<f64> = (0..ROUNDS).map(|_| time::<F>(&mut ends, item)).collect();
    Ok(Idle {
        mailbox: F::NAME.to_owned(),
        capacity,
        message_bytes: size_of::<Item>(),
        mailboxes,
        empty_bytes,
        used_bytes,
        waiting_bytes: Some(waiting_bytes),
        send_ns: Spread::of(&times).map(|spread| spread.median),
    })
}

/// Returns bytes per mailbox while its receiver waits, its future included.
fn waiting<F: Family>(ends: &mut [(F::Mailbox, F::Inbox)], per_mailbox: &dyn Fn() -> f64) -> Result<f64> {
    let mut futures = Vec::with_capacity(ends.len());
    let mut context = Context::from_waker(Waker::noop());
    for (_, inbox) in &mut *ends {
        let mut future = Box::pin(F::recv(inbox));
        ensure!(future.as_mut().poll(&mut context).is_pending(), "an empty {} mailbox has a message", F::NAME);
        futures.push(future);
    }
    // Without the list of futures.
    let list = size_of_val(&futures[..]) as f64 / futures.len() as f64;
    Ok(per_mailbox() - list)
}

/// Returns nanoseconds to send a message and to receive it.
fn time<F: Family>(ends: &mut [(F::Mailbox, F::Inbox)], item: impl Fn(u64) -> Item) -> f64 {
    let began = Instant::now();
    for (mailbox, _) in &mut *ends {
        // There is room, as checked before.
        let _ = std::hint::black_box(mailbox.try_send(item(7)));
    }
    for (_, inbox) in &mut *ends {
        std::hint::black_box(F::try_recv(inbox));
    }
    began.elapsed().as_nanos() as f64 / ends.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_measured() {
        for family in FAMILIES {
            let idle = measure(family, 1, 100, &|| 0).unwrap();
            assert_eq!((idle.mailbox.as_str(), idle.capacity, idle.mailboxes), (family, 1, 100));
            assert!(idle.empty_bytes > 0.0 && idle.send_ns.is_some_and(|ns| ns > 0.0), "{idle:?}");
        }
        assert!(measure("tokio", 0, 1, &|| 0).is_err());
    }

    #[test]
    fn every_family_is_bounded_and_ordered() {
        fn check<F: Family>() {
            let fixture = Fixture::new(Counts { servers: 1, absent_ids: 0, claims: 0, transports: 0 }, 1);
            let item = |message| Item { from: fixture.sender.clone(), message };
            for capacity in [1, 2, 16] {
                let (mailbox, mut inbox) = F::open(capacity).unwrap();
                (0..capacity as u64).for_each(|n| assert_eq!(mailbox.try_send(item(n)), Ok(()), "{}", F::NAME));
                let full = mailbox.try_send(item(99)).unwrap_err();
                assert_eq!(full.into_inner(), item(99), "{}", F::NAME);
                (0..capacity as u64).for_each(|n| assert_eq!(F::try_recv(&mut inbox), Some(item(n)), "{}", F::NAME));
                assert_eq!((F::try_recv(&mut inbox), mailbox.is_closed()), (None, false), "{}", F::NAME);
                drop(inbox);
                assert!(mailbox.is_closed() && mailbox.try_send(item(7)).is_err(), "{}", F::NAME);
            }
        }
        check::<Tokio>();
        check::<Flume>();
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = measure("pipe", 1, 1, &|| 0).unwrap_err().to_string();
        assert!(error.contains("\"pipe\"") && error.contains("flume"), "{error}");
    }
}
