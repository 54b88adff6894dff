//! Random programs for the clients of a trial. They use few names, to cause conflicts.

use fastrand::Rng;

use crate::spec::{Name, Side};

/// The number of ids of each side that programs use.
const IDS: u8 = 2;

/// One operation. An *owner* is the index of one of the client's own registrations, modulo their number; an operation
/// that is impossible is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Registers a name, with a mailbox of the given capacity.
    Register(Name, usize),
    /// Registers a transport (first) bound to a server, with a mailbox of the given capacity.
    RegisterBound(Name, Name, usize),
    /// Releases the lease of an owner.
    Release(usize),
    /// Closes the mailbox of an owner and reads what it contains.
    Close(usize),
    /// Reads the mailbox of an owner.
    Drain(usize),
    /// Checks whether the lease of an owner is current.
    IsCurrent(usize),
    /// Unregisters a name.
    Unregister(Name),
    /// Binds a transport (first) to a server.
    Bind(Name, Name),
    /// Unbinds a transport.
    Unbind(Name),
    /// Looks up a name.
    Find(Name),
    /// Reads the server of a transport.
    ServerFor(Name),
    /// Reads the transports of a server.
    TransportsOf(Name),
    /// Broadcasts a message to the transports of a server.
    Broadcast(Name),
    /// Routes a message to a name, sent from an id of the other side.
    Route(Name, u8),
    /// Removes all dead entries.
    Sweep,
    /// Counts servers, transports and bindings; only valid while no other call is pending.
    Count,
}

/// The operations of all clients of one trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The number of shards of the registry.
    pub shards: usize,
    /// Operations before the threads start, each with its client.
    pub setup: Vec<(usize, Op)>,
    /// The operations of each thread.
    pub threads: Vec<Vec<Op>>,
}

impl Program {
    /// Generates the program of a seed, for the given number of threads.
    #[must_use]
    pub fn of(seed: u64, threads: usize) -> Self {
        let mut generator = Generator { rng: Rng::with_seed(seed), ids: 1 };
        // A registry with many shards is expensive to create.
        let shards = *generator.choice(&[1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 64]);
        generator.ids = generator.rng.u8(1..=IDS);
        let mut setup = Vec::new();
        for id in 0..generator.ids {
            if generator.rng.u8(..4) > 0 {
                let registers = Op::Register(Name::server(id), generator.capacity());
                setup.push((generator.rng.usize(..threads), registers));
            }
        }
        for id in 0..generator.ids {
            let transport = Name::transport(id);
            let registers = match generator.rng.u8(..4) {
                0 => continue,
                1 => Op::Register(transport, generator.capacity()),
                _ => Op::RegisterBound(transport, generator.server(), generator.capacity()),
            };
            setup.push((generator.rng.usize(..threads), registers));
        }
        let threads = (0..threads).map(|_| (0..generator.rng.u8(6..=8)).map(|_| generator.op()).collect()).collect();
        Self { shards, setup, threads }
    }

    /// Returns the reads of the final state.
    pub fn final_reads() -> impl Iterator<Item = Op> {
        let all = |side| (0..IDS).map(move |id| Name { side, id });
        let servers = all(Side::Server).flat_map(|name| [Op::Find(name), Op::TransportsOf(name)]);
        let transports = all(Side::Transport).flat_map(|name| [Op::Find(name), Op::ServerFor(name)]);
        servers.chain(transports).chain([Op::Count])
    }
}

struct Generator {
    rng: Rng,
    /// The number of ids of each side in use.
    ids: u8,
}

impl Generator {
    fn op(&mut self) -> Op {
        match self.rng.u8(..48) {
            0..=4 => Op::Register(self.name(), self.capacity()),
            5..=8 => Op::RegisterBound(self.transport(), self.server(), self.capacity()),
            9..=12 => Op::Release(self.owner()),
            13..=15 => Op::Close(self.owner()),
            16 => Op::Drain(self.owner()),
            17 => Op::IsCurrent(self.owner()),
            18..=20 => Op::Unregister(self.name()),
            21..=25 => Op::Bind(self.transport(), self.server()),
            26..=27 => Op::Unbind(self.transport()),
            28..=31 => Op::Find(self.name()),
            32..=35 => Op::ServerFor(self.transport()),
            36..=38 => Op::TransportsOf(self.server()),
            39..=41 => Op::Broadcast(self.server()),
            42..=46 => Op::Route(self.name(), self.id()),
            _ => Op::Sweep,
        }
    }

    fn name(&mut self) -> Name {
        if self.rng.bool() { self.server() } else { self.transport() }
    }

    fn server(&mut self) -> Name {
        Name::server(self.id())
    }

    fn transport(&mut self) -> Name {
        Name::transport(self.id())
    }

    fn id(&mut self) -> u8 {
        self.rng.u8(..self.ids)
    }

    fn owner(&mut self) -> usize {
        self.rng.usize(..8)
    }

    fn capacity(&mut self) -> usize {
        self.rng.usize(1..=3)
    }

    fn choice<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.rng.usize(..of.len())]
    }
}
