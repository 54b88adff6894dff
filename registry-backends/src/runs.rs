//! Reading several entries with their cache misses side by side: enter all shards of a run, look all up, then show them.
//!
//! What enters a map is a locked instruction or a fence, at which a processor waits for all that it has begun to load. So
//! none stands between two look-ups here.

use registry_core::{AT_ONCE, Run, Seen, Wanted, trap};
#[cfg(any(feature = "papaya", feature = "left-right"))]
use registry_core::{Head, Key, Shard, State};

use crate::hashed::Query;

/// [`Shard::with_each`](registry_core::Shard::with_each) for a map that is read through a guard.
///
/// `approach` is called for each of a run while nothing of it is held; `enter` makes a guard for one that is wanted, and `covers` says whether the one for its predecessor does for it too.
/// Guards are let go of after each run, and after its trap.
#[inline]
pub(crate) fn read_in_runs<'a, T, K, H, S, G>(
    wanted: &[Wanted<'a, T>],
    approach: impl Fn(&Wanted<'a, T>),
    enter: impl Fn(&Wanted<'a, T>) -> G,
    covers: impl Fn(&Wanted<'a, T>, &Wanted<'a, T>) -> bool,
    find: impl for<'g> Fn(&'g G, &Query<'_>) -> Option<Seen<'g, K, H, S>>,
    mut read: impl FnMut(usize, &Run<'_, K, H, S>),
) {
    trap::looking("with_each");
    for (number, run) in wanted.chunks(AT_ONCE).enumerate() {
        run.iter().for_each(&approach);
        let mut guards = [const { None }; AT_ONCE];
        for (place, wanted) in run.iter().enumerate() {
            if place == 0 || !covers(&run[place - 1], wanted) {
                guards[place] = Some(enter(wanted));
            }
        }
        let mut found = [const { None }; AT_ONCE];
        let mut guard = None;
        for ((found, own), Wanted { hash, key, .. }) in found.iter_mut().zip(&guards).zip(run) {
            guard = own.as_ref().or(guard);
            *found = guard.and_then(|guard| find(guard, &Query { hash: *hash, key }));
        }
        let _reading = trap::reading();
        read(number * AT_ONCE, &found[..run.len()]);
    }
}

/// The same, one by one, of a run that begins at a place: for a thread whose guards must not be used any more.
#[cfg(any(feature = "papaya", feature = "left-right"))]
#[cold]
#[inline(never)]
pub(crate) fn read_one_by_one<K: Key, H: Head, S: State, T: Shard<K, H, S>>(
    wanted: &[Wanted<'_, T>],
    first: usize,
    mut read: impl FnMut(usize, &Run<'_, K, H, S>),
) {
    for (place, Wanted { shard, hash, key }) in wanted.iter().enumerate() {
        let shown = shard.with(*hash, key, |key, head, state| read(first + place, &[Some((key, head, state))]));
        if shown.is_none() {
            let _reading = trap::reading();
            read(first + place, &[None]);
        }
    }
}
