//! Reading several entries with their cache misses side by side: enter all shards of a run, look all up, then show them.
//!
//! What enters a map is a locked instruction or a fence, at which a processor waits for all that it has begun to load. So
//! none stands between two lookups here.

use registry_core::{Batch, EntryParts, MAX_BATCH, ReadRequest, reentrancy};
#[cfg(any(feature = "papaya", feature = "left-right"))]
use registry_core::{Key, Shard, State, Value};

use crate::hashed::Query;

/// [`Shard::with_each`](registry_core::Shard::with_each) for a map that is read through a guard.
///
/// `prefetch` is called for each of a run while nothing of it is held; `enter` makes a guard for one that is wanted, and `covers` says whether the one for its predecessor does for it too.
/// Guards are let go of after each run, and after its trap.
#[inline]
pub(crate) fn read_in_runs<'a, T, K, V, S, G>(
    wanted: &[ReadRequest<'a, T>],
    prefetch: impl Fn(&ReadRequest<'a, T>),
    enter: impl Fn(&ReadRequest<'a, T>) -> G,
    covers: impl Fn(&ReadRequest<'a, T>, &ReadRequest<'a, T>) -> bool,
    find: impl for<'g> Fn(&'g G, &Query<'_>) -> Option<EntryParts<'g, K, V, S>>,
    mut read: impl FnMut(usize, &Batch<'_, K, V, S>),
) {
    reentrancy::check_read("with_each");
    for (number, batch) in wanted.chunks(MAX_BATCH).enumerate() {
        batch.iter().for_each(&prefetch);
        let mut guards = [const { None }; MAX_BATCH];
        for (place, wanted) in batch.iter().enumerate() {
            if place == 0 || !covers(&batch[place - 1], wanted) {
                guards[place] = Some(enter(wanted));
            }
        }
        let mut found = [const { None }; MAX_BATCH];
        let mut guard = None;
        for ((found, own), ReadRequest { hash, key, .. }) in found.iter_mut().zip(&guards).zip(batch) {
            guard = own.as_ref().or(guard);
            *found = guard.and_then(|guard| find(guard, &Query { hash: *hash, key }));
        }
        let _reading = reentrancy::enter_read();
        read(number * MAX_BATCH, &found[..batch.len()]);
    }
}

/// The same, one by one, of a run that begins at a place: for a thread whose guards must not be used any more.
#[cfg(any(feature = "papaya", feature = "left-right"))]
#[cold]
#[inline(never)]
pub(crate) fn read_one_by_one<K: Key, V: Value, S: State, T: Shard<K, V, S>>(
    wanted: &[ReadRequest<'_, T>],
    first: usize,
    mut read: impl FnMut(usize, &Batch<'_, K, V, S>),
) {
    for (place, ReadRequest { shard, hash, key }) in wanted.iter().enumerate() {
        let shown = shard.with(*hash, key, |key, value, state| read(first + place, &[Some((key, value, state))]));
        if shown.is_none() {
            let _reading = reentrancy::enter_read();
            read(first + place, &[None]);
        }
    }
}
