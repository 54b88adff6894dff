//! All small states of the strict mode, the calls that can be made in them, and outcomes that such a call might have.

use std::collections::HashSet;

use crate::spec::{BroadcastOutcome, Call, Delivery, Name, Outcome, Owner, RegistrySpec, Routed, Side, State};

/// Every message has the same number, and every mailbox has the capacity 1.
const MESSAGE: u64 = 7;

/// States that few ids and registrations lead to.
pub(super) struct Space {
    pub(super) servers: u8,
    pub(super) transports: u8,
    /// The maximum number of registrations.
    pub(super) owners: u8,
    /// Whether there are states with messages in mailboxes, and calls with batches of ids.
    pub(super) messages: bool,
}

impl Space {
    /// Returns all reachable states, found breadth first.
    pub(super) fn states(&self) -> Vec<State> {
        let spec = RegistrySpec::strict();
        let mut states = vec![spec.initial()];
        let mut known: HashSet<State> = states.iter().cloned().collect();
        let mut visited = 0;
        while let Some(state) = states.get(visited).cloned() {
            visited += 1;
            for call in self.calls(&state).into_iter().filter(leads_on) {
                for outcome in self.outcomes(&state, &call) {
                    let next = spec.apply(&state, &call.clone().with(outcome));
                    let is_inside = |next: &State| self.messages || next.mailboxes.describe().next().is_none();
                    states.extend(next.filter(|next| is_inside(next) && known.insert(next.clone())));
                }
            }
        }
        states
    }

    /// Returns calls of every kind, except registrations beyond the maximum.
    pub(super) fn calls(&self, state: &State) -> Vec<Call> {
        let mut calls = vec![Call::Sweep, Call::Count, Call::List(Side::Server), Call::List(Side::Transport)];
        for name in self.names() {
            if registered(state) < self.owners {
                calls.push(Call::Register(name, 1));
            }
            let from = Name::sender(name.side, 0);
            calls.extend([Call::Unregister(name), Call::Find(name), Call::Route(name, from, MESSAGE)]);
            for other in self.names().filter(|other| self.messages && other.side == name.side && *other >= name) {
                calls.push(Call::FindMany(vec![name, other]));
                calls.push(Call::RouteMany(vec![name, other], from, MESSAGE));
            }
        }
        for server in self.servers() {
            calls.extend([Call::TransportsOf(server), Call::Broadcast(server, MESSAGE)]);
        }
        for transport in self.transports() {
            for server in self.servers() {
                if registered(state) < self.owners {
                    calls.push(Call::RegisterBound(transport, server, 1));
                }
                calls.push(Call::Bind(transport, server));
            }
            calls.extend([Call::Unbind(transport), Call::ServerFor(transport), Call::BoundRoute(transport)]);
            calls.push(Call::RouteToBound(transport, MESSAGE));
        }
        for owner in owners(state) {
            calls.extend([Call::Release(owner), Call::DropLease(owner), Call::Detach(owner), Call::IsCurrent(owner)]);
            calls.extend([Call::Close(owner), Call::Drain(owner), Call::Waiting(owner)]);
            calls.push(Call::SendBound(owner, MESSAGE));
        }
        calls
    }

    /// Returns outcomes of a call: every one that some state allows, and others.
    pub(super) fn outcomes(&self, state: &State, call: &Call) -> Vec<Outcome> {
        let found = || owners(state).map(Some).chain([None]);
        match call {
            Call::Register(..) | Call::RegisterBound(..) => {
                let next = (0..=registered(state) + 1).map(Owner);
                let registered = next.map(Outcome::Registered);
                registered.chain(owners(state).map(Outcome::Taken)).chain([Outcome::ServerNotFound]).collect()
            }
            Call::Release(_) | Call::Unregister(_) | Call::Unbind(_) | Call::IsCurrent(_) => {
                [false, true].map(Outcome::Bool).into()
            }
            Call::DropLease(_) | Call::Detach(_) | Call::Close(_) => vec![Outcome::Done, Outcome::Bool(true)],
            Call::Bind(..) => vec![Outcome::Done, Outcome::ServerNotFound, Outcome::TransportNotFound],
            Call::Sweep => self.counts().map(|(servers, transports)| Outcome::Swept(servers, transports)).collect(),
            Call::Count => {
                let bindings = 0..=usize::from(self.transports);
                let counts = self.counts().flat_map(|counts| bindings.clone().map(move |count| (counts, count)));
                counts.map(|((servers, transports), count)| Outcome::Counted(servers, transports, count)).collect()
            }
            Call::ServerFor(_) => self.servers().map(Some).chain([None]).map(Outcome::Server).collect(),
            Call::TransportsOf(_) => {
                let repeated = self.transports().map(|transport| vec![transport; 2]);
                let listed = lists(self.transports(), || [false, true].into_iter());
                let listed = listed.into_iter().map(|all| all.into_iter().filter(|of| of.1).map(|of| of.0).collect());
                listed.chain(repeated).map(Outcome::Transports).collect()
            }
            Call::Find(_) | Call::BoundRoute(_) => found().map(Outcome::Found).collect(),
            Call::FindMany(names) => {
                let all = lists(names.iter().copied(), found);
                all.into_iter().map(|all| Outcome::FoundMany(all.into_iter().map(|of| of.1).collect())).collect()
            }
            Call::List(side) => {
                let names = self.names().filter(|name| name.side == *side);
                let all = lists(names, found).into_iter();
                all.map(|all| Outcome::Listed(all.into_iter().filter_map(|of| Some((of.0, of.1?))).collect())).collect()
            }
            Call::Route(..) | Call::RouteToBound(..) | Call::SendBound(..) => {
                let unknown = [Routed::Delivered(None)].into_iter();
                unknown.chain(routed(state, MESSAGE)).map(Outcome::Routed).collect()
            }
            Call::RouteMany(..) => {
                let first: Vec<Routed> = routed(state, MESSAGE).collect();
                let pair = |first: &Routed| routed(state, MESSAGE + 1).map(|second| vec![*first, second]).collect();
                first.iter().flat_map::<Vec<_>, _>(pair).map(Outcome::RoutedMany).collect()
            }
            Call::Broadcast(..) => {
                let deliveries = || {
                    let delivered = owners(state).map(Delivery::Delivered);
                    delivered.chain([Delivery::Full, Delivery::Closed]).map(Some).chain([None])
                };
                let mut outcomes = Vec::new();
                for all in lists(self.transports(), deliveries) {
                    let tried: Vec<_> = all.into_iter().filter_map(|of| Some((of.0, of.1?))).collect();
                    let count = tried.iter().filter(|of| matches!(of.1, Delivery::Delivered(_))).count();
                    for (found, delivered) in [(true, count), (false, count), (true, count + 1)] {
                        let tried = tried.clone();
                        outcomes.push(Outcome::Broadcast(BroadcastOutcome { found, delivered, tried }));
                    }
                }
                outcomes
            }
            Call::Drain(_) => {
                let messages = || Name::ALL.into_iter().flat_map(|from| [(from, MESSAGE), (from, MESSAGE + 1)]);
                [vec![]].into_iter().chain(messages().map(|message| vec![message])).map(Outcome::Read).collect()
            }
            Call::Waiting(_) => (0..=2).map(Outcome::Waiting).collect(),
        }
    }

    fn servers(&self) -> impl Iterator<Item = Name> + use<> {
        (0..self.servers).map(Name::server)
    }

    fn transports(&self) -> impl Iterator<Item = Name> + use<> {
        (0..self.transports).map(Name::transport)
    }

    fn names(&self) -> impl Iterator<Item = Name> + use<> {
        self.servers().chain(self.transports())
    }

    fn counts(&self) -> impl Iterator<Item = (usize, usize)> {
        let transports = 0..=usize::from(self.transports);
        (0..=usize::from(self.servers)).flat_map(move |servers| transports.clone().map(move |count| (servers, count)))
    }
}

/// Returns the outcomes of a message, and one of another message than the one that was sent.
fn routed(state: &State, message: u64) -> impl Iterator<Item = Routed> {
    let returned = [Routed::NotFound, Routed::NotBound, Routed::Full, Routed::Closed];
    let returned = returned.map(|routed| routed(message)).into_iter().chain([Routed::Closed(message + 10)]);
    owners(state).map(|owner| Routed::Delivered(Some(owner))).chain(returned)
}

/// Returns whether a call may lead to a state to which the others do not.
fn leads_on(call: &Call) -> bool {
    matches!(
        call,
        Call::Register(..)
            | Call::RegisterBound(..)
            | Call::Unregister(_)
            | Call::Bind(..)
            | Call::Unbind(_)
            | Call::Close(_)
            | Call::Drain(_)
            | Call::Route(..)
            | Call::RouteToBound(..)
    )
}

/// Returns all ways of giving each name one of `values`.
fn lists<T: Clone, I: Iterator<Item = T>>(
    names: impl Iterator<Item = Name>,
    values: impl Fn() -> I,
) -> Vec<Vec<(Name, T)>> {
    names.fold(vec![Vec::new()], |lists, name| {
        let longer = |list: Vec<(Name, T)>| values().map(move |value| [&list[..], &[(name, value)]].concat());
        lists.into_iter().flat_map(longer).collect()
    })
}

/// Returns the number of registrations so far.
fn registered(state: &State) -> u8 {
    (0..).find(|number| state.is_next(Owner(*number))).unwrap_or_default()
}

fn owners(state: &State) -> impl Iterator<Item = Owner> + use<> {
    (0..registered(state)).map(Owner)
}
