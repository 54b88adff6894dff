//! papaya: a lock-free hash table, whose reads write nothing that threads share.
//!
//! # Trade-offs
//!
//! Readers and writers never wait for each other, so the tail of a read does not depend on what others do. It costs:
//!
//! - *Late drops.* A removed value is dropped when seize reclaims the batch that it is in. A batch is per thread and
//!   shard, and is tried at 32 removals (or as many as there are cores, if that is more), so a thread that removes and
//!   then idles keeps up to 31 removed values alive. The drop happens at the end of some later operation on the shard,
//!   maybe a read, on any thread.
//! - *Late shrinking.* The table halves only when an insertion resizes it and it is at most an eighth full, and never
//!   below its first capacity.
//! - *Memory.* An entry is an allocation of its own, and a shard has a collector of its own, of about 1 KiB.
//!   papaya 0.2.5 can share one collector among maps (`shared_collector`), but must not here: dropping one of the maps
//!   reclaims what readers of another still hold (<https://github.com/ibraheemdev/papaya/issues/102>).
//! - [`for_each`](Shard::for_each) first completes a resize that is under way.
//!
//! # How it works
//!
//! papaya's tag is the top 7 bits of the hash and its slot the low ones, so a shard may be chosen by those between.
//! Heads and states lie in papaya's entries, which do not move when the table grows.
//!
//! An entry is removed by compare-and-swap after `owned` has said true, so `owned` may be called again for the entry
//! that it finds when the swap fails, and two threads may both be told true; one of them wins.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;

use ::papaya::{Equivalent, HashMap};
use registry_core::{Backend, Head, Key, Occupied, Run, Shard, State, Wanted, trap};

use crate::hashed::{Hashed, PassThrough, Query, same};
use crate::runs::read_in_runs;

/// Shards that are a `papaya::HashMap`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Papaya;

/// A shard of [`Papaya`].
pub struct PapayaShard<K, H, S> {
    map: HashMap<Hashed<K>, (H, S), PassThrough>,
}

impl Backend for Papaya {
    const NAME: &'static str = "papaya";

    type Shard<K: Key, H: Head, S: State> = PapayaShard<K, H, S>;

    fn shard<K: Key, H: Head, S: State>(&self, capacity: usize) -> Self::Shard<K, H, S> {
        PapayaShard { map: HashMap::with_capacity_and_hasher(capacity, PassThrough::default()) }
    }
}

// In all methods the trap's guard is dropped before the pin: it is the pin's end that may drop removed values, and
// their drop may write.
impl<K: Key, H: Head, S: State> Shard<K, H, S> for PapayaShard<K, H, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &H, &S) -> R) -> Option<R> {
        trap::looking("with");
        let map = self.map.pin();
        let (key, (head, state)) = map.get_key_value(&Query { hash, key })?;
        let _reading = trap::reading();
        Some(read(key.key(), head, state))
    }

    #[inline]
    fn with_each(wanted: &[Wanted<'_, Self>], read: impl FnMut(usize, &Run<'_, K, H, S>)) {
        read_in_runs(
            wanted,
            |wanted| wanted.shard.map.pin(),
            |one, next| std::ptr::eq(one.shard, next.shard),
            |map, query| map.get_key_value(query).map(|(key, (head, state))| (key.key(), head, state)),
            read,
        );
    }

    fn insert_new(&self, hash: u64, key: K, head: H, state: S) -> Result<(), Occupied<H, S>> {
        trap::writing("insert_new");
        match self.map.pin().try_insert(Hashed::new(hash, key), (head, state)) {
            Ok(_) => Ok(()),
            Err(occupied) => {
                let (head, state) = occupied.not_inserted;
                Err(Occupied(head, state))
            }
        }
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &H, &S) -> bool) -> bool {
        trap::writing("remove_if");
        let map = self.map.pin();
        let removed = map.remove_if(&Query { hash, key }, |key, (head, state)| {
            let _deciding = trap::deciding();
            owned(key.key(), head, state)
        });
        matches!(removed, Ok(Some(_)))
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &H, &S) -> ControlFlow<()>) {
        trap::looking("for_each");
        let map = self.map.pin();
        let _reading = trap::reading();
        for (key, (head, state)) in &map {
            if visit(key.key(), head, state).is_break() {
                break;
            }
        }
    }

    fn len(&self) -> usize {
        self.map.len()
    }
}

impl Hash for Query<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K: Key> Equivalent<Hashed<K>> for Query<'_> {
    #[inline]
    fn equivalent(&self, key: &Hashed<K>) -> bool {
        same(self, key)
    }
}

impl<K, H, S> Drop for PapayaShard<K, H, S> {
    fn drop(&mut self) {
        trap::writing("drop");
    }
}

impl<K, H, S> fmt::Debug for PapayaShard<K, H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PapayaShard").finish_non_exhaustive()
    }
}
