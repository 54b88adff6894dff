//! The loops that are timed, over whatever a peer is.

use std::hint::black_box;
use std::time::{Duration, Instant};

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

/// One thread's access to a peer, by names in the form in which the peer takes them.
pub trait Access {
    /// The name of a server.
    type Server;
    /// The name of a transport.
    type Transport;

    /// Reads what is held under a name, and says whether there was something.
    fn find(&self, server: &Self::Server) -> bool;

    /// Puts a message into a server's mailbox, and says whether that went well.
    fn route(&self, server: &Self::Server) -> bool;

    /// Registers a server and ends that, and says whether both went well.
    fn register(&self, server: &Self::Server) -> bool;

    /// Binds a transport to a server, and says whether that went well.
    fn bind(&self, transport: &Self::Transport, server: &Self::Server) -> bool;
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
    fn run(&mut self, start: usize, operations: usize) -> (Duration, usize) {
        let (access, names) = (&self.access, self.names);
        let strangers = &names.strangers[self.thread];
        // Threads begin in different places of the one order.
        let start_in_order = start + self.thread * names.order.len() / names.steps.len();
        match self.operation {
            Operation::Lookup => time(&names.order, start_in_order, operations, |id| access.find(id)),
            Operation::Miss => time(strangers, start, operations, |id| !access.find(id)),
            Operation::Hot => time(&names.hot, start, operations, |id| access.find(id)),
            Operation::Route => time(&names.order, start_in_order, operations, |id| access.route(id)),
            Operation::Register => time(strangers, start, operations, |id| access.register(id)),
            Operation::Mixed => time(&names.steps[self.thread], start, operations, |step| match step {
                Step::Lookup(id) => access.find(id),
                Step::Route(id) => access.route(id),
                Step::Register(id) => access.register(id),
                Step::Bind(id, to) => access.bind(id, to),
            }),
        }
    }
}

/// Times an operation on so many things in a row, beginning again at the end of the row; also says how many times it
/// did not go well.
#[inline]
pub fn time<K>(row: &[K], start: usize, operations: usize, mut operation: impl FnMut(&K) -> bool) -> (Duration, usize) {
    let mut place = start % row.len();
    let mut left = operations;
    let mut failed = 0;
    let began = Instant::now();
    while left > 0 {
        let upto = (place + left).min(row.len());
        for thing in &row[place..upto] {
            failed += usize::from(!black_box(operation(black_box(thing))));
        }
        left -= upto - place;
        place = 0;
    }
    (began.elapsed(), failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_row_is_taken_around_the_end() {
        let mut seen = Vec::new();
        let (_, failed) = time(&[0, 1, 2], 2, 5, |&key: &i32| {
            seen.push(key);
            key != 2
        });
        assert_eq!((seen, failed), (vec![2, 0, 1, 2, 0], 2));
    }
}
