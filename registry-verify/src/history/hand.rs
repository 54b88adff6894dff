//! Does what a program says, on one thread, and records it.
//!
//! Nothing here is tied to the threads of the system, so that the same programs can be run by a scheduler of another
//! kind: there is no lock, and the only atomic is the clock, which whoever calls brings along.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::{
    Backend, BindError, Incarnation, Probe, RegisterError, RegisterErrorKind, RouteError, ServerId, ToServer,
    ToTransport, TransportId,
};
use registry_router::Registry;

use super::holding::{AnyInbox, AnyLease, Holding};
use super::post::Post;
use super::program::Todo;
use super::spec::Name;
use crate::sequence::Side;

/// One thread's registrations, and the record of what it did.
pub struct Hand<B: Backend, X: Post, P: Probe> {
    registry: Registry<u64, B, X, P>,
    pub(super) thread: u8,
    pub(super) holdings: Vec<Holding<X>>,
    pub(super) records: Vec<Record>,
    sent: u64,
}

/// One call, as it was seen from outside.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) asked: Todo,
    /// Whose lease or mailbox it was about, if it was.
    pub(super) about: Option<Incarnation>,
    /// The message that was sent, if one was.
    pub(super) message: u64,
    pub(super) answer: Answer,
}

/// What a call returned.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Registered(Incarnation),
    Taken(Incarnation),
    NoServer,
    NoTransport,
    Nothing,
    Did(bool),
    Found(Option<Incarnation>),
    Server(Option<u8>),
    Transports(Vec<u8>),
    /// Whether the server was found, how many mailboxes took the message, who had no room, and who was closed.
    Report(bool, usize, Vec<u8>, Vec<u8>),
    Delivered,
    NotFound,
    Full,
    Closed,
    SweepReport(usize, usize),
    Counted(usize, usize, usize),
}

/// Whose message a message is: the thread that sent it.
pub(super) fn sender_of(message: u64) -> u64 {
    message / MESSAGES
}

/// More messages than a thread sends in a history.
const MESSAGES: u64 = 1_000;

impl<B: Backend, X: Post, P: Probe> Hand<B, X, P> {
    /// Has done nothing yet. Threads are numbered from 0.
    pub fn new(registry: Registry<u64, B, X, P>, thread: u8) -> Self {
        Self { registry, thread, holdings: Vec::new(), records: Vec::new(), sent: 0 }
    }

    /// How many calls it has made.
    pub fn calls(&self) -> usize {
        self.records.len()
    }

    /// Does it, with the time before and after taken from a clock that goes on at every look.
    pub fn perform(&mut self, todo: Todo, clock: &AtomicU64) {
        match todo {
            Todo::Register(name, capacity) => self.register(todo, name, None, capacity, clock),
            Todo::RegisterBound(name, server, capacity) => self.register(todo, name, Some(server), capacity, clock),
            Todo::Release(owner) => {
                let owns = |holding: &&mut Holding<X>| holding.lease.is_some();
                let count = self.holdings.iter_mut().filter(owns).count();
                let Some(index) = owner.checked_rem(count) else { return };
                let Some(holding) = self.holdings.iter_mut().filter(owns).nth(index) else { return };
                let (about, Some(lease)) = (holding.incarnation, holding.lease.take()) else { return };
                self.timed(todo, Some(about), clock, |_| Answer::Did(lease.release()));
            }
            Todo::IsCurrent(owner) => {
                let Some(index) = owner.checked_rem(self.holdings.len()) else { return };
                let Some(lease) = self.holdings[index].lease.take() else { return };
                let about = self.holdings[index].incarnation;
                self.timed(todo, Some(about), clock, |_| Answer::Did(lease.is_current()));
                self.holdings[index].lease = Some(lease);
            }
            Todo::Close(owner) => {
                let Some(index) = owner.checked_rem(self.holdings.len()) else { return };
                if self.holdings[index].closed {
                    return;
                }
                let about = self.holdings[index].incarnation;
                let began = tick(clock);
                self.holdings[index].close();
                self.record(began, clock, todo, Some(about), Answer::Nothing);
                self.holdings[index].read();
            }
            Todo::Drain(owner) => {
                if let Some(index) = owner.checked_rem(self.holdings.len()) {
                    self.holdings[index].read();
                }
            }
            Todo::Route(..) | Todo::Broadcast(_) => {
                self.sent += 1;
                let message = self.message();
                self.timed(todo, None, clock, |registry| send(registry, todo, message));
            }
            _ => self.timed(todo, None, clock, |registry| ask(registry, todo)),
        }
    }

    /// Lets go of all leases, without a record.
    pub(super) fn leave(&mut self) {
        for holding in &mut self.holdings {
            holding.lease = None;
        }
    }

    fn register(&mut self, todo: Todo, name: Name, server: Option<Name>, capacity: usize, clock: &AtomicU64) {
        let began;
        let (claimed, inbox) = match name.side {
            Side::Server => {
                let (mailbox, inbox) = X::open::<ToServer<u64>>(capacity);
                let id = server_id(name.id);
                began = tick(clock);
                let claimed = self.registry.register_server(id, mailbox, ());
                (claimed.map(AnyLease::Server).map_err(turned_down), AnyInbox::Server(inbox))
            }
            Side::Transport => {
                let (mailbox, inbox) = X::open::<ToTransport<u64>>(capacity);
                let id = transport_id(name.id);
                began = tick(clock);
                let claimed = match server {
                    None => self.registry.register_transport(id, mailbox, ()),
                    Some(server) => self.registry.register_transport_bound_to(id, mailbox, (), server_id(server.id)),
                };
                (claimed.map(AnyLease::Transport).map_err(turned_down), AnyInbox::Transport(inbox))
            }
        };
        match claimed {
            Ok(lease) => {
                let holding = Holding::new(name, lease, inbox);
                self.record(began, clock, todo, None, Answer::Registered(holding.incarnation));
                self.holdings.push(holding);
            }
            Err(answer) => self.record(began, clock, todo, None, answer),
        }
    }

    fn timed(
        &mut self,
        todo: Todo,
        about: Option<Incarnation>,
        clock: &AtomicU64,
        call: impl FnOnce(&Registry<u64, B, X, P>) -> Answer,
    ) {
        let began = tick(clock);
        let answer = call(&self.registry);
        self.record(began, clock, todo, about, answer);
    }

    /// The call has just returned.
    fn record(&mut self, began: u64, clock: &AtomicU64, asked: Todo, about: Option<Incarnation>, answer: Answer) {
        let ended = tick(clock);
        let message = self.message();
        self.records.push(Record { began, ended, asked, about, message, answer });
    }

    /// The last message that was sent.
    fn message(&self) -> u64 {
        u64::from(self.thread) * MESSAGES + self.sent
    }
}

impl<B: Backend, X: Post, P: Probe> fmt::Debug for Hand<B, X, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hand").field("thread", &self.thread).field("calls", &self.calls()).finish_non_exhaustive()
    }
}

fn tick(clock: &AtomicU64) -> u64 {
    clock.fetch_add(1, Ordering::SeqCst)
}

fn turned_down<Mb>(error: RegisterError<Mb>) -> Answer {
    match error.kind {
        RegisterErrorKind::Taken { by } => Answer::Taken(by),
        RegisterErrorKind::ServerNotFound => Answer::NoServer,
        other => panic!("nobody refuses here: {other}"),
    }
}

fn ask<B: Backend, X: Post, P: Probe>(registry: &Registry<u64, B, X, P>, todo: Todo) -> Answer {
    match todo {
        Todo::Unregister(name) => Answer::Did(match name.side {
            Side::Server => registry.unregister_server(server_name(name.id)),
            Side::Transport => registry.unregister_transport(transport_name(name.id)),
        }),
        Todo::Bind(transport, server) => {
            match registry.bind_transport_to_server(transport_name(transport.id), server_name(server.id)) {
                Ok(()) => Answer::Nothing,
                Err(BindError::TransportNotFound) => Answer::NoTransport,
                Err(BindError::ServerNotFound) => Answer::NoServer,
                Err(other) => panic!("a binding has two sides: {other}"),
            }
        }
        Todo::Unbind(transport) => Answer::Did(registry.unbind_transport(transport_name(transport.id))),
        Todo::Find(name) => Answer::Found(match name.side {
            Side::Server => registry.find_server(server_name(name.id)).map(|entry| entry.incarnation),
            Side::Transport => registry.find_transport(transport_name(name.id)).map(|entry| entry.incarnation),
        }),
        Todo::ServerFor(transport) => {
            let server = registry.server_for_transport(transport_name(transport.id));
            Answer::Server(server.map(|server| number(&server)))
        }
        Todo::TransportsOf(server) => Answer::Transports(numbers(&registry.transports_of(server_name(server.id)))),
        Todo::Sweep => {
            let swept = registry.sweep();
            Answer::SweepReport(swept.servers, swept.transports)
        }
        Todo::Count => Answer::Counted(registry.server_count(), registry.transport_count(), registry.binding_count()),
        _ => unreachable!("{todo:?} needs more than the registry"),
    }
}

fn send<B: Backend, X: Post, P: Probe>(registry: &Registry<u64, B, X, P>, todo: Todo, message: u64) -> Answer {
    let routed = match todo {
        Todo::Route(to, from) => match to.side {
            Side::Server => registry.route_to_server(server_name(to.id), &transport_id(from), message),
            Side::Transport => registry.route_to_transport(transport_name(to.id), &server_id(from), message),
        },
        Todo::Broadcast(server) => {
            let report = registry.broadcast(server_name(server.id), message);
            let (full, closed) = (numbers(&report.full), numbers(&report.closed));
            return Answer::Report(report.server.is_some(), report.delivered, full, closed);
        }
        _ => unreachable!("{todo:?} sends nothing"),
    };
    match routed {
        Ok(()) => Answer::Delivered,
        Err(RouteError::NotFound(back)) if back == message => Answer::NotFound,
        Err(RouteError::Full(back)) if back == message => Answer::Full,
        Err(RouteError::Closed(back)) if back == message => Answer::Closed,
        Err(other) => panic!("another message came back: {other:?} with {}", other.into_message()),
    }
}

/// One is short and one is long, so that both ways of keeping an id are used.
fn server_name(id: u8) -> &'static str {
    ["s0", "a server whose name is so long that it cannot be kept in place: 1"][usize::from(id)]
}

fn transport_name(id: u8) -> &'static str {
    ["t0", "a transport whose name is so long that it cannot be kept in place: 1"][usize::from(id)]
}

fn server_id(id: u8) -> ServerId {
    ServerId::new(server_name(id)).expect("the id is valid")
}

fn transport_id(id: u8) -> TransportId {
    TransportId::new(transport_name(id)).expect("the id is valid")
}

fn numbers(ids: &[TransportId]) -> Vec<u8> {
    ids.iter().map(|id| number(id)).collect()
}

/// Which id that is.
pub(super) fn number(id: &str) -> u8 {
    id.bytes().last().map_or(u8::MAX, |digit| digit.wrapping_sub(b'0'))
}
