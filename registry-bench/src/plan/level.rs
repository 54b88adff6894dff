//! How much of everything there is in a quick run, in a full one, and in one that only shows that it runs.

/// How much of everything.
pub(super) struct Level {
    /// How many rounds of workloads.
    pub(super) rounds: usize,
    /// How long a slice of a workload is, in seconds; `None` for as long as the workload says.
    pub(super) seconds: Option<f64>,
    /// The workloads run at all shard counts.
    pub(super) all_shards: bool,
    /// At most so many entries and tasks of a workload.
    pub(super) most: usize,
    /// Ratios, at each of these sizes.
    pub(super) ratios: &'static [Ratios],
    /// Memory along a curve of so many entries, beside the sizes that workloads have.
    pub(super) memory_entries: &'static [usize],
    /// Whether curves and tails are measured without being asked for.
    pub(super) curves_and_tails: bool,
    /// Curves.
    pub(super) curves: Curves,
    /// So many live tasks under open-loop load.
    pub(super) tail_tasks: usize,
    /// And for so many seconds in each scenario.
    pub(super) tail_seconds: f64,
    /// So many operations per second are offered, where it is not half of what saturates.
    pub(super) tail_offered: Option<usize>,
    /// So many mailboxes.
    pub(super) mailboxes: usize,
    /// With room for so many messages.
    pub(super) mailbox_capacities: &'static [usize],
    /// Where there are so many entries or more, only the backends that targets are set for.
    pub(super) many: usize,
}

/// How ratios are measured at one size.
pub(super) struct Ratios {
    pub(super) entries: usize,
    pub(super) pairs: usize,
    pub(super) rounds: usize,
    pub(super) slice_us: u64,
}

/// How curves are measured.
pub(super) struct Curves {
    pub(super) entries: &'static [usize],
    pub(super) shards: &'static [usize],
    /// Along shards.
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
    // What saturates cannot be told from a few milliseconds.
    tail_offered: Some(100_000),
    mailboxes: 100,
    mailbox_capacities: &[16],
    many: usize::MAX,
};
