//! The extents of a quick run, a full run and a smoke run.

/// The extent of a run.
pub(super) struct Level {
    /// The rounds of workloads.
    pub(super) rounds: usize,
    /// The time of a slice of a workload in seconds; `None` for that of the workload.
    pub(super) seconds: Option<f64>,
    /// Whether all workloads run at all shard counts.
    pub(super) all_shards: bool,
    /// The greatest number of entries and tasks of a workload.
    pub(super) most: usize,
    /// The ratios, for each size.
    pub(super) ratios: &'static [Ratios],
    /// The entries of the memory curve, beside the sizes of the workloads.
    pub(super) memory_entries: &'static [usize],
    /// Whether curves and tails are measured by default.
    pub(super) curves_and_tails: bool,
    /// The curves.
    pub(super) curves: Curves,
    /// The number of live tasks under open-loop load.
    pub(super) tail_tasks: usize,
    /// The seconds of each scenario.
    pub(super) tail_seconds: f64,
    /// The operations offered per second, instead of half of the saturated rate.
    pub(super) tail_offered: Option<usize>,
    /// The number of idle mailboxes.
    pub(super) mailboxes: usize,
    /// Their capacities.
    pub(super) mailbox_capacities: &'static [usize],
    /// From this number of entries on, only backends with targets are measured.
    pub(super) many: usize,
}

/// The ratios at one size.
pub(super) struct Ratios {
    pub(super) entries: usize,
    pub(super) pairs: usize,
    pub(super) rounds: usize,
    pub(super) slice_us: u64,
}

/// The curves.
pub(super) struct Curves {
    pub(super) entries: &'static [usize],
    pub(super) shards: &'static [usize],
    /// The entries of the curve along shards.
    pub(super) shards_entries: usize,
    pub(super) tasks: &'static [usize],
    pub(super) rounds: usize,
    pub(super) slice_us: u64,
}

pub(super) const QUICK: Level = Level {
    rounds: 3,
    seconds: Some(0.06),
    all_shards: false,
    most: usize::MAX,
    ratios: &[
        Ratios { entries: 10_000, pairs: 5, rounds: 30, slice_us: 2_000 },
        Ratios { entries: 1_000_000, pairs: 1, rounds: 11, slice_us: 6_000 },
    ],
    memory_entries: &[1_000, 10_000, 100_000, 1_000_000],
    curves_and_tails: false,
    curves: Curves {
        entries: &[1_000, 10_000, 100_000, 1_000_000],
        shards: &[1, 4, 16, 64, 256],
        shards_entries: 100_000,
        tasks: &[100, 1_000, 10_000, 100_000],
        rounds: 9,
        slice_us: 5_000,
    },
    tail_tasks: 20_000,
    tail_seconds: 1.0,
    tail_offered: None,
    mailboxes: 10_000,
    mailbox_capacities: &[1, 16, 64],
    many: 1_000_000,
};

pub(super) const FULL: Level = Level {
    rounds: 5,
    seconds: None,
    all_shards: true,
    most: usize::MAX,
    ratios: &[
        Ratios { entries: 10_000, pairs: 8, rounds: 104, slice_us: 5_000 },
        Ratios { entries: 1_000_000, pairs: 4, rounds: 52, slice_us: 20_000 },
    ],
    memory_entries: &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    curves_and_tails: true,
    curves: Curves {
        entries: &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
        shards: &[1, 4, 16, 64, 256],
        shards_entries: 100_000,
        tasks: &[100, 1_000, 10_000, 100_000, 1_000_000],
        rounds: 21,
        slice_us: 20_000,
    },
    tail_tasks: 100_000,
    tail_seconds: 5.0,
    tail_offered: None,
    mailboxes: 100_000,
    mailbox_capacities: &[1, 16, 64],
    many: usize::MAX,
};

pub(super) const SMOKE: Level = Level {
    rounds: 1,
    seconds: Some(0.005),
    all_shards: false,
    most: 500,
    ratios: &[Ratios { entries: 1_000, pairs: 2, rounds: 2, slice_us: 100 }],
    memory_entries: &[1_000],
    curves_and_tails: true,
    curves: Curves {
        entries: &[100, 1_000],
        shards: &[1, 4],
        shards_entries: 500,
        tasks: &[100, 300],
        rounds: 2,
        slice_us: 100,
    },
    tail_tasks: 200,
    tail_seconds: 0.02,
    // The saturated rate cannot be measured in a few milliseconds.
    tail_offered: Some(100_000),
    mailboxes: 100,
    mailbox_capacities: &[16],
    many: usize::MAX,
};
