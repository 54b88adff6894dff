//! Checks what the clients of a trial recorded: converts it into calls of the specification and checks their history.

use std::sync::atomic::AtomicU64;

use registry_core::{Backend, Incarnation, Probe};
use registry_router::Registry;

use super::client::{Client, Record, Response};
use super::mailbox_factory::MailboxFactory;
use super::messages::Messages;
use super::program::{Op, Program};
use crate::linear::{History, Timed, Verdict, check, shrink};
use crate::spec::{BroadcastOutcome, Call, Completed, Delivery, Name, OWNERS, Outcome, Owner, RegistrySpec, Routed};

/// The search limit for one history; hardly any needs a thousandth of it.
const MAX_CONFIGURATIONS: usize = 1_000_000;

/// Reads the final state, drops all leases, and checks the whole history. All clients must have finished.
///
/// Returns the number of checked calls.
///
/// # Errors
///
/// Returns a description of the violation.
pub fn check_clients<B: Backend, X: MailboxFactory, P: Probe>(
    registry: &Registry<u64, B, X, P>,
    mut clients: Vec<Client<B, X, P>>,
    clock: &AtomicU64,
) -> Result<usize, String> {
    for client in &mut clients {
        for owner in 0..client.registrations.len() {
            client.perform(Op::IsCurrent(owner), clock);
        }
    }
    if let Some(client) = clients.first_mut() {
        Program::final_reads().for_each(|read| client.perform(read, clock));
    }
    for client in &mut clients {
        client.drop_leases();
        client.registrations.iter_mut().for_each(|registration| registration.read());
    }
    let history = to_history(&clients)?;
    check_history(&history)?;
    let remaining = (registry.server_count(), registry.transport_count(), registry.binding_count());
    if remaining != (0, 0, 0) {
        return Err(format!(
            "entries remained after all leases were dropped (servers, transports, bindings): {remaining:?}\n{}",
            format_history(&history)
        ));
    }
    Ok(history.iter().map(Vec::len).sum())
}

/// Checks a history that starts with an empty registry against the specification.
///
/// # Errors
///
/// Returns an explanation of the violation, with as few calls as possible.
pub fn check_history(history: &History<Completed>) -> Result<(), String> {
    let specification = RegistrySpec::concurrent(history);
    let initial = specification.initial();
    match check(&specification, &initial, history, MAX_CONFIGURATIONS) {
        Verdict::Linearizable => Ok(()),
        Verdict::Undecided { visited } => {
            Err(format!("undecided after {visited} configurations:\n{}", format_history(history)))
        }
        Verdict::Violation(violation) => {
            let smaller = shrink(&specification, &initial, history, MAX_CONFIGURATIONS);
            match check(&specification, &initial, &smaller, MAX_CONFIGURATIONS) {
                Verdict::Violation(smaller) => Err(smaller.to_string()),
                _ => Err(violation.to_string()),
            }
        }
    }
}

fn format_history(history: &History<Completed>) -> String {
    let mut lines: Vec<_> = history
        .iter()
        .enumerate()
        .flat_map(|(thread, calls)| calls.iter().map(move |call| (call.began, call.ended, thread, &call.call)))
        .collect();
    lines.sort_by_key(|line| line.0);
    lines
        .iter()
        .map(|(began, ended, thread, call)| format!("  {began:>4} ..{ended:>4}  thread {thread}: {call}\n"))
        .collect()
}

/// Converts the records into calls of the specification, which numbers owners by their incarnations.
///
/// Checks on the way what needs no search: incarnations are unique and increase, and messages are where they were
/// reported to be.
fn to_history<B: Backend, X: MailboxFactory, P: Probe>(
    clients: &[Client<B, X, P>],
) -> Result<History<Completed>, String> {
    let owners = OwnerNumbers::of(clients)?;
    let registrations = clients.iter().flat_map(|client| &client.registrations);
    let mut numbered = Vec::new();
    for registration in registrations {
        numbered.push((owners.owner_of(registration.incarnation)?, registration));
    }
    let messages = Messages::of(numbered.into_iter())?;
    messages.compare(clients)?;
    let call = |record: &Record| {
        let call = to_call(record, &owners, &messages)?;
        Ok(Timed { began: record.began, ended: record.ended, call })
    };
    clients.iter().map(|client| client.records.iter().map(call).collect()).collect()
}

/// The incarnations of all owners, in order.
struct OwnerNumbers(Vec<Incarnation>);

impl OwnerNumbers {
    fn of<B: Backend, X: MailboxFactory, P: Probe>(clients: &[Client<B, X, P>]) -> Result<Self, String> {
        let mut registered: Vec<(Incarnation, u64, u64)> = Vec::new();
        for record in clients.iter().flat_map(|client| &client.records) {
            if let Response::Registered(incarnation) = record.response {
                registered.push((incarnation, record.began, record.ended));
            }
        }
        registered.sort_unstable();
        for pair in registered.windows(2) {
            if pair[0].0 == pair[1].0 {
                return Err(format!("two registrations have incarnation {}", pair[0].0));
            }
        }
        for (index, first) in registered.iter().enumerate() {
            if let Some(other) = registered[index..].iter().find(|other| other.2 < first.1) {
                return Err(format!("incarnation {} belongs to an earlier registration than {}", other.0, first.0));
            }
        }
        if registered.len() > OWNERS {
            return Err(format!("{} registrations exceed the specification's limit of {OWNERS}", registered.len()));
        }
        Ok(Self(registered.into_iter().map(|(incarnation, ..)| incarnation).collect()))
    }

    fn owner_of(&self, incarnation: Incarnation) -> Result<Owner, String> {
        match self.0.binary_search(&incarnation) {
            Ok(index) => Ok(Owner(index as u8)),
            Err(_) => Err(format!("unknown incarnation: {incarnation}")),
        }
    }
}

fn to_call(record: &Record, owners: &OwnerNumbers, messages: &Messages) -> Result<Completed, String> {
    let subject = || match record.subject {
        Some(incarnation) => owners.owner_of(incarnation),
        None => Err(format!("{:?} has no subject", record.op)),
    };
    let call = match record.op {
        Op::Register(name, capacity) => Call::Register(name, capacity),
        Op::RegisterBound(name, server, capacity) => Call::RegisterBound(name, server, capacity),
        Op::Release(_) => Call::Release(subject()?),
        Op::IsCurrent(_) => Call::IsCurrent(subject()?),
        Op::Close(_) => Call::Close(subject()?),
        Op::Drain(_) => return Err("reads of an inbox are not recorded".to_owned()),
        Op::Unregister(name) => Call::Unregister(name),
        Op::Bind(transport, server) => Call::Bind(transport, server),
        Op::Unbind(transport) => Call::Unbind(transport),
        Op::Find(name) => Call::Find(name),
        Op::ServerFor(transport) => Call::ServerFor(transport),
        Op::TransportsOf(server) => Call::TransportsOf(server),
        Op::Broadcast(server) => Call::Broadcast(server, record.message),
        Op::Route(to, from) => Call::Route(to, Name::sender(to.side, from), record.message),
        Op::Sweep => Call::Sweep,
        Op::Count => Call::Count,
    };
    Ok(call.with(to_outcome(record, owners, messages)?))
}

fn to_outcome(record: &Record, owners: &OwnerNumbers, messages: &Messages) -> Result<Outcome, String> {
    Ok(match &record.response {
        Response::Registered(incarnation) => Outcome::Registered(owners.owner_of(*incarnation)?),
        Response::Taken(by) => Outcome::Taken(owners.owner_of(*by)?),
        Response::NoServer => Outcome::ServerNotFound,
        Response::NoTransport => Outcome::TransportNotFound,
        Response::Nothing => Outcome::Done,
        Response::Bool(is) => Outcome::Bool(*is),
        Response::Found(found) => Outcome::Found(found.map(|incarnation| owners.owner_of(incarnation)).transpose()?),
        Response::Server(server) => Outcome::Server(server.map(Name::server)),
        Response::Transports(ids) => Outcome::Transports(ids.iter().copied().map(Name::transport).collect()),
        Response::Report(found, delivered, full, closed) => {
            let got = messages.receivers(record.message).map(|(name, owner)| (name, Delivery::Delivered(owner)));
            let full = full.iter().map(|id| (Name::transport(*id), Delivery::Full));
            let closed = closed.iter().map(|id| (Name::transport(*id), Delivery::Closed));
            let tried = got.chain(full).chain(closed).collect();
            Outcome::Broadcast(BroadcastOutcome { found: *found, delivered: *delivered, tried })
        }
        Response::Routed(Routed::Delivered(_)) => match messages.receivers(record.message).next() {
            Some((_, owner)) => Outcome::Routed(Routed::Delivered(Some(owner))),
            None => return Err(format!("message {} is in no inbox", record.message)),
        },
        Response::Routed(returned) => Outcome::Routed(*returned),
        Response::SweepReport(servers, transports) => Outcome::Swept(*servers, *transports),
        Response::Counted(servers, transports, bindings) => Outcome::Counted(*servers, *transports, *bindings),
    })
}
