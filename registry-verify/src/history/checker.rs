//! Judges what a few hands have done to a registry: puts their records into the words of the specification, and checks.

use std::sync::atomic::AtomicU64;

use registry_core::{Backend, Incarnation, Probe};
use registry_router::Registry;

use super::client::{Client, Record, Response};
use super::mailbox_factory::MailboxFactory;
use super::messages::Messages;
use super::program::{Op, Program};
use super::spec::{
    BindOutcome, Call, DeliveryOutcome, Name, OWNERS, Owner, RegisterOutcome, RegistrySpec, RouteOutcome, State,
};
use crate::linear::{History, Timed, Verdict, check, shrink};

/// So many situations are looked at before a history is given up; hardly one needs a thousandth.
const MAX_CONFIGURATIONS: usize = 1_000_000;

/// Looks once more at everything, now that all is quiet, lets everybody leave, and judges the history.
///
/// Returns the number of calls that were checked.
///
/// # Errors
///
/// What was wrong, for a person to read.
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
        Program::final_reads().for_each(|look| client.perform(look, clock));
    }
    for client in &mut clients {
        client.leave();
        client.registrations.iter_mut().for_each(|registration| registration.read());
    }
    let history = recorded(&clients)?;
    check_history(&history)?;
    let left = (registry.server_count(), registry.transport_count(), registry.binding_count());
    if left != (0, 0, 0) {
        return Err(format!(
            "when all leases were gone, servers, transports and bindings were left: {left:?}\n{}",
            print(&history)
        ));
    }
    Ok(history.iter().map(Vec::len).sum())
}

/// Checks a history against the specification, from a registry with nobody in it.
///
/// # Errors
///
/// Why it cannot be explained, with as few calls as possible.
pub fn check_history(history: &History<Call>) -> Result<(), String> {
    let (specification, nobody) = (RegistrySpec::of(history), State::default());
    match check(&specification, &nobody, history, MAX_CONFIGURATIONS) {
        Verdict::Linearizable => Ok(()),
        Verdict::Undecided { visited } => Err(format!("not decided after {visited} situations:\n{}", print(history))),
        Verdict::Violation(violation) => {
            let smaller = shrink(&specification, &nobody, history, MAX_CONFIGURATIONS);
            match check(&specification, &nobody, &smaller, MAX_CONFIGURATIONS) {
                Verdict::Violation(smaller) => Err(smaller.to_string()),
                _ => Err(violation.to_string()),
            }
        }
    }
}

fn print(history: &History<Call>) -> String {
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

/// The records in the words of the specification, in which owners are numbered by their incarnations.
///
/// What can be told without a search is checked on the way: that incarnations are unique and grow, and that messages
/// are where they should be.
fn recorded<B: Backend, X: MailboxFactory, P: Probe>(clients: &[Client<B, X, P>]) -> Result<History<Call>, String> {
    let owners = Numbering::of(clients)?;
    let registrations = clients.iter().flat_map(|client| &client.registrations);
    let mut numbered = Vec::new();
    for registration in registrations {
        numbered.push((owners.number(registration.incarnation)?, registration));
    }
    let messages = Messages::of(numbered.into_iter())?;
    messages.compare(clients)?;
    let call = |record: &Record| {
        let call = to_call(record, &owners, &messages)?;
        Ok(Timed { began: record.began, ended: record.ended, call })
    };
    clients.iter().map(|client| client.records.iter().map(call).collect()).collect()
}

/// Owners by their incarnations.
struct Numbering(Vec<Incarnation>);

impl Numbering {
    fn of<B: Backend, X: MailboxFactory, P: Probe>(clients: &[Client<B, X, P>]) -> Result<Self, String> {
        let mut given: Vec<(Incarnation, u64, u64)> = Vec::new();
        for record in clients.iter().flat_map(|client| &client.records) {
            if let Response::Registered(incarnation) = record.response {
                given.push((incarnation, record.began, record.ended));
            }
        }
        given.sort_unstable();
        for pair in given.windows(2) {
            if pair[0].0 == pair[1].0 {
                return Err(format!("two registrations have the incarnation {}", pair[0].0));
            }
        }
        for (place, one) in given.iter().enumerate() {
            if let Some(other) = given[place..].iter().find(|other| other.2 < one.1) {
                return Err(format!("incarnation {} is of an earlier registration than {}", other.0, one.0));
            }
        }
        if given.len() > OWNERS {
            return Err(format!("{} registrations are more than can be judged", given.len()));
        }
        Ok(Self(given.into_iter().map(|(incarnation, ..)| incarnation).collect()))
    }

    fn number(&self, incarnation: Incarnation) -> Result<Owner, String> {
        match self.0.binary_search(&incarnation) {
            Ok(number) => Ok(Owner(number as u8)),
            Err(_) => Err(format!("there is an incarnation that nobody was given: {incarnation}")),
        }
    }
}

fn to_call(record: &Record, owners: &Numbering, messages: &Messages) -> Result<Call, String> {
    let subject = || match record.subject {
        Some(incarnation) => owners.number(incarnation),
        None => Err(format!("{:?} was about nobody", record.op)),
    };
    Ok(match (record.op, &record.response) {
        (Op::Register(name, _), response) => Call::Register(name, register_outcome(response, owners)?),
        (Op::RegisterBound(name, server, _), response) => {
            Call::RegisterBound(name, server, register_outcome(response, owners)?)
        }
        (Op::Release(_), Response::Bool(ended)) => Call::Release(subject()?, *ended),
        (Op::IsCurrent(_), Response::Bool(is)) => Call::IsCurrent(subject()?, *is),
        (Op::Close(_), _) => Call::Close(subject()?),
        (Op::Unregister(name), Response::Bool(ended)) => Call::Unregister(name, *ended),
        (Op::Bind(transport, server), response) => {
            let bound = match response {
                Response::NoTransport => BindOutcome::NoTransport,
                Response::NoServer => BindOutcome::NoServer,
                _ => BindOutcome::Bound,
            };
            Call::Bind(transport, server, bound)
        }
        (Op::Unbind(transport), Response::Bool(was_bound)) => Call::Unbind(transport, *was_bound),
        (Op::Find(name), Response::Found(found)) => {
            Call::Find(name, found.map(|incarnation| owners.number(incarnation)).transpose()?)
        }
        (Op::ServerFor(transport), Response::Server(server)) => Call::ServerFor(transport, server.map(Name::server)),
        (Op::TransportsOf(server), Response::Transports(ids)) => {
            Call::TransportsOf(server, ids.iter().copied().map(Name::transport).collect())
        }
        (Op::Broadcast(server), Response::Report(found, _, full, closed)) => {
            let got = messages.receivers(record.message).map(|(name, owner)| (name, DeliveryOutcome::Delivered(owner)));
            let full = full.iter().map(|id| (Name::transport(*id), DeliveryOutcome::Full));
            let closed = closed.iter().map(|id| (Name::transport(*id), DeliveryOutcome::Closed));
            let outcomes: Vec<_> = got.chain(full).chain(closed).collect();
            if !found && !outcomes.is_empty() {
                return Err(format!("a broadcast that found no server reached {outcomes:?}"));
            }
            Call::Broadcast(server, found.then_some(outcomes))
        }
        (Op::Route(name, _), response) => {
            let routed = match response {
                Response::NotFound => RouteOutcome::NotFound,
                Response::Full => RouteOutcome::Full,
                Response::Closed => RouteOutcome::Closed,
                _ => match messages.receivers(record.message).next() {
                    Some((_, owner)) => RouteOutcome::Delivered(owner),
                    None => return Err(format!("message {} is in no inbox", record.message)),
                },
            };
            Call::Route(name, routed)
        }
        (Op::Sweep, Response::SweepReport(servers, transports)) => Call::Sweep(few(*servers)?, few(*transports)?),
        (Op::Count, Response::Counted(servers, transports, bindings)) => {
            Call::Count(few(*servers)?, few(*transports)?, few(*bindings)?)
        }
        (op, response) => return Err(format!("{op:?} was answered with {response:?}")),
    })
}

fn register_outcome(response: &Response, owners: &Numbering) -> Result<RegisterOutcome, String> {
    Ok(match response {
        Response::Registered(incarnation) => RegisterOutcome::Registered(owners.number(*incarnation)?),
        Response::Taken(by) => RegisterOutcome::Taken(owners.number(*by)?),
        _ => RegisterOutcome::NoServer,
    })
}

fn few(count: usize) -> Result<u8, String> {
    u8::try_from(count).map_err(|_| format!("there cannot be {count}"))
}
