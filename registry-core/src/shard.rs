//! The contract of a backend and of its shards: reads by closure, insertion if absent, conditional removal.

use std::convert::Infallible;
use std::fmt;
use std::ops::ControlFlow;

use crate::contention::Contention;
use crate::reentrancy;

/// The key of an entry: equal to another key exactly when their bytes are equal, and cheap to clone.
///
/// A shard may compare and clone keys while it holds its locks, so neither may access a shard. Implemented for every
/// type that satisfies the bounds, such as an id.
pub trait Key: AsRef<[u8]> + Clone + Send + Sync + 'static {}

impl<K: AsRef<[u8]> + Clone + Send + Sync + 'static> Key for K {}

/// The value of an entry: the part that lookups read. It is immutable and cheap to clone.
///
/// A backend that keeps several copies of its table clones values.
pub trait Value: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> Value for V {}

/// The state of an entry: the part of which there is one instance, mutated through shared references.
pub trait State: Send + Sync + 'static {}

impl<S: Send + Sync + 'static> State for S {}

/// A kind of concurrent map, as a value that creates shards.
///
/// Anything shared by all shards of one registry, such as a garbage collector, lives in this value. A clone, if the
/// type implements `Clone`, must not share it: everything that the shards of a registry hold must be freed once they
/// are dropped, regardless of other registries. [`Default`] gives the recommended settings.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a map that a registry can be built on",
    label = "not a backend",
    note = "a registry names its backend in its type, as in `Registry<Message, Papaya>`; the ready-made ones are in \
            `registry_router::backends`, each behind the feature of its name"
)]
pub trait Backend: fmt::Debug + Default + Send + Sync + 'static {
    /// The name in tables, results and command lines: lower case, no spaces.
    const NAME: &'static str;

    /// The shard type of this backend.
    type Shard<K: Key, V: Value, S: State>: Shard<K, V, S>;

    /// Creates an empty shard with capacity for about `capacity` entries. Zero must be accepted.
    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S>;
}

/// One independent partition of a registry's table.
///
/// # The hash
///
/// Every call passes the hash of its key, and a shard must not compute another one, neither for reads nor for writes.
/// The hash has 64 uniform bits and is the same for the same key in every call. Bits 40 to 51 may be equal for all keys
/// of a shard, because the shard was selected by them; the low 40 and the top 12 bits are as good as random.
///
/// # Visibility
///
/// A write must be visible to every read, on every thread, that starts after the write has returned. Operations on one
/// key must be linearizable: each appears to take effect at one instant between its call and its return.
///
/// # Progress
///
/// Readers must not starve writers: even if the shard is never without readers, a write must complete after at most a
/// few further reads of each thread, if each read is short.
///
/// # Values and states
///
/// An entry has two parts. Its *value* is what a lookup reads: it is the same from insertion to removal, and a clone is
/// equivalent to it, so a shard that keeps several copies of its table has a value in each, where a read finds it
/// without another indirection. Its *state* contains locks and atomics: all reads of an entry must get references to
/// the same instance, so a shard that keeps several copies must share it.
///
/// # Reads and writes must not nest
///
/// The closures passed to [`with`](Self::with), [`with_each`](Self::with_each) and [`for_each`](Self::for_each) may
/// read any shard, but must not write to one, nor drop one. The closures passed to [`remove_if`](Self::remove_if) and
/// [`insert_new_with`](Self::insert_new_with) must not access any shard at all. Several maps deadlock otherwise. Every
/// method must call the functions of [`reentrancy`](crate::reentrancy), which turn forbidden nesting into a panic.
///
/// # Panics in closures
///
/// A closure that panics must leave the shard unchanged and usable.
///
/// # Dropping
///
/// A removed entry may be dropped later than its removal, by any thread that uses the shard. But keys, values and
/// states must not be dropped, nor values cloned, while the shard holds a lock that one of its operations acquires: the
/// drop of any of them may write to the shard, and the clone of a value may read it. (When reads nest, something may be
/// dropped at the end of the inner one; a write in its drop is then a write inside the outer read.)
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the contract of a shard for keys `{K}`, values `{V}` and states `{S}`",
    note = "implement `Shard<K, V, S>` for every `K: Key, V: Value, S: State` and test it with `registry_conformance::conformance!`"
)]
pub trait Shard<K: Key, V: Value, S: State>: Send + Sync + 'static {
    /// Calls `read` with the entry of `key`, in place, and returns its result, or `None` without calling `read` if
    /// there is no entry.
    ///
    /// Once the calling thread has read this shard before, this must not wait for other readers and must not allocate.
    /// While a writer waits, a read that is not nested in another read may let that writer go first, but must continue
    /// after a bounded time in any case, because threads of the user may wait for each other. It must never touch a
    /// reference count of value or state.
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R>;

    /// Reads several entries in place, of one shard or of several, and passes them to `read` in batches.
    ///
    /// `read` is called with the index in `requests` at which a batch starts, and the results for that request and
    /// those that follow. Batches must come in the order of `requests`, with each request in exactly one batch, and
    /// repeated requests answered separately; a batch must have at most [`MAX_BATCH`] entries. An absent entry must be
    /// passed as `None`. Each entry is read at its own instant during the call: this is not a snapshot.
    ///
    /// Everything that holds for [`with`](Self::with) holds here: once the calling thread has read these shards before,
    /// this must not wait for other readers and must not allocate, and it must never touch a reference count.
    ///
    /// The default reads one entry after the other. A faster implementation enters all shards of a batch first, then
    /// looks up all keys, and then calls `read`: there is then no serializing instruction between two lookups, so their
    /// cache misses overlap. But nothing may be held of a batch when the next one is passed to `read`, because writers
    /// may wait for it.
    fn with_each(requests: &[ReadRequest<'_, Self>], mut read: impl FnMut(usize, &Batch<'_, K, V, S>))
    where
        Self: Sized,
    {
        for (index, ReadRequest { shard, hash, key }) in requests.iter().enumerate() {
            let found = shard.with(*hash, key, |key, value, state| read(index, &[Some((key, value, state))]));
            if found.is_none() {
                let _reading = reentrancy::enter_read();
                read(index, &[None]);
            }
        }
    }

    /// Inserts an entry if the key is absent and `complete` returns `Ok`.
    ///
    /// Of several concurrent calls for one absent key exactly one must succeed, unless `complete` declines.
    ///
    /// `complete` sets the part of the value that is known only to the call that wins the key, such as a number that
    /// grows with each registration of the key. It must be called at most once, and only while no other entry of the
    /// key is in the shard, nor can be inserted before this one is visible or the call has failed. The calls of
    /// `complete` for one key are therefore in the order of their entries. It is passed the value and all copies of it
    /// that the shard is about to insert, and does the same to each. It runs inside the shard: it must be short and
    /// must not access any shard, and the guard of [`reentrancy::enter_predicate`](crate::reentrancy::enter_predicate)
    /// must be held around it. If it panics, nothing is inserted.
    ///
    /// # Errors
    ///
    /// [`NotInserted`] with value and state: unchanged if the key is occupied, and as `complete` left them if it
    /// declined.
    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>>;

    /// Inserts an entry, whose value is complete, if the key is absent.
    ///
    /// # Errors
    ///
    /// [`Occupied`] with value and state, unchanged, if the key is occupied.
    fn insert_new(&self, hash: u64, key: K, value: V, state: S) -> Result<(), Occupied<V, S>> {
        match self.insert_new_with(hash, key, value, state, |_| Ok::<_, Infallible>(())) {
            Ok(()) => Ok(()),
            Err(NotInserted::Occupied(value, state)) => Err(Occupied(value, state)),
        }
    }

    /// Removes the entry of `key` if `predicate` returns `true`, and returns whether this call removed it.
    ///
    /// `predicate` must be called with the entry that is to be removed, under the exclusion that the removal requires,
    /// and may be called more than once. Once it has returned `true` for an entry, that entry must leave the shard: by
    /// this call, or by another one whose predicate has returned `true` as well. Exactly one of those calls returns
    /// `true`.
    fn remove_if(&self, hash: u64, key: &[u8], predicate: impl FnMut(&K, &V, &S) -> bool) -> bool;

    /// Calls `visit` with each entry until it breaks.
    ///
    /// Every entry that is present throughout the call must be visited exactly once; an entry that is inserted or
    /// removed during the call may or may not be visited.
    fn for_each(&self, visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>);

    /// Returns the number of entries: exact while no write runs. The cost must not depend on their number.
    fn len(&self) -> usize;

    /// Returns about how many entries fit before the table grows, for callers that decide on [`shrink`](Self::shrink).
    ///
    /// The cost must not depend on the number of entries, and the call must wait no longer than a write does. The
    /// default is for a map that keeps no spare capacity.
    fn capacity(&self) -> usize {
        self.len()
    }

    /// Reduces the capacity, but not below twice the number of entries nor below the initial capacity of the shard.
    ///
    /// This is a write, and may cost as much as inserting all entries; it changes no entry. A map may keep more
    /// capacity while other threads write. The default does nothing.
    fn shrink(&self) {}

    /// Returns how often operations on this shard contended, if the map can count that. The count never decreases.
    ///
    /// Must not wait: it is called while other operations wait.
    fn contention(&self) -> Option<Contention> {
        None
    }

    /// Returns whether there are no entries.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The maximum number of entries in a batch of [`Shard::with_each`].
///
/// A processor has some ten to twenty cache misses in flight, so longer batches gain little; and a writer that waits
/// for the readers of a shard waits for a whole batch.
pub const MAX_BATCH: usize = 16;

/// A request to read one entry: its shard, the hash of its key, and its key.
#[derive(Debug)]
pub struct ReadRequest<'a, T> {
    /// The shard.
    pub shard: &'a T,
    /// The hash of the key.
    pub hash: u64,
    /// The key.
    pub key: &'a [u8],
}

/// A borrowed entry: key, value and state.
pub type EntryParts<'a, K, V, S> = (&'a K, &'a V, &'a S);

/// The results of consecutive read requests.
pub type Batch<'a, K, V, S> = [Option<EntryParts<'a, K, V, S>>];

impl<T> Clone for ReadRequest<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ReadRequest<'_, T> {}

/// The error returned when an entry is not inserted. Returns value and state.
///
/// Exhaustive: it is part of the contract of a [`Shard`], whose implementations create it and whose callers must handle
/// both variants.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotInserted<V, S, E> {
    /// The key is occupied.
    #[error("the key is occupied")]
    Occupied(V, S),
    /// The key was absent, and the closure that completes the value declined, for the contained reason.
    #[error("the insertion was declined")]
    Declined(V, S, E),
}

impl<V, S, E> fmt::Debug for NotInserted<V, S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Occupied(..) => "Occupied",
            Self::Declined(..) => "Declined",
        };
        f.debug_tuple(name).finish_non_exhaustive()
    }
}

/// The error returned when a key is occupied. Returns value and state.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is occupied")]
pub struct Occupied<V, S>(pub V, pub S);

impl<V, S> fmt::Debug for Occupied<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Occupied").finish_non_exhaustive()
    }
}
