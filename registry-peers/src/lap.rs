//! The loops that are timed, over whatever a peer is.

use std::hint::black_box;
use std::time::Duration;

use registry_bench::failures::Failures;
use registry_bench::lap::time;
use registry_bench::ratio::Lap;

use crate::names::{Names, Step};
use crate::operation::Operation;

/// A peer that is set up: everybody is registered, and nobody reads the mailboxes.
pub trait Peer: Sync {
    /// What the n-th thread repeats. Made by that thread, before the clock is read.
    fn lap(&self, operation: Operation, thread: usize) -> Box<dyn Lap + '_>;

    /// Has all mailboxes emptied, and returns when they are.
    fn settle(&self);

    /// How many messages can be spread over all servers before some mailbox may be full.
    fn room(&self) -> usize;
}

/// What came of an operation: nothing, or why it did not do what it should.
pub type Outcome = Result<(), String>;

/// One thread's access to a peer, by names in the form in which the peer takes them.
pub trait Access {
    /// The name of a server.
    type Server;
    /// The name of a transport.
    type Transport;

    /// Reads what is held under a name, and says whether there was something.
    fn find(&self, server: &Self::Server) -> bool;

    /// Puts a message into a server's mailbox.
    ///
    /// # Errors
    ///
    /// Why that was not possible.
    fn route(&self, server: &Self::Server) -> Outcome;

    /// Registers a server and ends that.
    ///
    /// # Errors
    ///
    /// Why one of the two was not possible.
    fn register(&self, server: &Self::Server) -> Outcome;

    /// Binds a transport to a server.
    ///
    /// # Errors
    ///
    /// Why that was not possible.
    fn bind(&self, transport: &Self::Transport, server: &Self::Server) -> Outcome;
}

/// The loop over an operation, for one type of peer.
#[derive(Debug)]
pub struct Laps<'a, A: Access> {
    operation: Operation,
    access: A,
    names: &'a Names<A::Server, A::Transport>,
    thread: usize,
}

impl<'a, A: Access> Laps<'a, A> {
    /// For the n-th thread, as every peer gives it.
    pub fn boxed(
        operation: Operation,
        access: A,
        names: &'a Names<A::Server, A::Transport>,
        thread: usize,
    ) -> Box<dyn Lap + 'a>
    where
        A: 'a,
    {
        Box::new(Self { operation, access, names, thread })
    }
}

impl<A: Access> Lap for Laps<'_, A> {
    fn run(&mut self, start: usize, operations: usize) -> (Duration, Failures) {
        let (access, names) = (&self.access, self.names);
        let strangers = &names.strangers[self.thread];
        // Threads begin in different places of the one order.
        let start_in_order = start + self.thread * names.order.len() / names.steps.len();
        match self.operation {
            Operation::Lookup => time(&names.order, start_in_order, operations, |id| found(access, id)),
            Operation::Miss => time(strangers, start, operations, |id| missed(access, id)),
            Operation::Hot => time(&names.hot, start, operations, |id| found(access, id)),
            Operation::Route => time(&names.order, start_in_order, operations, |id| access.route(id)),
            Operation::Register => time(strangers, start, operations, |id| access.register(id)),
            Operation::Mixed => time(&names.steps[self.thread], start, operations, |step| match step {
                Step::Lookup(id) => found(access, id),
                Step::Route(id) => access.route(id),
                Step::Register(id) => access.register(id),
                Step::Bind(id, to) => access.bind(id, to),
            }),
        }
    }
}

/// Finds a name that is there.
#[inline]
pub fn found<A: Access>(access: &A, server: &A::Server) -> Outcome {
    if black_box(access.find(server)) { Ok(()) } else { Err("it was not found".to_owned()) }
}

/// Does not find a name that is not there.
#[inline]
fn missed<A: Access>(access: &A, server: &A::Server) -> Outcome {
    if black_box(access.find(server)) { Err("it was found".to_owned()) } else { Ok(()) }
}
