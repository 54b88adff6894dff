//! Batched lookups: all are counted first and read in runs, and those that are timed are read one by one.

use registry_core::{Backend, Batch, Event, Key, Kind, MAX_BATCH, Operation, Probe, ReadRequest, Shard};

use crate::binding::slot::BindingSlot;
use crate::storage::record::Record;
use crate::storage::table::{Instruments, Location, Queue, Table};

/// An id and its location.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocatedId<'a> {
    pub(crate) location: Location,
    pub(crate) id: &'a [u8],
}

/// A set of indices below [`MAX_BATCH`]. Iteration removes them in ascending order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mask16(u16);

const _: () = assert!(MAX_BATCH <= u16::BITS as usize, "the mask has a bit for each index of a batch");

impl Mask16 {
    #[inline]
    pub(crate) fn add_if(&mut self, condition: bool, index: usize) {
        self.0 |= u16::from(condition) << index;
    }

    #[inline]
    pub(crate) fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }
}

impl Iterator for Mask16 {
    type Item = usize;

    /// Removes and returns the lowest index.
    #[inline]
    fn next(&mut self) -> Option<usize> {
        let lowest = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (lowest < MAX_BATCH).then_some(lowest)
    }
}

impl<I: Key, Mb: Queue, B: Backend> Table<I, Mb, B> {
    /// Looks up at most [`MAX_BATCH`] ids. Each lookup is counted, and timed if the probe asks for it.
    ///
    /// `read` is called with the index in `located` of the first id of a run, and with the run. It returns which
    /// lookups of the run are misses, by their index in the run.
    #[inline]
    pub(crate) fn read_each(
        &self,
        instruments: Instruments<'_, impl Probe>,
        kind: Kind,
        located: &[LocatedId<'_>],
        mut read: impl FnMut(usize, &Batch<'_, I, Record<Mb>, BindingSlot>) -> Mask16,
    ) {
        let (mut timed, mut missed) = (Mask16::default(), Mask16::default());
        for (index, located) in located.iter().enumerate() {
            timed.add_if(instruments.probe.lookup(located.location.shard), index);
        }
        let mut start = 0;
        let mut read_run = |start: usize, end: usize| {
            self.peek_each(&located[start..end], |first, batch| {
                missed.0 |= read(start + first, batch).0 << (start + first)
            });
        };
        for index in timed {
            read_run(start, index);
            let LocatedId { location: Location { shard, .. }, id } = located[index];
            instruments.probe.on_sample(shard, kind, id);
            let began = instruments.time.now();
            read_run(index, index + 1);
            instruments.probe.record_latency(shard, Operation::Read, began, instruments.time.now());
            start = index + 1;
        }
        read_run(start, located.len());
        for index in missed {
            instruments.probe.event(located[index].location.shard, Event::Miss);
        }
    }

    /// Looks up at most [`MAX_BATCH`] ids. Not recorded by the probe.
    #[inline]
    pub(crate) fn peek_each(
        &self,
        located: &[LocatedId<'_>],
        read: impl FnMut(usize, &Batch<'_, I, Record<Mb>, BindingSlot>),
    ) {
        let [first, ..] = located else { return };
        let request = |&LocatedId { location: Location { hash, shard }, id }| ReadRequest {
            shard: &self.shards[shard],
            hash,
            key: id,
        };
        let mut requests = [request(first); MAX_BATCH];
        for (slot, located) in requests.iter_mut().zip(located) {
            *slot = request(located);
        }
        Shard::with_each(&requests[..located.len()], read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_holds_exactly_the_indices_that_were_added() {
        let mut mask = Mask16::default();
        for index in 0..MAX_BATCH {
            mask.add_if(index % 5 == 0, index);
        }
        assert!(mask.has(15) && !mask.has(14));
        assert_eq!(mask.collect::<Vec<_>>(), [0, 5, 10, 15]);
        assert_eq!(Mask16::default().next(), None);
    }
}
