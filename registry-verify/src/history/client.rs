//! A client: executes the operations of one thread and records them.
//!
//! Nothing here depends on OS threads, so a simulated scheduler can run the same programs: there are no locks, and the
//! only atomic is the clock, which the caller supplies.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::{
    Backend, BindError, Incarnation, Probe, RegisterError, RegisterErrorKind, ServerId, ToServer, ToTransport,
    TransportId,
};
use registry_router::Registry;

use super::mailbox_factory::MailboxFactory;
use super::owned_registration::{AnyInbox, OwnedRegistration};
use super::program::Op;
use crate::any_lease::AnyLease;
use crate::spec::{Name, Routed, Side};

/// The registrations of one thread, and the record of its calls.
pub struct Client<B: Backend, X: MailboxFactory, P: Probe> {
    registry: Registry<u64, B, X, P>,
    pub(super) thread: u8,
    pub(super) registrations: Vec<OwnedRegistration<X>>,
    pub(super) records: Vec<Record>,
    sent: u64,
}

/// A completed call, as observed by the client.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) op: Op,
    /// The registration whose lease or mailbox the call used, if any.
    pub(super) subject: Option<Incarnation>,
    /// The last message that the client had sent.
    pub(super) message: u64,
    pub(super) response: Response,
}

/// The result of a call.
#[derive(Clone, Debug)]
pub(super) enum Response {
    Registered(Incarnation),
    Taken(Incarnation),
    NoServer,
    NoTransport,
    Nothing,
    Bool(bool),
    Found(Option<Incarnation>),
    Server(Option<u8>),
    Transports(Vec<u8>),
    /// Whether the server was found, the number of deliveries, the full transports, and the closed ones.
    Report(bool, usize, Vec<u8>, Vec<u8>),
    /// The outcome of a message; its receiver is not known yet.
    Routed(Routed),
    SweepReport(usize, usize),
    Counted(usize, usize, usize),
}

/// Returns the thread that sent a message.
pub(super) fn sender_of(message: u64) -> u64 {
    message / MESSAGES
}

/// Exceeds the number of messages that a thread sends in a history.
const MESSAGES: u64 = 1_000;

impl<B: Backend, X: MailboxFactory, P: Probe> Client<B, X, P> {
    /// Creates a client that has made no calls. Threads are numbered from 0.
    pub fn new(registry: Registry<u64, B, X, P>, thread: u8) -> Self {
        Self { registry, thread, registrations: Vec::new(), records: Vec::new(), sent: 0 }
    }

    /// Returns the number of calls made.
    pub fn calls(&self) -> usize {
        self.records.len()
    }

    /// Executes an operation and records it, with its start and end times from a clock that advances on every read.
    pub fn perform(&mut self, op: Op, clock: &AtomicU64) {
        match op {
            Op::Register(name, capacity) => self.register(op, name, None, capacity, clock),
            Op::RegisterBound(name, server, capacity) => self.register(op, name, Some(server), capacity, clock),
            Op::Release(owner) => {
                let owns = |registration: &&mut OwnedRegistration<X>| registration.lease.is_some();
                let count = self.registrations.iter_mut().filter(owns).count();
                let Some(index) = owner.checked_rem(count) else { return };
                let Some(registration) = self.registrations.iter_mut().filter(owns).nth(index) else { return };
                let (subject, Some(lease)) = (registration.incarnation, registration.lease.take()) else { return };
                self.timed(op, Some(subject), clock, |_| Response::Bool(lease.release()));
            }
            Op::IsCurrent(owner) => {
                let Some(index) = owner.checked_rem(self.registrations.len()) else { return };
                let Some(lease) = self.registrations[index].lease.take() else { return };
                let subject = self.registrations[index].incarnation;
                self.timed(op, Some(subject), clock, |_| Response::Bool(lease.is_current()));
                self.registrations[index].lease = Some(lease);
            }
            Op::Close(owner) => {
                let Some(index) = owner.checked_rem(self.registrations.len()) else { return };
                if self.registrations[index].closed {
                    return;
                }
                let subject = self.registrations[index].incarnation;
                let began = tick(clock);
                self.registrations[index].close();
                self.record(began, clock, op, Some(subject), Response::Nothing);
                self.registrations[index].read();
            }
            Op::Drain(owner) => {
                if let Some(index) = owner.checked_rem(self.registrations.len()) {
                    self.registrations[index].read();
                }
            }
            Op::Route(..) | Op::Broadcast(_) => {
                self.sent += 1;
                let message = self.message();
                self.timed(op, None, clock, |registry| send(registry, op, message));
            }
            _ => self.timed(op, None, clock, |registry| query(registry, op)),
        }
    }

    /// Drops all leases, without a record.
    pub(super) fn drop_leases(&mut self) {
        for registration in &mut self.registrations {
            registration.lease = None;
        }
    }

    fn register(&mut self, op: Op, name: Name, server: Option<Name>, capacity: usize, clock: &AtomicU64) {
        let began;
        let (result, inbox) = match name.side {
            Side::Server => {
                let (mailbox, inbox) = X::mailbox::<ToServer<u64>>(capacity);
                let id = server_id(name.id);
                began = tick(clock);
                let result = self.registry.register_server(id, mailbox, ());
                (result.map(AnyLease::Server).map_err(register_error), AnyInbox::Server(inbox))
            }
            Side::Transport => {
                let (mailbox, inbox) = X::mailbox::<ToTransport<u64>>(capacity);
                let id = transport_id(name.id);
                began = tick(clock);
                let result = match server {
                    None => self.registry.register_transport(id, mailbox, ()),
                    Some(server) => self.registry.register_transport_bound_to(id, mailbox, (), server_id(server.id)),
                };
                (result.map(AnyLease::Transport).map_err(register_error), AnyInbox::Transport(inbox))
            }
        };
        match result {
            Ok(lease) => {
                let registration = OwnedRegistration::new(name, lease, inbox);
                self.record(began, clock, op, None, Response::Registered(registration.incarnation));
                self.registrations.push(registration);
            }
            Err(response) => self.record(began, clock, op, None, response),
        }
    }

    fn timed(
        &mut self,
        op: Op,
        subject: Option<Incarnation>,
        clock: &AtomicU64,
        call: impl FnOnce(&Registry<u64, B, X, P>) -> Response,
    ) {
        let began = tick(clock);
        let response = call(&self.registry);
        self.record(began, clock, op, subject, response);
    }

    /// Records a call that has just returned.
    fn record(&mut self, began: u64, clock: &AtomicU64, op: Op, subject: Option<Incarnation>, response: Response) {
        let ended = tick(clock);
        let message = self.message();
        self.records.push(Record { began, ended, op, subject, message, response });
    }

    /// Returns the last message that was sent.
    fn message(&self) -> u64 {
        u64::from(self.thread) * MESSAGES + self.sent
    }
}

impl<B: Backend, X: MailboxFactory, P: Probe> fmt::Debug for Client<B, X, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("thread", &self.thread).field("calls", &self.calls()).finish_non_exhaustive()
    }
}

fn tick(clock: &AtomicU64) -> u64 {
    clock.fetch_add(1, Ordering::SeqCst)
}

fn register_error<Mb>(error: RegisterError<Mb>) -> Response {
    match error.into_kind() {
        RegisterErrorKind::Taken { by } => Response::Taken(by),
        RegisterErrorKind::ServerNotFound => Response::NoServer,
        other => panic!("unexpected registration error: {other}"),
    }
}

fn query<B: Backend, X: MailboxFactory, P: Probe>(registry: &Registry<u64, B, X, P>, op: Op) -> Response {
    match op {
        Op::Unregister(name) => Response::Bool(match name.side {
            Side::Server => registry.unregister_server(server_name(name.id)),
            Side::Transport => registry.unregister_transport(transport_name(name.id)),
        }),
        Op::Bind(transport, server) => {
            match registry.bind_transport_to_server(transport_name(transport.id), server_name(server.id)) {
                Ok(()) => Response::Nothing,
                Err(BindError::TransportNotFound) => Response::NoTransport,
                Err(BindError::ServerNotFound) => Response::NoServer,
                Err(other) => panic!("unexpected binding error: {other}"),
            }
        }
        Op::Unbind(transport) => Response::Bool(registry.unbind_transport(transport_name(transport.id))),
        Op::Find(name) => Response::Found(match name.side {
            Side::Server => registry.find_server(server_name(name.id)).map(|entry| entry.incarnation),
            Side::Transport => registry.find_transport(transport_name(name.id)).map(|entry| entry.incarnation),
        }),
        Op::ServerFor(transport) => {
            let server = registry.server_for_transport(transport_name(transport.id));
            Response::Server(server.map(|server| number(&server)))
        }
        Op::TransportsOf(server) => Response::Transports(numbers(&registry.transports_of(server_name(server.id)))),
        Op::Sweep => {
            let swept = registry.sweep();
            Response::SweepReport(swept.servers, swept.transports)
        }
        Op::Count => Response::Counted(registry.server_count(), registry.transport_count(), registry.binding_count()),
        _ => unreachable!("{op:?} is not a plain query"),
    }
}

fn send<B: Backend, X: MailboxFactory, P: Probe>(registry: &Registry<u64, B, X, P>, op: Op, message: u64) -> Response {
    let routed = match op {
        Op::Route(to, from) => match to.side {
            Side::Server => registry.route_to_server(server_name(to.id), &transport_id(from), message),
            Side::Transport => registry.route_to_transport(transport_name(to.id), &server_id(from), message),
        },
        Op::Broadcast(server) => {
            let report = registry.broadcast(server_name(server.id), message);
            let (full, closed) = (numbers(&report.full), numbers(&report.closed));
            return Response::Report(report.server.is_some(), report.delivered, full, closed);
        }
        _ => unreachable!("{op:?} sends nothing"),
    };
    Response::Routed(Routed::of(routed))
}

/// One id is short and one long, to cover both the inline and the heap representation.
fn server_name(id: u8) -> &'static str {
    ["s0", "a server id that is too long for the inline representation: 1"][usize::from(id)]
}

fn transport_name(id: u8) -> &'static str {
    ["t0", "a transport id that is too long for the inline representation: 1"][usize::from(id)]
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

/// Returns the number of an id.
pub(super) fn number(id: &str) -> u8 {
    id.bytes().last().map_or(u8::MAX, |digit| digit.wrapping_sub(b'0'))
}
