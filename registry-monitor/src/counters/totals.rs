//! The sums of one shard's counters over all blocks.

use registry_core::{Event, ShardStats};

/// The counts of one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(super) lookups: u64,
    /// Indexed by [`Event`].
    pub(super) events: [u64; Event::COUNT],
}

impl Totals {
    pub(crate) fn lookups(&self) -> u64 {
        self.lookups
    }

    pub(crate) fn events(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    /// Returns the difference from an earlier reading of the same counters, which only grow.
    pub(super) fn since(mut self, earlier: &Self) -> Self {
        self.lookups = self.lookups.wrapping_sub(earlier.lookups);
        for (now, then) in self.events.iter_mut().zip(earlier.events) {
            *now = now.wrapping_sub(then);
        }
        self
    }

    /// Adds the counts to those of a shard. The caller computes the hits.
    pub(crate) fn add_to(&self, stats: &mut ShardStats) {
        stats.lookups += self.lookups();
        for (sum, event) in [
            (&mut stats.misses, Event::Miss),
            (&mut stats.registrations, Event::Registered),
            (&mut stats.removals, Event::Removed),
            (&mut stats.rejections, Event::Rejected),
            (&mut stats.refused, Event::Refused),
            (&mut stats.binds, Event::Bound),
            (&mut stats.unbinds, Event::Unbound),
            (&mut stats.routes, Event::Routed),
            (&mut stats.full, Event::Full),
            (&mut stats.closed, Event::Closed),
            (&mut stats.swept, Event::Swept),
        ] {
            *sum += self.events(event);
        }
    }
}
