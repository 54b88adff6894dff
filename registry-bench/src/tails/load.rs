//! The operations of an open-loop run, drawn beforehand.

use std::hint::black_box;

use registry_router::RouteError;

use super::{ServerId, TransportId};
use crate::failures::Failures;
use crate::fixture::Fixture;
use crate::subject::Session;
use crate::tails::open_loop::Load;

/// The kinds of operations.
pub(super) const KINDS: [&str; 4] = ["lookup", "route", "register", "bind"];

/// The number of ids that each thread registers in turn.
pub(super) const CLAIMS: usize = 1_024;

/// The number of operations drawn, which are repeated.
const DRAWN: usize = 1 << 18;

/// The shares of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mix {
    /// 40 % lookups, 30 % messages, 20 % registrations, 10 % bindings.
    Mixed,
    /// Lookups.
    Lookups,
}

impl Mix {
    fn draw(self, rng: &mut fastrand::Rng) -> usize {
        let draw = rng.u8(..100);
        match self {
            Self::Lookups => 0,
            Self::Mixed => [40, 70, 90].iter().position(|&upto| draw < upto).unwrap_or(3),
        }
    }
}

/// The operations of one thread.
pub(super) struct Work<'a, Se: Session> {
    session: Se,
    fixture: &'a Fixture,
    /// The kind of each operation, and the index of its server and transport.
    drawn: Vec<(usize, usize)>,
    claims: &'a [ServerId],
    next_claim: usize,
    held: Option<(usize, Se::Lease)>,
    ready: Ready,
    /// Counted per thread, since a common counter would be shared state.
    sent: usize,
    failures: Failures,
}

/// The next operation, prepared.
struct Ready {
    kind: usize,
    key: usize,
    server: ServerId,
    transport: TransportId,
}

impl<'a, Se: Session> Work<'a, Se> {
    pub(super) fn new(session: Se, fixture: &'a Fixture, mix: Mix, thread: usize, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_add(thread as u64));
        let servers = fixture.servers.len();
        let drawn = (0..DRAWN).map(|_| (mix.draw(&mut rng), rng.usize(..servers))).collect();
        let ready =
            Ready { kind: 0, key: 0, server: fixture.servers[0].clone(), transport: fixture.transports[0].clone() };
        let claims = &fixture.claims[thread * CLAIMS..][..CLAIMS];
        Self {
            session,
            fixture,
            drawn,
            claims,
            next_claim: 0,
            held: None,
            ready,
            sent: 0,
            failures: Failures::default(),
        }
    }

    /// Returns the operations that failed.
    pub(super) fn failures(&self) -> &Failures {
        &self.failures
    }
}

impl<Se: Session> Load for Work<'_, Se> {
    fn prepare(&mut self, n: usize) {
        let (kind, key) = self.drawn[n % self.drawn.len()];
        let server = match kind {
            2 => {
                self.next_claim = (self.next_claim + 1) % self.claims.len();
                self.claims[self.next_claim].clone()
            }
            _ => self.fixture.servers[key].clone(),
        };
        let transports = &self.fixture.transports;
        self.ready = Ready { kind, key, server, transport: transports[key % transports.len()].clone() };
    }

    #[inline]
    fn run(&mut self) -> usize {
        let Ready { kind, key, server, transport } = &self.ready;
        match kind {
            0 => {
                if black_box(self.session.lookup(server, self.fixture.mailbox(*key))).is_none() {
                    self.failures.note(*key, "it was not found");
                }
            }
            1 => {
                match self.session.route(server, &self.fixture.sender, *key as u64) {
                    Ok(()) => self.sent += 1,
                    // A full mailbox is a valid outcome.
                    Err(RouteError::Full(_)) => {}
                    Err(reason) => self.failures.note(*key, reason),
                }
            }
            2 => {
                if let Some((claim, lease)) = self.held.take() {
                    self.session.release(&self.claims[claim], lease);
                }
                match self.session.register(server, self.fixture.mailbox(*key)) {
                    Ok(lease) => self.held = Some((self.next_claim, lease)),
                    Err(reason) => self.failures.note(self.next_claim, reason),
                }
            }
            _ => {
                if let Err(reason) = self.session.bind(transport, server) {
                    self.failures.note(*key, reason);
                }
            }
        }
        *kind
    }
}

impl<Se: Session> Drop for Work<'_, Se> {
    /// Ends the registration of the thread, and reports the messages sent.
    fn drop(&mut self) {
        self.fixture.sent(self.sent);
        if let Some((claim, lease)) = self.held.take() {
            self.session.release(&self.claims[claim], lease);
        }
    }
}
