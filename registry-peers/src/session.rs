//! Ours and the bare maps, as peers among the others: a subject of the benches, with a mailbox for each server.

use registry_bench::subject::{Session, Subject};
use registry_bench::timed_loop::{Operation, OperationLoop, SessionAccess, TimedLoop};
use registry_bench::world::World;
use registry_router::{ServerId, TransportId};

use crate::names::{Names, Size};
use crate::peer::Peer;

/// A registry or a bare map that everybody is registered in.
#[derive(Debug)]
pub struct OverSubject<S> {
    subject: S,
    world: World,
    names: Names<ServerId, TransportId>,
}

impl<S: Subject> OverSubject<S> {
    /// Fills a subject.
    ///
    /// # Panics
    ///
    /// If there are to be no entries.
    #[must_use]
    pub fn new(subject: S, size: Size, seed: u64) -> Self {
        // A mailbox each, as actors and processes have.
        let world = size.world(seed, size.entries);
        let names = Names::of(&world, size.threads, seed).map(server, transport);
        subject.session().fill(&world);
        Self { subject, world, names }
    }
}

impl<S: Subject> Peer for OverSubject<S> {
    fn timed_loop(&self, operation: Operation, thread: usize) -> Box<dyn TimedLoop + '_> {
        let access = SessionAccess { session: self.subject.session(), world: &self.world };
        OperationLoop::boxed(operation, access, self.names.keys(thread))
    }

    fn drain(&self) {
        self.world.drain_all();
    }

    fn room(&self) -> usize {
        self.world.room()
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
    use crate::roster::tests::does_what_it_says;

    const SIZE: Size = Size { entries: 50, threads: 2 };
    const LAYOUT: Layout = Layout { shards: 4, servers: 50, transports: 5 };

    #[test]
    fn ours_and_a_bare_map_do_what_they_say() {
        let ours = OverSubject::new(OverRegistry::<Papaya, _>::new(LAYOUT).unwrap(), SIZE, 1);
        does_what_it_says(&ours);
        let bare = OverSubject::new(OverBare::<BareReference>::new(LAYOUT), SIZE, 1);
        does_what_it_says(&bare);
    }

    #[test]
    fn a_message_is_in_the_mailbox_until_it_is_emptied() {
        let ours = OverSubject::new(OverRegistry::<Papaya, _>::new(LAYOUT).unwrap(), SIZE, 1);
        let mailbox = |n| ours.world.mailbox(n).max_capacity() - ours.world.mailbox(n).capacity();
        let (_, failures) = ours.timed_loop(Operation::Route, 0).run(0, 100);
        assert_eq!((failures.count(), (0..50).map(mailbox).sum::<usize>()), (0, 100));
        ours.drain();
        assert_eq!((0..50).map(mailbox).sum::<usize>(), 0);
    }
}
