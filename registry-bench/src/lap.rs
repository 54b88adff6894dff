//! What a thread repeats while it is timed: one operation over keys that were drawn before.

use std::fmt::Display;
use std::hint::black_box;
use std::time::{Duration, Instant};

use registry_router::ServerId;

use crate::failures::Failures;
use crate::subject::Session;
use crate::world::World;

/// How many ids each thread registers in turn and looks up in vain.
pub const STRANGERS: usize = 8_192;

/// How many copies of the hot id a thread goes through, so that keys are read from memory as those of other operations.
const HOT: usize = 1_024;

/// An operation that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Finding a server.
    Lookup,
    /// Finding always the same one.
    Hot,
    /// Not finding one.
    Miss,
    /// Sending a message to a server.
    Route,
    /// Registering a server, and ending that.
    Register,
}

impl Act {
    /// What it is called in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lookup | Self::Hot => "lookup",
            Self::Miss => "miss",
            Self::Route => "route",
            Self::Register => "register",
        }
    }
}

/// What one thread repeats.
pub trait Lap {
    /// Does so many operations, beginning at a place in the order of keys, and says how long they took and which went
    /// wrong.
    fn run(&mut self, start: usize, operations: usize) -> (Duration, Failures);
}

/// The loop over an operation, for one type of subject.
pub(crate) struct Laps<'a, Se> {
    act: Act,
    session: Se,
    world: &'a World,
    strangers: &'a [ServerId],
    /// The hot id, over and over, where it is wanted.
    hot: Vec<ServerId>,
}

impl<'a, Se: Session> Laps<'a, Se> {
    pub(crate) fn new(act: Act, session: Se, world: &'a World, thread: usize) -> Self {
        let strangers = world.strangers.get(thread * STRANGERS..).unwrap_or_default();
        let strangers = &strangers[..STRANGERS.min(strangers.len())];
        let hot = if act == Act::Hot { vec![world.order[0].clone(); HOT] } else { Vec::new() };
        Self { act, session, world, strangers, hot }
    }
}

impl<Se: Session> Lap for Laps<'_, Se> {
    fn run(&mut self, start: usize, operations: usize) -> (Duration, Failures) {
        let (session, world) = (&self.session, self.world);
        session.prepare();
        let (mailbox, sender) = (world.mailbox(0), &world.sender);
        match self.act {
            Act::Lookup | Act::Hot => {
                let keys = if self.act == Act::Hot { &self.hot } else { &world.order };
                let mut same = 0;
                let timed = time(keys, start, operations, |id| {
                    same += usize::from(session.lookup(id, mailbox).ok_or("it was not found")?);
                    Ok::<_, &str>(())
                });
                black_box(same);
                timed
            }
            Act::Miss => time(self.strangers, start, operations, |id| match session.lookup(id, mailbox) {
                None => Ok(()),
                Some(_) => Err("it was found"),
            }),
            Act::Route => {
                let timed = time(&world.order, start, operations, |id| session.route(id, sender, 1));
                world.sent(operations - timed.1.count());
                timed
            }
            Act::Register => time(self.strangers, start, operations, |id| {
                session.register(id, mailbox).map(|lease| session.release(id, lease))
            }),
        }
    }
}

/// Times an operation on so many keys in a row, beginning again at the end of the row, and counts where it went wrong.
#[inline]
pub fn time<K, E: Display>(
    keys: &[K],
    start: usize,
    operations: usize,
    mut operation: impl FnMut(&K) -> Result<(), E>,
) -> (Duration, Failures) {
    let mut place = start % keys.len();
    let mut left = operations;
    let mut failures = Failures::default();
    let began = Instant::now();
    while left > 0 {
        let upto = (place + left).min(keys.len());
        for (number, key) in keys[place..upto].iter().enumerate() {
            if let Err(reason) = operation(black_box(key)) {
                failures.note(place + number, reason);
            }
        }
        left -= upto - place;
        place = 0;
    }
    (began.elapsed(), failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_in_a_row_and_around_the_end() {
        let mut seen = Vec::new();
        let (_, failures) = time(&[0, 1, 2], 2, 5, |&key: &i32| {
            seen.push(key);
            if key == 1 { Err("it is one") } else { Ok(()) }
        });
        assert_eq!(seen, [2, 0, 1, 2, 0]);
        assert_eq!(failures.to_string(), "1 operations did not do what they should; the first, id 1: it is one");
    }
}
