//! The workloads, as data: operations, ids, and the number of workers.

use serde::Serialize;

/// A mix of operations that is repeated.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Workload {
    /// The name in tables, rows and command lines.
    pub name: &'static str,
    /// A description of one sentence.
    pub description: &'static str,
    /// The load that it is an example of; backends are compared per load.
    pub load: &'static str,
    /// The share of each operation.
    pub mix: Mix,
    /// The distribution of ids that are looked up.
    pub keys: Keys,
    /// The number of servers registered beforehand.
    pub entries: usize,
    /// The number of transports registered beforehand, for workloads that bind.
    pub transports: usize,
    /// The workers.
    pub concurrency: Concurrency,
    /// The ids registered during the run.
    pub claims: Claims,
    /// One operation in this many is timed; the others are only counted, since reading the clock costs as much as one.
    pub sample_every: u32,
    /// The duration of a full run in seconds; that of a quick one is shorter, and is recorded in its row.
    pub full_seconds: f64,
    /// The seed of ids and of the order of operations.
    pub seed: u64,
}

/// Shares of operations in percent, which add up to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mix {
    /// Lookups of a registered server.
    pub lookup: u8,
    /// Lookups of a server that is not registered.
    pub miss: u8,
    /// Messages to a server.
    pub route: u8,
    /// Registrations: the previous one of the worker ends, and another id is registered.
    pub register: u8,
    /// Bindings of a transport to a server, which move it from the previous server.
    pub bind: u8,
}

/// The distribution of the ids that are looked up, routed to and bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Keys {
    /// All equally often.
    Uniform,
    /// Zipf: the n-th most popular in proportion to n to the power of minus this exponent.
    Zipf(f64),
    /// Always the same id.
    OneHot,
}

/// The workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Concurrency {
    /// The threads of the run, each without a pause.
    Threads,
    /// This many live tokio tasks on the threads of the run, each yielding after every few operations.
    Tasks(usize),
}

/// The ids registered during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Claims {
    /// Each worker registers its own ids.
    Own,
    /// All workers register the same ids, this many.
    Shared(usize),
}

impl Mix {
    const NOTHING: Self = Self { lookup: 0, miss: 0, route: 0, register: 0, bind: 0 };
    const LOOKUP: Self = Self { lookup: 100, ..Self::NOTHING };

    /// Returns the sum of all shares.
    #[must_use]
    pub const fn sum(&self) -> u32 {
        self.lookup as u32 + self.miss as u32 + self.route as u32 + self.register as u32 + self.bind as u32
    }

    /// Returns the shares in the order in which an operation is drawn.
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
        description: "half registrations, half lookups, by 10,000 live tasks",
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
        description: "lookups, all of them timed, for the distribution of latency",
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

/// Returns the workload of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mix_adds_up_to_100() {
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
    fn workloads_that_bind_have_transports() {
        for workload in WORKLOADS {
            assert_eq!(workload.mix.bind > 0, workload.transports > 0, "{}", workload.name);
            assert!(workload.entries > 0 && workload.sample_every > 0);
        }
    }
}
