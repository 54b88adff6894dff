//! Reads of several entries with overlapping cache misses: enters all shards of a batch, looks up all keys, and then
//! passes the entries on.
//!
//! Entering a map takes a locked instruction or a fence, which waits for all preceding loads. Here none of them stands
//! between two lookups.

use registry_core::{Batch, ReadRequest, reentrancy};
#[cfg(any(feature = "papaya", feature = "dashmap", feature = "left-right"))]
use registry_core::{EntryParts, MAX_BATCH};
#[cfg(any(feature = "papaya", feature = "evmap", feature = "left-right"))]
use registry_core::{Key, Shard, State, Value};

#[cfg(any(feature = "papaya", feature = "dashmap", feature = "left-right"))]
use crate::hashed::Query;

/// `Shard::with_each` for a map that is read through a guard.
///
/// `prefetch` is called for each request of a batch while no guard of the batch is held. `enter` creates the guard for a
/// request, and `covers` returns whether the guard for the preceding request serves this one as well. Guards are dropped
/// after each batch, later than its reentrancy guard.
#[cfg(any(feature = "papaya", feature = "dashmap", feature = "left-right"))]
#[inline]
pub(crate) fn read_in_batches<'a, T, K, V, S, G>(
    requests: &[ReadRequest<'a, T>],
    prefetch: impl Fn(&ReadRequest<'a, T>),
    enter: impl Fn(&ReadRequest<'a, T>) -> G,
    covers: impl Fn(&ReadRequest<'a, T>, &ReadRequest<'a, T>) -> bool,
    find: impl for<'g> Fn(&'g G, &Query<'_>) -> Option<EntryParts<'g, K, V, S>>,
    mut read: impl FnMut(usize, &Batch<'_, K, V, S>),
) {
    reentrancy::check_read("with_each");
    for (number, batch) in requests.chunks(MAX_BATCH).enumerate() {
        batch.iter().for_each(&prefetch);
        let mut guards = [const { None }; MAX_BATCH];
        for (index, request) in batch.iter().enumerate() {
            if index == 0 || !covers(&batch[index - 1], request) {
                guards[index] = Some(enter(request));
            }
        }
        let mut entries = [const { None }; MAX_BATCH];
        let mut guard = None;
        for ((entry, own), ReadRequest { hash, key, .. }) in entries.iter_mut().zip(&guards).zip(batch) {
            guard = own.as_ref().or(guard);
            *entry = guard.and_then(|guard| find(guard, &Query { hash: *hash, key }));
        }
        let _reading = reentrancy::enter_read();
        read(number * MAX_BATCH, &entries[..batch.len()]);
    }
}

/// Reads the entries of a batch that starts at index `first` one by one, for a thread that cannot hold several guards.
#[cfg(any(feature = "papaya", feature = "evmap", feature = "left-right"))]
#[cold]
#[inline(never)]
pub(crate) fn read_one_by_one<K: Key, V: Value, S: State, T: Shard<K, V, S>>(
    requests: &[ReadRequest<'_, T>],
    first: usize,
    mut read: impl FnMut(usize, &Batch<'_, K, V, S>),
) {
    for (index, ReadRequest { shard, hash, key }) in requests.iter().enumerate() {
        let found = shard.with(*hash, key, |key, value, state| read(first + index, &[Some((key, value, state))]));
        if found.is_none() {
            let _reading = reentrancy::enter_read();
            read(first + index, &[None]);
        }
    }
}
