//! What threads are told to do to a registry, drawn at random: few names, so that they meet.

use fastrand::Rng;

use super::spec::{IDS, Name};
use crate::sequence::Side;

/// One thing to do. An *owner* is whoever made one of the doing thread's own registrations, by number, modulo how many
/// there are; what nobody can do is left undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Register a name, with a mailbox of that capacity.
    Register(Name, usize),
    /// Register a transport (first) bound to a server, with a mailbox of that capacity.
    RegisterBound(Name, Name, usize),
    /// Release the lease of an owner.
    Release(usize),
    /// Close the mailbox of an owner, and read what is in it.
    Close(usize),
    /// Read what is in the mailbox of an owner.
    Drain(usize),
    /// Ask the lease of an owner whether it is current.
    IsCurrent(usize),
    /// Unregister a name, whoever has it.
    Unregister(Name),
    /// Bind a transport (first) to a server.
    Bind(Name, Name),
    /// Unbind a transport.
    Unbind(Name),
    /// Look a name up.
    Find(Name),
    /// Ask for the server of a transport.
    ServerFor(Name),
    /// Ask for the transports of a server.
    TransportsOf(Name),
    /// Send a message to all transports of a server.
    Broadcast(Name),
    /// Send a message to a name, in the name of the id of the other side.
    Route(Name, u8),
    /// Sweep out the dead.
    Sweep,
    /// Count servers, transports and bindings; only when nothing else is going on.
    Count,
}

/// What the threads of one history do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// How many shards the registry has.
    pub shards: usize,
    /// What is done before the threads start, and in whose name.
    pub setup: Vec<(usize, Op)>,
    /// What each thread does.
    pub threads: Vec<Vec<Op>>,
}

impl Program {
    /// The program of a seed, for so many threads.
    #[must_use]
    pub fn of(seed: u64, threads: usize) -> Self {
        let mut generator = Generator { rng: Rng::with_seed(seed), ids: 1 };
        // A registry of many shards is dear to make.
        let shards = *generator.choice(&[1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 64]);
        generator.ids = generator.rng.u8(1..=IDS as u8);
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

    /// What is looked at when all is quiet.
    pub fn final_reads() -> impl Iterator<Item = Op> {
        let all = Name::ALL.into_iter();
        let looks = all.flat_map(|name| match name.side {
            Side::Server => [Op::Find(name), Op::TransportsOf(name)],
            Side::Transport => [Op::Find(name), Op::ServerFor(name)],
        });
        looks.chain([Op::Count])
    }
}

struct Generator {
    rng: Rng,
    /// How many ids of each side take part.
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
