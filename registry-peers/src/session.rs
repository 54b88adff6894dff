//! Ours and the bare maps, as peers among the others: a subject of the benches, with a mailbox for each server.

use registry_bench::ratio::Lap;
use registry_bench::subject::{Session, Subject};
use registry_bench::world::World;
use registry_router::{ServerId, TransportId};

use crate::lap::{Access, Laps, Outcome, Peer};
use crate::names::{Names, Size};
use crate::operation::Operation;

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
    fn lap(&self, operation: Operation, thread: usize) -> Box<dyn Lap + '_> {
        let access = OverSession { session: self.subject.session(), world: &self.world };
        Laps::boxed(operation, access, &self.names, thread)
    }

    fn settle(&self) {
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

struct OverSession<'a, Se> {
    session: Se,
    world: &'a World,
}

impl<Se: Session> Access for OverSession<'_, Se> {
    type Server = ServerId;
    type Transport = TransportId;

    #[inline]
    fn find(&self, server: &ServerId) -> bool {
        std::hint::black_box(self.session.lookup(server, self.world.mailbox(0))).is_some()
    }

    #[inline]
    fn route(&self, server: &ServerId) -> Outcome {
        self.session.route(server, &self.world.sender, 1).map_err(|error| error.to_string())
    }

    #[inline]
    fn register(&self, server: &ServerId) -> Outcome {
        let lease = self.session.register(server, self.world.mailbox(0)).map_err(|reason| reason.to_string())?;
        self.session.release(server, lease);
        Ok(())
    }

    #[inline]
    fn bind(&self, transport: &TransportId, server: &ServerId) -> Outcome {
        self.session.bind(transport, server).map_err(|error| error.to_string())
    }
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
        let (_, failures) = ours.lap(Operation::Route, 0).run(0, 100);
        assert_eq!((failures.count(), (0..50).map(mailbox).sum::<usize>()), (0, 100));
        ours.settle();
        assert_eq!((0..50).map(mailbox).sum::<usize>(), 0);
    }
}
