//! Several look-ups at once: counted first, read in runs, and the ones that are to be timed each alone.

use registry_core::{AT_ONCE, Backend, Event, Key, Kind, Operation, Probe, Run, Shard, Wanted};

use super::{Ear, Place, Queue, Table};
use crate::record::{Bond, Head};

/// One of several that are looked up: where it is, and its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) place: Place,
    pub(crate) id: &'a [u8],
}

/// Some of at most [`AT_ONCE`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Some16(u16);

const _: () = assert!(AT_ONCE <= u16::BITS as usize, "there is a bit for each");

impl Some16 {
    #[inline]
    pub(crate) fn add_if(&mut self, is: bool, place: usize) {
        self.0 |= u16::from(is) << place;
    }

    #[inline]
    pub(crate) fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

impl Iterator for Some16 {
    type Item = usize;

    /// The first of them, which is then gone.
    #[inline]
    fn next(&mut self) -> Option<usize> {
        let first = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (first < AT_ONCE).then_some(first)
    }
}

impl<I: Key, Mb: Queue, B: Backend> Table<I, Mb, B> {
    /// Look-ups that the probe hears, at most [`AT_ONCE`]: each counted, and timed if the probe wants it.
    ///
    /// `read` is told the place in `asked` of the first of a run, and says which of the run, by their place in it, are a
    /// miss.
    #[inline]
    pub(crate) fn read_each(
        &self,
        ear: Ear<'_, impl Probe>,
        kind: Kind,
        asked: &[Asked<'_>],
        mut read: impl FnMut(usize, &Run<'_, I, Head<Mb>, Bond>) -> Some16,
    ) {
        let (mut timed, mut missed) = (Some16::default(), Some16::default());
        for (place, asked) in asked.iter().enumerate() {
            timed.add_if(ear.probe.lookup(asked.place.shard), place);
        }
        let mut from = 0;
        let mut some = |from: usize, upto: usize| {
            self.peek_each(&asked[from..upto], |first, run| missed.0 |= read(from + first, run).0 << (from + first));
        };
        for place in timed {
            some(from, place);
            let Asked { place: Place { shard, .. }, id } = asked[place];
            ear.probe.sampled(shard, kind, id);
            let began = ear.time.now();
            some(place, place + 1);
            ear.probe.took(shard, Operation::Read, began, ear.time.now());
            from = place + 1;
        }
        some(from, asked.len());
        for place in missed {
            ear.probe.event(asked[place].place.shard, Event::Miss);
        }
    }

    /// Look-ups that nobody hears, at most [`AT_ONCE`].
    #[inline]
    pub(crate) fn peek_each(&self, asked: &[Asked<'_>], read: impl FnMut(usize, &Run<'_, I, Head<Mb>, Bond>)) {
        let [first, ..] = asked else { return };
        let wanted = |&Asked { place: Place { hash, shard }, id }| Wanted { shard: &self.shards[shard], hash, key: id };
        let mut all = [wanted(first); AT_ONCE];
        for (all, asked) in all.iter_mut().zip(asked) {
            *all = wanted(asked);
        }
        Shard::with_each(&all[..asked.len()], read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_sixteen_are_those_that_were_added() {
        let mut some = Some16::default();
        for place in 0..AT_ONCE {
            some.add_if(place % 5 == 0, place);
        }
        assert!(some.has(15) && !some.has(14));
        assert_eq!(some.collect::<Vec<_>>(), [0, 5, 10, 15]);
        assert_eq!(Some16::default().next(), None);
    }
}
