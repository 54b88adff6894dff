//! Judges what a few hands have done to a registry: puts their records into the words of the specification, and checks.

use std::sync::atomic::AtomicU64;

use registry_core::{Backend, Incarnation, Probe};
use registry_router::Registry;

use super::hand::{Answer, Hand, Record};
use super::messages::Messages;
use super::post::Post;
use super::program::{Program, Todo};
use super::spec::{Bound, Call, Claimed, Fate, Name, OWNERS, Owner, Routed, Rules, State};
use crate::linear::{History, Timed, Verdict, check, shrink};

/// So many situations are looked at before a history is given up; hardly one needs a thousandth.
const MOST_SITUATIONS: usize = 1_000_000;

/// Looks once more at everything, now that all is quiet, lets everybody leave, and judges the history.
///
/// Returns the number of calls that were checked.
///
/// # Errors
///
/// What was wrong, for a person to read.
pub fn judge<B: Backend, X: Post, P: Probe>(
    registry: &Registry<u64, B, X, P>,
    mut hands: Vec<Hand<B, X, P>>,
    clock: &AtomicU64,
) -> Result<usize, String> {
    for hand in &mut hands {
        for owner in 0..hand.holdings.len() {
            hand.perform(Todo::IsCurrent(owner), clock);
        }
    }
    if let Some(hand) = hands.first_mut() {
        Program::last_looks().for_each(|look| hand.perform(look, clock));
    }
    for hand in &mut hands {
        hand.leave();
        hand.holdings.iter_mut().for_each(|holding| holding.read());
    }
    let history = recorded(&hands)?;
    judge_history(&history)?;
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
pub fn judge_history(history: &History<Call>) -> Result<(), String> {
    let (rules, nobody) = (Rules::of(history), State::default());
    match check(&rules, &nobody, history, MOST_SITUATIONS) {
        Verdict::Linearizable => Ok(()),
        Verdict::Undecided { visited } => Err(format!("not decided after {visited} situations:\n{}", print(history))),
        Verdict::Violation(violation) => {
            let smaller = shrink(&rules, &nobody, history, MOST_SITUATIONS);
            match check(&rules, &nobody, &smaller, MOST_SITUATIONS) {
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
fn recorded<B: Backend, X: Post, P: Probe>(hands: &[Hand<B, X, P>]) -> Result<History<Call>, String> {
    let owners = Numbering::of(hands)?;
    let holdings = hands.iter().flat_map(|hand| &hand.holdings);
    let mut numbered = Vec::new();
    for holding in holdings {
        numbered.push((owners.number(holding.incarnation)?, holding));
    }
    let messages = Messages::of(numbered.into_iter())?;
    messages.compare(hands)?;
    let call = |record: &Record| {
        let call = in_words(record, &owners, &messages)?;
        Ok(Timed { began: record.began, ended: record.ended, call })
    };
    hands.iter().map(|hand| hand.records.iter().map(call).collect()).collect()
}

/// Owners by their incarnations.
struct Numbering(Vec<Incarnation>);

impl Numbering {
    fn of<B: Backend, X: Post, P: Probe>(hands: &[Hand<B, X, P>]) -> Result<Self, String> {
        let mut given: Vec<(Incarnation, u64, u64)> = Vec::new();
        for record in hands.iter().flat_map(|hand| &hand.records) {
            if let Answer::Registered(incarnation) = record.answer {
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

fn in_words(record: &Record, owners: &Numbering, messages: &Messages) -> Result<Call, String> {
    let about = || match record.about {
        Some(incarnation) => owners.number(incarnation),
        None => Err(format!("{:?} was about nobody", record.asked)),
    };
    Ok(match (record.asked, &record.answer) {
        (Todo::Register(name, _), answer) => Call::Register(name, claimed(answer, owners)?),
        (Todo::RegisterBound(name, server, _), answer) => Call::RegisterBound(name, server, claimed(answer, owners)?),
        (Todo::Release(_), Answer::Did(ended)) => Call::Release(about()?, *ended),
        (Todo::IsCurrent(_), Answer::Did(is)) => Call::IsCurrent(about()?, *is),
        (Todo::Close(_), _) => Call::Close(about()?),
        (Todo::Unregister(name), Answer::Did(ended)) => Call::Unregister(name, *ended),
        (Todo::Bind(transport, server), answer) => {
            let bound = match answer {
                Answer::NoTransport => Bound::NoTransport,
                Answer::NoServer => Bound::NoServer,
                _ => Bound::Yes,
            };
            Call::Bind(transport, server, bound)
        }
        (Todo::Unbind(transport), Answer::Did(was_bound)) => Call::Unbind(transport, *was_bound),
        (Todo::Find(name), Answer::Found(found)) => {
            Call::Find(name, found.map(|incarnation| owners.number(incarnation)).transpose()?)
        }
        (Todo::ServerFor(transport), Answer::Server(server)) => Call::ServerFor(transport, server.map(Name::server)),
        (Todo::TransportsOf(server), Answer::Transports(ids)) => {
            Call::TransportsOf(server, ids.iter().copied().map(Name::transport).collect())
        }
        (Todo::Broadcast(server), Answer::Report(found, _, full, closed)) => {
            let got = messages.receivers(record.message).map(|(name, owner)| (name, Fate::Delivered(owner)));
            let full = full.iter().map(|id| (Name::transport(*id), Fate::Full));
            let closed = closed.iter().map(|id| (Name::transport(*id), Fate::Closed));
            let fates: Vec<_> = got.chain(full).chain(closed).collect();
            if !found && !fates.is_empty() {
                return Err(format!("a broadcast that found no server reached {fates:?}"));
            }
            Call::Broadcast(server, found.then_some(fates))
        }
        (Todo::Route(name, _), answer) => {
            let routed = match answer {
                Answer::NotFound => Routed::NotFound,
                Answer::Full => Routed::Full,
                Answer::Closed => Routed::Closed,
                _ => match messages.receivers(record.message).next() {
                    Some((_, owner)) => Routed::Delivered(owner),
                    None => return Err(format!("message {} is in no inbox", record.message)),
                },
            };
            Call::Route(name, routed)
        }
        (Todo::Sweep, Answer::SweepReport(servers, transports)) => Call::Sweep(few(*servers)?, few(*transports)?),
        (Todo::Count, Answer::Counted(servers, transports, bindings)) => {
            Call::Count(few(*servers)?, few(*transports)?, few(*bindings)?)
        }
        (asked, answer) => return Err(format!("{asked:?} was answered with {answer:?}")),
    })
}

fn claimed(answer: &Answer, owners: &Numbering) -> Result<Claimed, String> {
    Ok(match answer {
        Answer::Registered(incarnation) => Claimed::Registered(owners.number(*incarnation)?),
        Answer::Taken(by) => Claimed::Taken(owners.number(*by)?),
        _ => Claimed::NoServer,
    })
}

fn few(count: usize) -> Result<u8, String> {
    u8::try_from(count).map_err(|_| format!("there cannot be {count}"))
}
