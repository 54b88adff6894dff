//! The workloads, as data: what is done, to which ids, by how many at a time.

use serde::Serialize;

/// Something to do to a registry, over and over.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Workload {
    /// The name in tables, rows and command lines.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub description: &'static str,
    /// Which load it is an example of; backends are compared per load.
    pub load: &'static str,
    /// How often each operation comes.
    pub mix: Mix,
    /// Which ids are looked up.
    pub keys: Keys,
    /// How many servers are registered beforehand.
    pub entries: usize,
    /// How many transports are registered beforehand, for those that bind.
    pub transports: usize,
    /// Who does it.
    pub concurrency: Concurrency,
    /// Which ids are registered during the run.
    pub claims: Claims,
    /// One operation in so many is timed; the others are only counted, since reading the clock costs as much as one.
    pub sample_every: u32,
    /// How long a full run of it takes, in seconds; a quick one is shorter, and says so in its row.
    pub full_seconds: f64,
    /// What the ids and the order of operations are drawn from.
    pub seed: u64,
}

/// Shares of operations in percent, which add to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mix {
    /// Lookups of a server that is there.
    pub lookup: u8,
    /// Lookups of a server that is not there.
    pub miss: u8,
    /// Messages to a server.
    pub route: u8,
    /// Registrations: the worker's previous one ends, and another id is registered.
    pub register: u8,
    /// Bindings of a transport to a server, which move it from the one before.
    pub bind: u8,
}

/// Which ids are looked up, routed to and bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Keys {
    /// Each as often as any other.
    Uniform,
    /// The n-th most popular in proportion to n to the power of minus this.
    Zipf(f64),
    /// One and the same.
    OneHot,
}

/// Who operates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Concurrency {
    /// As many threads as the run is given, each without a pause.
    Threads,
    /// So many live tokio tasks on as many threads as the run is given, each yielding after every few operations.
    Tasks(usize),
}

/// Which ids are registered during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Claims {
    /// Each worker has ids of its own.
    Own,
    /// All workers want these few.
    Shared(usize),
}

impl Mix {
    const NOTHING: Self = Self { lookup: 0, miss: 0, route: 0, register: 0, bind: 0 };
    const LOOKUP: Self = Self { lookup: 100, ..Self::NOTHING };

    /// The sum of all shares.
    #[must_use]
    pub const fn sum(&self) -> u32 {
        self.lookup as u32 + self.miss as u32 + self.route as u32 + self.register as u32 + self.bind as u32
    }

    /// The shares in the order in which an operation is drawn.
    #[must_use]
    pub fn shares(&self) -> [u8; 5] {
        [self.lookup, self.miss, self.route, self.register, self.bind]
    }
}

const BASE: Workload = Workload {
    name: "",
    description: "",
    load: "lookups",
    mix: Mix::LOOKUP,
    keys: Keys::Uniform,
    entries: 10_000,
    transports: 0,
    concurrency: Concurrency::Threads,
    claims: Claims::Own,
    sample_every: 16,
    full_seconds: 2.0,
    seed: 0x5eed,
};

/// All workloads, in the order of the table.
pub const WORKLOADS: [Workload; 13] = [
    Workload {
        name: "lookup-10k",
        description: "lookups by 10,000 live tasks among 10,000 servers",
        concurrency: Concurrency::Tasks(10_000),
        ..BASE
    },
    Workload {
        name: "lookup-50k",
        description: "lookups by 50,000 live tasks among 50,000 servers",
        entries: 50_000,
        concurrency: Concurrency::Tasks(50_000),
        ..BASE
    },
    Workload {
        name: "lookup-100k",
        description: "lookups by 100,000 live tasks among 100,000 servers",
        entries: 100_000,
        concurrency: Concurrency::Tasks(100_000),
        ..BASE
    },
    Workload {
        name: "storm",
        description: "everybody comes and goes: half registrations, half lookups, by 10,000 live tasks",
        load: "coming and going",
        mix: Mix { lookup: 50, register: 50, ..Mix::NOTHING },
        concurrency: Concurrency::Tasks(10_000),
        ..BASE
    },
    Workload {
        name: "bind-stress",
        description: "transports move from server to server while messages are routed, by 10,000 live tasks",
        load: "binding and messages",
        mix: Mix { bind: 50, route: 50, ..Mix::NOTHING },
        transports: 10_000,
        concurrency: Concurrency::Tasks(10_000),
        ..BASE
    },
    Workload {
        name: "route-100k",
        description: "messages by 100,000 live tasks to 100,000 servers",
        load: "messages",
        mix: Mix { route: 100, ..Mix::NOTHING },
        entries: 100_000,
        concurrency: Concurrency::Tasks(100_000),
        ..BASE
    },
    Workload {
        name: "balance",
        description: "100,000 servers over the shards: lookups, and how unevenly the servers lie",
        entries: 100_000,
        ..BASE
    },
    Workload {
        name: "sustained",
        description: "40 % lookups, 30 % messages, 20 % registrations, 10 % bindings, for 30 s in a full run",
        load: "a bit of everything",
        mix: Mix { lookup: 40, route: 30, register: 20, bind: 10, ..Mix::NOTHING },
        transports: 10_000,
        concurrency: Concurrency::Tasks(10_000),
        full_seconds: 30.0,
        ..BASE
    },
    Workload {
        name: "histogram",
        description: "lookups, every single one timed, for the shape of the latency",
        sample_every: 1,
        ..BASE
    },
    Workload {
        name: "contention",
        description: "all threads register and look up the same 16 ids",
        load: "fighting over few names",
        mix: Mix { lookup: 50, register: 50, ..Mix::NOTHING },
        entries: 16,
        claims: Claims::Shared(16),
        ..BASE
    },
    Workload {
        name: "miss",
        description: "lookups of ids that are not registered, among 100,000 that are",
        load: "lookups in vain",
        mix: Mix { miss: 100, ..Mix::NOTHING },
        entries: 100_000,
        ..BASE
    },
    Workload {
        name: "hot",
        description: "all threads look up one and the same id",
        load: "one hot id",
        keys: Keys::OneHot,
        ..BASE
    },
    Workload {
        name: "zipf",
        description: "lookups of 100,000 servers of which few are popular (Zipf, exponent 1)",
        keys: Keys::Zipf(1.0),
        entries: 100_000,
        ..BASE
    },
];

/// The workload of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mix_adds_to_a_hundred() {
        for workload in WORKLOADS {
            assert_eq!(workload.mix.sum(), 100, "{}", workload.name);
            assert_eq!(workload.mix.shares().iter().map(|&share| u32::from(share)).sum::<u32>(), 100);
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        for workload in WORKLOADS {
            assert_eq!(WORKLOADS.iter().filter(|other| other.name == workload.name).count(), 1);
            assert_eq!(find(workload.name).map(|found| found.description), Some(workload.description));
        }
        assert!(find("nope").is_none());
    }

    #[test]
    fn who_binds_has_transports() {
        for workload in WORKLOADS {
            assert_eq!(workload.mix.bind > 0, workload.transports > 0, "{}", workload.name);
            assert!(workload.entries > 0 && workload.sample_every > 0);
        }
    }
}
