//! The contract of one shard: closure reads, insert-if-absent, compare-and-delete.

use std::convert::Infallible;
use std::fmt;
use std::ops::ControlFlow;

use crate::contention::Contention;
use crate::reentrancy;

/// What may be a key: something that is equal to another exactly when their bytes are, and cheap to clone.
///
/// A shard may compare and clone keys while it holds its locks, so neither may call a shard.
/// Implemented for everything that fits; an id is the usual one.
pub trait Key: AsRef<[u8]> + Clone + Send + Sync + 'static {}

impl<K: AsRef<[u8]> + Clone + Send + Sync + 'static> Key for K {}

/// What may be the head of an entry: the part that lookups read, which never changes and is cheap to clone.
///
/// A map that keeps copies of its table clones heads.
pub trait Value: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> Value for V {}

/// What may be the state of an entry: the part of which there is one, and which changes through shared references.
pub trait State: Send + Sync + 'static {}

impl<S: Send + Sync + 'static> State for S {}

/// A kind of concurrent map, as a value that makes shards.
///
/// What all shards of one registry share, such as a collector of garbage, lives in the value, and a clone of the value, if
/// there can be one, must not share it: whatever a registry's shards hold must be freed when they are dropped, whatever
/// other registries do. [`Default`] gives the settings that suit most.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a map that a registry can be built on",
    label = "not a backend",
    note = "a registry names its backend in its type, as in `Registry<Message, Papaya>`; the ready-made ones are in \
            `registry_router::backends`, each behind the feature of its name"
)]
pub trait Backend: fmt::Debug + Default + Send + Sync + 'static {
    /// The name in tables, rows and command lines: lower case, no spaces.
    const NAME: &'static str;

    /// One shard of this kind.
    type Shard<K: Key, V: Value, S: State>: Shard<K, V, S>;

    /// Makes an empty shard with room for about `capacity` entries before it grows. Zero must be taken.
    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S>;
}

/// One independent part of the table.
///
/// # The hash
///
/// Every call brings the hash of its key, and a shard must not compute another one: not on reads, not on writes.
/// The hash is 64 uniform bits, the same for the same key at every call.
/// Bits 40 to 51 may be alike in all keys of a shard, because the shard was chosen by them; the low 40 and the top 12
/// are as good as random.
///
/// # Visibility
///
/// A write must be visible to every read, on every thread, that starts after the write has returned.
/// Operations on one key must be linearizable: each appears to happen at one instant between its call and its return.
///
/// # Waiting
///
/// A write must get in although there is always somebody reading, if each read is short: after at most a few further reads
/// of each thread.
///
/// # Heads and states
///
/// An entry has two parts. Its *head* is what a lookup reads: it is the same from insertion to removal, and a clone is
/// as good as the original, so a shard that keeps several copies of its table has a head in each, where a read finds it
/// without another step.
/// Its *state* has locks and atomics of its own: all reads of an entry must be given references to the same object, so
/// a shard that keeps several copies must share it.
///
/// # Reads and writes must not nest
///
/// The closures given to [`with`](Self::with), [`with_each`](Self::with_each) and [`for_each`](Self::for_each) may read
/// any shard, but must not write to one, nor drop one; the closures given to [`remove_if`](Self::remove_if) and
/// [`insert_new_with`](Self::insert_new_with) must not touch any shard at all. Several maps deadlock on that.
/// Every method must tell the [`reentrancy`](crate::reentrancy), which turns a forbidden nesting into a panic.
///
/// # Panics in closures
///
/// A closure that panics must leave the shard as it was and usable.
///
/// # Dropping
///
/// What was removed may be dropped later than its removal, by whichever thread comes by. But keys, heads and states are
/// never dropped, nor heads cloned, while the shard holds a lock that an operation on it takes: the drop of any of them
/// may come back with a write, and the clone of a head with a read. (When reads nest, something may be dropped at the end
/// of the inner one; a write in its drop is then one inside the outer read.)
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep the contract of a shard for keys `{K}`, heads `{V}` and states `{S}`",
    note = "implement `Shard<K, V, S>` for every `K: Key, V: Value, S: State` and test it with `registry_conformance::conformance!`"
)]
pub trait Shard<K: Key, V: Value, S: State>: Send + Sync + 'static {
    /// Reads the entry of `key` in place and returns what `read` makes of it, or `None` without calling `read`.
    ///
    /// Once the calling thread has read this shard before, it must not wait for other readers and must not allocate.
    /// While a writer waits, a read that is inside no other one may let that writer go first, but must go on after a while
    /// in any case, for users' threads may wait for each other. It must never touch a reference count of head or state.
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R>;

    /// Reads several entries in place, of one shard or of several, and shows them to `read` in runs.
    ///
    /// `read` is given the place in `wanted` at which a run begins, and what was found for it and those that follow.
    /// Runs must come in the order of `wanted`, with each entry in exactly one, and one that is wanted twice in two
    /// places; a run must have at most [`MAX_BATCH`] entries. What is absent must be shown as `None`.
    /// Each entry is read at an instant of the call, its own: this is no snapshot.
    ///
    /// All that holds for [`with`](Self::with) holds here: once the calling thread has read these shards before, it must
    /// not wait for other readers and must not allocate, and it must never touch a reference count.
    ///
    /// What is given here goes one by one. It is worth more to enter all shards of a run first, then to look up all that
    /// is wanted, and only then to show it: between two lookups there is then nothing that the processor waits for, so
    /// their cache misses overlap. But nothing must be held of a run when the next one is shown, for writers may wait.
    fn with_each(wanted: &[ReadRequest<'_, Self>], mut read: impl FnMut(usize, &Batch<'_, K, V, S>))
    where
        Self: Sized,
    {
        for (place, ReadRequest { shard, hash, key }) in wanted.iter().enumerate() {
            let shown = shard.with(*hash, key, |key, value, state| read(place, &[Some((key, value, state))]));
            if shown.is_none() {
                let _reading = reentrancy::enter_read();
                read(place, &[None]);
            }
        }
    }

    /// Inserts an entry if there is none under the key and `complete` agrees.
    ///
    /// Of several concurrent calls for one absent key exactly one must succeed, if none is declined.
    ///
    /// `complete` puts into the head what can be known only by the one who has won the key, such as a number that grows
    /// from owner to owner. It must be called at most once, and only at an instant at which no other entry of the key is
    /// in the shard, nor can get in before this one is visible or the call has failed. So the calls of `complete` for one
    /// key come in the order of their entries.
    /// It is given the head and all copies of it that the shard is about to insert, and does the same to each. It runs
    /// inside the shard: it must be short and must not touch any shard, and [`reentrancy::enter_predicate`](crate::reentrancy::enter_predicate)
    /// must be held around it. If it panics, nothing is inserted.
    ///
    /// # Errors
    ///
    /// [`NotInserted`] with head and state: untouched when there is an entry, and as `complete` left them when that has
    /// declined.
    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>>;

    /// Inserts an entry, whose head is complete, if there is none under the key.
    ///
    /// # Errors
    ///
    /// [`Occupied`] with head and state, untouched, when there is an entry.
    fn insert_new(&self, hash: u64, key: K, value: V, state: S) -> Result<(), Occupied<V, S>> {
        match self.insert_new_with(hash, key, value, state, |_| Ok::<_, Infallible>(())) {
            Ok(()) => Ok(()),
            Err(NotInserted::Occupied(value, state)) => Err(Occupied(value, state)),
        }
    }

    /// Removes the entry of `key` if `owned` says so, and says whether this call removed it.
    ///
    /// `owned` must be called for the entry that is to be removed, under whatever makes the removal exclusive, and may
    /// be called more than once. Once it has returned true for an entry, that entry must leave the shard: by this call
    /// or by another one whose `owned` said true as well. Exactly one of them returns true.
    fn remove_if(&self, hash: u64, key: &[u8], owned: impl FnMut(&K, &V, &S) -> bool) -> bool;

    /// Visits entries until `visit` breaks.
    ///
    /// Every entry that is there from before the call until it returns must be visited exactly once; one that is
    /// inserted or removed meanwhile may or may not be.
    fn for_each(&self, visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>);

    /// How many entries there are: exact when nobody writes. Must not depend on their number.
    fn len(&self) -> usize;

    /// How many entries there is room for before the table grows, about: for whoever decides about
    /// [`shrink`](Self::shrink).
    ///
    /// Must not depend on the number of entries, and must wait for others no longer than a write does. What is given here
    /// is for a map that keeps no room it does not need.
    fn capacity(&self) -> usize {
        self.len()
    }

    /// Gives back room that the entries do not need, but for as many again as there are, and for as many as the shard was
    /// made for.
    ///
    /// It is a write, and may cost as much as all entries do when they are inserted; it changes none. A map may give back
    /// less while others write. What is given here does nothing.
    fn shrink(&self) {}

    /// How often operations on this shard met, if the map can tell. It never falls.
    ///
    /// Must not wait for anybody: it is asked while others wait.
    fn contention(&self) -> Option<Contention> {
        None
    }

    /// Whether there are no entries.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The most entries that [`Shard::with_each`] shows at once.
///
/// A processor keeps some ten to twenty cache misses in flight, so longer runs gain little; and whoever waits for the
/// readers of a shard waits for a whole run.
pub const MAX_BATCH: usize = 16;

/// One of several entries that are to be read: in which shard, under which hash and key.
#[derive(Debug)]
pub struct ReadRequest<'a, T> {
    /// The shard.
    pub shard: &'a T,
    /// The hash of the key.
    pub hash: u64,
    /// The key.
    pub key: &'a [u8],
}

/// An entry in place: key, head and state.
pub type EntryParts<'a, K, V, S> = (&'a K, &'a V, &'a S);

/// What was found for some that are wanted, one after the other.
pub type Batch<'a, K, V, S> = [Option<EntryParts<'a, K, V, S>>];

impl<T> Clone for ReadRequest<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ReadRequest<'_, T> {}

/// Why an entry was not inserted; head and state come back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotInserted<V, S, E> {
    /// The key is taken.
    #[error("the key is taken")]
    Occupied(V, S),
    /// The key was free, and the closure that completes the head declined, for this reason.
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

/// The key is taken; head and state come back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is taken")]
pub struct Occupied<V, S>(pub V, pub S);

impl<V, S> fmt::Debug for Occupied<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Occupied").finish_non_exhaustive()
    }
}
