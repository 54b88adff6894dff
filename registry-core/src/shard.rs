//! The contract of one shard: closure reads, insert-if-absent, compare-and-delete.

use std::fmt;
use std::ops::ControlFlow;

/// What may be a key: something that is equal to another exactly when their bytes are, and cheap to clone.
///
/// Implemented for everything that fits; an id is the usual one.
pub trait Key: AsRef<[u8]> + Clone + Send + Sync + 'static {}

impl<K: AsRef<[u8]> + Clone + Send + Sync + 'static> Key for K {}

/// What may be a value: anything that threads can share.
///
/// A value may change itself through a shared reference, with atomics or a lock, and relies on
/// [one value, one place](Shard#one-value-one-place) when it does.
pub trait Value: Send + Sync + 'static {}

impl<V: Send + Sync + 'static> Value for V {}

/// A kind of concurrent map, as a value that makes shards.
///
/// What all shards of one registry share, such as a collector of garbage, lives in the value;
/// [`Default`] gives the settings that suit most.
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
    type Shard<K: Key, V: Value>: Shard<K, V>;

    /// Makes an empty shard with room for about `capacity` entries before it grows. Zero must be taken.
    fn shard<K: Key, V: Value>(&self, capacity: usize) -> Self::Shard<K, V>;
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
/// # One value, one place
///
/// All reads of an entry, from its insertion to its removal, must be given references to the same object.
/// Values carry locks and atomics of their own; a shard that needs several copies of its table must share the value.
///
/// # Reads and writes must not nest
///
/// The closures given to [`with`](Self::with) and [`for_each`](Self::for_each) may read any shard, but must not write
/// to one, nor drop one; the closure given to [`remove_if`](Self::remove_if) must not touch any shard at all. Several
/// maps deadlock on that.
/// Every method must tell the [`trap`](crate::trap), which turns a forbidden nesting into a panic in debug builds.
///
/// # Panics in closures
///
/// A closure that panics must leave the shard as it was and usable.
///
/// # Dropping
///
/// A removed value may be dropped later than its removal, by whichever thread comes by, but never while the shard
/// holds a lock that an operation on it takes: the drop of a value may come back with a write. (When reads nest, a
/// value may be dropped at the end of the inner one; a write in its drop is then one inside the outer read.)
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep the contract of a shard for keys `{K}` and values `{V}`",
    note = "implement `Shard<K, V>` for every `K: Key, V: Value` and prove it with `registry_core::conformance!`"
)]
pub trait Shard<K: Key, V: Value>: Send + Sync + 'static {
    /// Reads the entry of `key` in place and returns what `read` makes of it, or `None` without calling `read`.
    ///
    /// Once the calling thread has read this shard before, it must not wait for other readers and must not allocate.
    /// It must never touch a reference count of the value.
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V) -> R) -> Option<R>;

    /// Inserts an entry if there is none under the key.
    ///
    /// Of several concurrent calls for one absent key exactly one must succeed.
    ///
    /// # Errors
    ///
    /// [`Occupied`] with the value, untouched, when there is an entry.
    fn insert_new(&self, hash: u64, key: K, value: V) -> Result<(), Occupied<V>>;

    /// Removes the entry of `key` if `owned` says so, and says whether this call removed it.
    ///
    /// `owned` must be called for the entry that is to be removed, under whatever makes the removal exclusive, and may
    /// be called more than once. Once it has returned true for an entry, that entry must leave the shard: by this call
    /// or by another one whose `owned` said true as well. Exactly one of them returns true.
    fn remove_if(&self, hash: u64, key: &[u8], owned: impl FnMut(&K, &V) -> bool) -> bool;

    /// Visits entries until `visit` breaks.
    ///
    /// Every entry that is there from before the call until it returns must be visited exactly once; one that is
    /// inserted or removed meanwhile may or may not be.
    fn for_each(&self, visit: impl FnMut(&K, &V) -> ControlFlow<()>);

    /// How many entries there are: exact when nobody writes. Must not depend on their number.
    fn len(&self) -> usize;

    /// Whether there are no entries.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The key is taken; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is taken")]
pub struct Occupied<V>(pub V);

impl<V> fmt::Debug for Occupied<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Occupied").finish_non_exhaustive()
    }
}
