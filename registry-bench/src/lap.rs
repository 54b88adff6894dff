//! What a thread repeats while it is timed: one operation over keys that were drawn before.

use std::hint::black_box;
use std::time::{Duration, Instant};

use registry_router::ServerId;

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
    /// Does so many operations, beginning at a place in the order of keys, and says how long they took and how many
    /// went wrong.
    fn run(&mut self, start: usize, operations: usize) -> (Duration, usize);
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
    fn run(&mut self, start: usize, operations: usize) -> (Duration, usize) {
        let (session, world) = (&self.session, self.world);
        session.prepare();
        let (mailbox, sender) = (world.mailbox(0), &world.sender);
        match self.act {
            Act::Lookup | Act::Hot => {
                let keys = if self.act == Act::Hot { &self.hot } else { &world.order };
                let mut found = 0;
                let mut same = 0;
                let took = time(keys, start, operations, |id| {
                    let read = session.lookup(id, mailbox);
                    found += usize::from(read.is_some());
                    same += usize::from(read == Some(true));
                });
                black_box(same);
                (took, operations - found)
            }
            Act::Miss => {
                let mut found = 0;
                let took = time(self.strangers, start, operations, |id| {
                    found += usize::from(session.lookup(id, mailbox).is_some());
                });
                (took, found)
            }
            Act::Route => {
                let mut failed = 0;
                let took = time(&world.order, start, operations, |id| {
                    failed += usize::from(!session.route(id, sender, 1));
                });
                world.sent(operations - failed);
                (took, failed)
            }
            Act::Register => {
                let mut failed = 0;
                let took = time(self.strangers, start, operations, |id| match session.register(id, mailbox) {
                    Some(lease) => session.release(id, lease),
                    None => failed += 1,
                });
                (took, failed)
            }
        }
    }
}

/// Times an operation on so many keys in a row, beginning again at the end of the row.
#[inline]
fn time<K>(keys: &[K], start: usize, operations: usize, mut operation: impl FnMut(&K)) -> Duration {
    let mut place = start % keys.len();
    let mut left = operations;
    let began = Instant::now();
    while left > 0 {
        let upto = (place + left).min(keys.len());
        for key in &keys[place..upto] {
            operation(black_box(key));
        }
        left -= upto - place;
        place = 0;
    }
    began.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_in_a_row_and_around_the_end() {
        let mut seen = Vec::new();
        time(&[0, 1, 2], 2, 5, |&key: &i32| seen.push(key));
        assert_eq!(seen, [2, 0, 1, 2, 0]);
    }
}
