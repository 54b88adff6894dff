//! Several lookups at once: counted first, read in runs, and the ones that are to be timed each alone.

use registry_core::{Backend, Batch, Event, Key, Kind, MAX_BATCH, Operation, Probe, ReadRequest, Shard};

use crate::binding::slot::BindingSlot;
use crate::storage::record::Record;
use crate::storage::table::{Instruments, Location, Queue, Table};

/// One of several that are looked up: where it is, and its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocatedId<'a> {
    pub(crate) location: Location,
    pub(crate) id: &'a [u8],
}

/// Some of at most [`MAX_BATCH`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mask16(u16);

const _: () = assert!(MAX_BATCH <= u16::BITS as usize, "there is a bit for each");

impl Mask16 {
    #[inline]
    pub(crate) fn add_if(&mut self, is: bool, location: usize) {
        self.0 |= u16::from(is) << location;
    }

    #[inline]
    pub(crate) fn has(self, location: usize) -> bool {
        self.0 >> location & 1 == 1
    }
}

impl Iterator for Mask16 {
    type Item = usize;

    /// The first of them, which is then gone.
    #[inline]
    fn next(&mut self) -> Option<usize> {
        let first = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (first < MAX_BATCH).then_some(first)
    }
}

impl<I: Key, Mb: Queue, B: Backend> Table<I, Mb, B> {
    /// Lookups that the probe hears, at most [`MAX_BATCH`]: each counted, and timed if the probe wants it.
    ///
    /// `read` is told the place in `located` of the first of a run, and says which of the run, by their place in it, are a
    /// miss.
    #[inline]
    pub(crate) fn read_each(
        &self,
        instruments: Instruments<'_, impl Probe>,
        kind: Kind,
        located: &[LocatedId<'_>],
        mut read: impl FnMut(usize, &Batch<'_, I, Record<Mb>, BindingSlot>) -> Mask16,
    ) {
        let (mut timed, mut missed) = (Mask16::default(), Mask16::default());
        for (location, located) in located.iter().enumerate() {
            timed.add_if(instruments.probe.lookup(located.location.shard), location);
        }
        let mut from = 0;
        let mut some = |from: usize, upto: usize| {
            self.peek_each(&located[from..upto], |first, batch| {
                missed.0 |= read(from + first, batch).0 << (from + first)
            });
        };
        for location in timed {
            some(from, location);
            let LocatedId { location: Location { shard, .. }, id } = located[location];
            instruments.probe.on_sample(shard, kind, id);
            let began = instruments.time.now();
            some(location, location + 1);
            instruments.probe.record_latency(shard, Operation::Read, began, instruments.time.now());
            from = location + 1;
        }
        some(from, located.len());
        for location in missed {
            instruments.probe.event(located[location].location.shard, Event::Miss);
        }
    }

    /// Lookups that nobody hears, at most [`MAX_BATCH`].
    #[inline]
    pub(crate) fn peek_each(
        &self,
        located: &[LocatedId<'_>],
        read: impl FnMut(usize, &Batch<'_, I, Record<Mb>, BindingSlot>),
    ) {
        let [first, ..] = located else { return };
        let wanted = |&LocatedId { location: Location { hash, shard }, id }| ReadRequest {
            shard: &self.shards[shard],
            hash,
            key: id,
        };
        let mut all = [wanted(first); MAX_BATCH];
        for (all, located) in all.iter_mut().zip(located) {
            *all = wanted(located);
        }
        Shard::with_each(&all[..located.len()], read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_sixteen_are_those_that_were_added() {
        let mut some = Mask16::default();
        for location in 0..MAX_BATCH {
            some.add_if(location % 5 == 0, location);
        }
        assert!(some.has(15) && !some.has(14));
        assert_eq!(some.collect::<Vec<_>>(), [0, 5, 10, 15]);
        assert_eq!(Mask16::default().next(), None);
    }
}
