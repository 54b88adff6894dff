//! What an idle connection's mailbox takes: the one of today, and those that other crates' queues would make.
//!
//! So many mailboxes are made at once, and the allocator is looked at before and after: bytes asked of it, and both ends
//! as they lie in their owners' hands. Then one message goes through each, and the allocator is looked at again, for some
//! queues allocate when they are used. And then every receiver waits for the next one, as that of an idle connection does:
//! its future, on the heap as that of a task is, has been polled once.
//!
//! The time is that of putting a message in and of taking it out again, in turns over a few mailboxes that fit into the
//! cache: all get one, then all are emptied. It is read in the program whose allocator counts, which adds some
//! nanoseconds to each allocation; where nothing is allocated for a message, that does not matter.

use std::task::{Context, Waker};
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::record::Idle;
use crate::spread::Spread;
use crate::world::{Counts, World};

use self::queues::{AsyncChannel, Crossfire, Flume, Item, Kanal, Queue, Tachyonix, TokioBoxed, TokioMpsc};

pub mod queues;

/// How many mailboxes are timed.
const TIMED: usize = 64;

/// How many times.
const ROUNDS: usize = 501;

/// What cargo has resolved, for the versions.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The names of all queues.
pub const QUEUES: [&str; 7] = ["tokio", "tokio-boxed", "flume", "async-channel", "kanal", "crossfire", "tachyonix"];

/// Measures one kind of queue. `live` is how many bytes are allocated at present.
///
/// # Errors
///
/// If there is no such queue, or it loses a message.
pub fn measure(queue: &str, capacity: usize, mailboxes: usize, live: &dyn Fn() -> usize) -> Result<Idle> {
    match queue {
        "tokio" => of::<TokioMpsc>(capacity, mailboxes, live),
        "tokio-boxed" => of::<TokioBoxed>(capacity, mailboxes, live),
        "flume" => of::<Flume>(capacity, mailboxes, live),
        "async-channel" => of::<AsyncChannel>(capacity, mailboxes, live),
        "kanal" => of::<Kanal>(capacity, mailboxes, live),
        "crossfire" => of::<Crossfire>(capacity, mailboxes, live),
        "tachyonix" => of::<Tachyonix>(capacity, mailboxes, live),
        _ => bail!("there is no queue {queue:?}; there are {}", QUEUES.join(", ")),
    }
}

fn of<Q: Queue>(capacity: usize, mailboxes: usize, live: &dyn Fn() -> usize) -> Result<Idle> {
    let world = World::new(Counts { servers: 1, strangers: 0, claims: 0, transports: 0 }, 1);
    let item = |message| Item { from: world.sender.clone(), message };
    let mut ends = Vec::with_capacity(mailboxes);
    let hands = size_of::<(Q::Sender, Q::Receiver)>() as f64;
    let before = live();
    ends.extend((0..mailboxes).map(|_| Q::open(capacity)));
    let per_mailbox = |now: usize| hands + now.saturating_sub(before) as f64 / mailboxes as f64;
    let empty_bytes = per_mailbox(live());
    for (sender, receiver) in &mut ends {
        ensure!(Q::put(sender, item(7)).is_ok(), "{} has no room for a message", Q::CRATE);
        ensure!(Q::take(receiver) == Some(item(7)), "{} lost a message", Q::CRATE);
    }
    let used_bytes = per_mailbox(live());
    let waiting_bytes = waiting::<Q>(&mut ends, &|| per_mailbox(live()))?;
    ends.truncate(TIMED);
    let times: Vec<f64> = (0..ROUNDS).map(|_| time::<Q>(&mut ends, item)).collect();
    Ok(Idle {
        mailbox: name::<Q>(),
        capacity,
        message_bytes: size_of::<Item>(),
        mailboxes,
        empty_bytes,
        used_bytes,
        waiting_bytes: Some(waiting_bytes),
        send_ns: Spread::of(&times).map(|spread| spread.median),
    })
}

/// Bytes per mailbox while its receiver waits, the future included.
fn waiting<Q: Queue>(ends: &mut [(Q::Sender, Q::Receiver)], per_mailbox: &dyn Fn() -> f64) -> Result<f64> {
    let mut futures = Vec::with_capacity(ends.len());
    let mut context = Context::from_waker(Waker::noop());
    for (_, receiver) in &mut *ends {
        let mut future = Box::pin(Q::wait(receiver));
        ensure!(future.as_mut().poll(&mut context).is_pending(), "{} made a message up", Q::CRATE);
        futures.push(future);
    }
    // The list of futures is no part of it.
    let list = size_of_val(&futures[..]) as f64 / futures.len() as f64;
    Ok(per_mailbox() - list)
}

/// Nanoseconds to put a message in and to take it out again.
fn time<Q: Queue>(ends: &mut [(Q::Sender, Q::Receiver)], item: impl Fn(u64) -> Item) -> f64 {
    let began = Instant::now();
    for (sender, _) in &mut *ends {
        // It was seen before that there is room.
        let _ = std::hint::black_box(Q::put(sender, item(7)));
    }
    for (_, receiver) in &mut *ends {
        std::hint::black_box(Q::take(receiver));
    }
    began.elapsed().as_nanos() as f64 / ends.len() as f64
}

fn name<Q: Queue>() -> String {
    let version = version(LOCK, Q::CRATE).unwrap_or("of an unknown version");
    let variant = if Q::VARIANT.is_empty() { String::new() } else { format!(", {}", Q::VARIANT) };
    format!("{} {version}{variant}", Q::CRATE)
}

/// The version of a crate in a lock file.
fn version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = lock.lines();
    lines.find(|line| line.strip_prefix("name = ").is_some_and(|quoted| quoted.trim_matches('"') == name))?;
    Some(lines.next()?.strip_prefix("version = ")?.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_that_are_linked() {
        let lock =
            "[[package]]\nname = \"a-b\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"a\"\nversion = \"4.5.6\"\n";
        assert_eq!(
            (version(lock, "a"), version(lock, "a-b"), version(lock, "b")),
            (Some("4.5.6"), Some("1.2.3"), None)
        );
        for queue in QUEUES {
            let name = measure(queue, 1, 1, &|| 0).unwrap().mailbox;
            assert!(name.starts_with(queue.trim_end_matches("-boxed")) && !name.contains("unknown"), "{name}");
        }
    }

    #[test]
    fn all_queues_keep_the_promises_of_a_mailbox() {
        fn keeps<Q: Queue>() {
            let world = World::new(Counts { servers: 1, strangers: 0, claims: 0, transports: 0 }, 1);
            let item = |message| Item { from: world.sender.clone(), message };
            for capacity in [1, 2, 16] {
                let (sender, mut receiver) = Q::open(capacity);
                for n in 0..capacity as u64 {
                    assert_eq!(Q::put(&sender, item(n)), Ok(()), "{}", Q::CRATE);
                }
                assert_eq!(Q::put(&sender, item(99)), Err(item(99)), "{} has no more room than it says", Q::CRATE);
                for n in 0..capacity as u64 {
                    assert_eq!(Q::take(&mut receiver), Some(item(n)), "{} keeps the order", Q::CRATE);
                }
                assert_eq!((Q::take(&mut receiver), Q::is_closed(&sender)), (None, false), "{}", Q::CRATE);
                drop(receiver);
                assert!(Q::is_closed(&sender), "{}", Q::CRATE);
                assert_eq!(Q::put(&sender, item(7)), Err(item(7)), "{} is closed", Q::CRATE);
            }
        }
        keeps::<TokioMpsc>();
        keeps::<TokioBoxed>();
        keeps::<Flume>();
        keeps::<AsyncChannel>();
        keeps::<Kanal>();
        keeps::<Crossfire>();
        keeps::<Tachyonix>();
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        let error = measure("pipe", 1, 1, &|| 0).unwrap_err().to_string();
        assert!(error.contains("\"pipe\"") && error.contains("flume"), "{error}");
    }
}
