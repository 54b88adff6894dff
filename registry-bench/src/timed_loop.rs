//! The loops that are timed: one operation, repeated over keys that were drawn before.

use std::fmt::{self, Display};
use std::hint::black_box;
use std::time::{Duration, Instant};

use registry_router::{ServerId, TransportId};

use crate::failures::Failures;
use crate::fixture::Fixture;
use crate::subject::Session;

/// The number of ids that each thread registers in turn, and looks up without finding them.
pub const ABSENT_IDS: usize = 8_192;

/// An operation that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A lookup of a registered id, all in turn in random order, which reads the entry.
    Lookup,
    /// A lookup of an id that is not registered.
    Miss,
    /// A lookup of one and the same id on all threads.
    Hot,
    /// A message to a server.
    Route,
    /// A registration and its end.
    Register,
    /// 40 % lookups, 30 % messages, 20 % registrations and their ends, 10 % bindings.
    Mixed,
}

impl Operation {
    /// All operations, in the order in which they are measured.
    pub const ALL: [Self; 6] = [Self::Lookup, Self::Miss, Self::Hot, Self::Route, Self::Register, Self::Mixed];

    /// Returns the name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Miss => "miss",
            Self::Hot => "hot",
            Self::Route => "route",
            Self::Register => "register",
            Self::Mixed => "mixed",
        }
    }

    /// Returns the operation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Returns whether it leaves messages in mailboxes.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::Route | Self::Mixed)
    }
}

impl Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The loop of one thread.
pub trait TimedLoop {
    /// Runs `operations` operations from the key at `start` on; returns the time and the failures.
    fn run(&mut self, start: usize, operations: usize) -> (Duration, Failures);
}

impl<F: FnMut(usize, usize) -> (Duration, Failures)> TimedLoop for F {
    fn run(&mut self, start: usize, operations: usize) -> (Duration, Failures) {
        self(start, operations)
    }
}

/// The outcome of an operation: nothing, or the reason of a failure.
pub type Outcome = Result<(), String>;

/// One thread's access to what is measured, by ids in the form that it takes.
pub trait Access {
    /// The id of a server.
    type Server;
    /// The id of a transport.
    type Transport;

    /// Called before a loop is timed.
    fn prepare(&self) {}

    /// Looks up a server and reads its entry: whether it is the expected one, `None` if there is none.
    fn find(&self, server: &Self::Server) -> Option<bool>;

    /// Puts a message into the mailbox of a server.
    ///
    /// # Errors
    ///
    /// The reason of a failure.
    fn route(&self, server: &Self::Server) -> Outcome;

    /// Registers a server and ends the registration.
    ///
    /// # Errors
    ///
    /// The reason of a failure.
    fn register(&self, server: &Self::Server) -> Outcome;

    /// Binds a transport to a server.
    ///
    /// # Errors
    ///
    /// The reason of a failure.
    fn bind(&self, transport: &Self::Transport, server: &Self::Server) -> Outcome;

    /// Called after a loop of messages, with the number of those that were sent.
    fn sent(&self, _messages: usize) {}
}

/// One operation of the mix.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<S, T> {
    /// Looks up a server.
    Lookup(S),
    /// Sends to a server.
    Route(S),
    /// Registers a server and ends the registration.
    Register(S),
    /// Binds a transport to a server.
    Bind(T, S),
}

/// The keys of one thread.
#[derive(Debug)]
pub struct Keys<'a, S, T> {
    /// All registered servers in random order.
    pub order: &'a [S],
    /// One registered server, many times.
    pub hot: &'a [S],
    /// Servers that only this thread registers.
    pub absent_ids: &'a [S],
    /// The mix.
    pub steps: &'a [Step<S, T>],
}

/// The loop over an operation, for one type of access.
#[derive(Debug)]
pub struct OperationLoop<'a, A: Access> {
    operation: Operation,
    access: A,
    keys: Keys<'a, A::Server, A::Transport>,
}

impl<'a, A: Access + 'a> OperationLoop<'a, A> {
    /// Returns the loop of one thread.
    pub fn boxed(operation: Operation, access: A, keys: Keys<'a, A::Server, A::Transport>) -> Box<dyn TimedLoop + 'a> {
        Box::new(Self { operation, access, keys })
    }
}

impl<A: Access> TimedLoop for OperationLoop<'_, A> {
    fn run(&mut self, start: usize, operations: usize) -> (Duration, Failures) {
        let (access, keys) = (&self.access, &self.keys);
        access.prepare();
        match self.operation {
            Operation::Lookup | Operation::Hot => {
                let ids = if self.operation == Operation::Hot { keys.hot } else { keys.order };
                let mut expected = 0;
                let timed = time(ids, start, operations, |id| {
                    expected += usize::from(access.find(id).ok_or(NOT_FOUND)?);
                    Ok::<_, &str>(())
                });
                black_box(expected);
                timed
            }
            Operation::Miss => time(keys.absent_ids, start, operations, |id| match access.find(id) {
                None => Ok(()),
                Some(_) => Err("it was found"),
            }),
            Operation::Route => {
                let timed = time(keys.order, start, operations, |id| access.route(id));
                access.sent(operations - timed.1.count());
                timed
            }
            Operation::Register => time(keys.absent_ids, start, operations, |id| access.register(id)),
            Operation::Mixed => time(keys.steps, start, operations, |step| match step {
                Step::Lookup(id) => found(access, id),
                Step::Route(id) => access.route(id),
                Step::Register(id) => access.register(id),
                Step::Bind(id, to) => access.bind(id, to),
            }),
        }
    }
}

const NOT_FOUND: &str = "it was not found";

/// Looks up a server that is registered.
///
/// # Errors
///
/// If it was not found.
#[inline]
pub fn found<A: Access>(access: &A, server: &A::Server) -> Outcome {
    black_box(access.find(server)).map(drop).ok_or_else(|| NOT_FOUND.to_owned())
}

/// A session as an access: every registration uses the first mailbox of the fixture.
#[derive(Debug)]
pub struct SessionAccess<'a, Se> {
    /// The session.
    pub session: Se,
    /// The fixture that the subject is filled with.
    pub fixture: &'a Fixture,
}

impl<Se: Session> Access for SessionAccess<'_, Se> {
    type Server = ServerId;
    type Transport = TransportId;

    fn prepare(&self) {
        self.session.prepare();
    }

    #[inline]
    fn find(&self, server: &ServerId) -> Option<bool> {
        self.session.lookup(server, self.fixture.mailbox(0))
    }

    #[inline]
    fn route(&self, server: &ServerId) -> Outcome {
        self.session.route(server, &self.fixture.sender, 1).map_err(|error| error.to_string())
    }

    #[inline]
    fn register(&self, server: &ServerId) -> Outcome {
        let lease = self.session.register(server, self.fixture.mailbox(0)).map_err(|reason| reason.to_string())?;
        self.session.release(server, lease);
        Ok(())
    }

    #[inline]
    fn bind(&self, transport: &TransportId, server: &ServerId) -> Outcome {
        self.session.bind(transport, server).map_err(|error| error.to_string())
    }

    fn sent(&self, messages: usize) {
        self.fixture.sent(messages);
    }
}

/// Times `operations` calls over the keys from `start` on, beginning again at their end, and counts the failures.
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
        let end = (place + left).min(keys.len());
        for (number, key) in keys[place..end].iter().enumerate() {
            if let Err(reason) = operation(black_box(key)) {
                failures.note(place + number, reason);
            }
        }
        left -= end - place;
        place = 0;
    }
    (began.elapsed(), failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visited_in_order_and_wrap_around() {
        let mut seen = Vec::new();
        let (_, failures) = time(&[0, 1, 2], 2, 5, |&key: &i32| {
            seen.push(key);
            if key == 1 { Err("it is one") } else { Ok(()) }
        });
        assert_eq!(seen, [2, 0, 1, 2, 0]);
        assert_eq!(failures.to_string(), "1 operations did not do what they should; the first, id 1: it is one");
    }

    #[test]
    fn operations_are_found_by_name() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_name(operation.name()), Some(operation));
        }
        assert_eq!(Operation::from_name("nope"), None);
    }
}
