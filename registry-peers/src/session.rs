//! The registry and the bare maps as peers: a subject of the benches, with a mailbox for each server.

use registry_bench::fixture::Fixture;
use registry_bench::subject::{Session, Subject};
use registry_bench::timed_loop::{Operation, OperationLoop, SessionAccess, TimedLoop};
use registry_router::{ServerId, TransportId};

use crate::names::{Names, Size};
use crate::peer::Peer;

/// A registry or a bare map with all servers and transports.
#[derive(Debug)]
pub struct OverSubject<S> {
    subject: S,
    fixture: Fixture,
    names: Names<ServerId, TransportId>,
}

impl<S: Subject> OverSubject<S> {
    /// Fills a subject.
    ///
    /// # Panics
    ///
    /// If the number of entries is zero.
    #[must_use]
    pub fn new(subject: S, size: Size, seed: u64) -> Self {
        // A mailbox for each server, as actors and processes have.
        let fixture = size.fixture(seed, size.entries);
        let names = Names::of(&fixture, size.threads, seed).map(server, transport);
        subject.session().fill(&fixture);
        Self { subject, fixture, names }
    }
}

impl<S: Subject> Peer for OverSubject<S> {
    fn timed_loop(&self, operation: Operation, thread: usize) -> Box<dyn TimedLoop + '_> {
        let access = SessionAccess { session: self.subject.session(), fixture: &self.fixture };
        OperationLoop::boxed(operation, access, self.names.keys(thread))
    }

    fn drain(&self) {
        self.fixture.drain_all();
    }

    fn room(&self) -> usize {
        self.fixture.room()
    }
}

fn server(text: &str) -> ServerId {
    ServerId::new(text).expect("it was an id before")
}

fn transport(text: &str) -> TransportId {
    TransportId::new(text).expect("it was an id before")
}

#[cfg(test)]
mod tests {
    use registry_bench::bare::OverBare;
    use registry_bench::bare::reference::BareReference;
    use registry_bench::registry::{Layout, OverRegistry};
    use registry_router::backends::Papaya;

    use super::*;
    use crate::peers::tests::check_operations;

    const SIZE: Size = Size { entries: 50, threads: 2 };
    const LAYOUT: Layout = Layout { shards: 4, servers: 50, transports: 5 };

    #[test]
    fn every_operation_succeeds_on_the_registry_and_on_a_bare_map() {
        let ours = OverSubject::new(OverRegistry::<Papaya, _>::new(LAYOUT).unwrap(), SIZE, 1);
        check_operations(&ours);
        let bare = OverSubject::new(OverBare::<BareReference>::new(LAYOUT), SIZE, 1);
        check_operations(&bare);
    }

    #[test]
    fn messages_stay_in_mailboxes_until_they_are_drained() {
        let ours = OverSubject::new(OverRegistry::<Papaya, _>::new(LAYOUT).unwrap(), SIZE, 1);
        let mailbox = |n| ours.fixture.mailbox(n).max_capacity() - ours.fixture.mailbox(n).capacity();
        let (_, failures) = ours.timed_loop(Operation::Route, 0).run(0, 100);
        assert_eq!((failures.count(), (0..50).map(mailbox).sum::<usize>()), (0, 100));
        ours.drain();
        assert_eq!((0..50).map(mailbox).sum::<usize>(), 0);
    }
}
