//! A key that carries its hash, and a hasher that returns it, so that no map in this crate computes a hash.
//!
//! The types guarantee that: a [`Key`] is not required to implement `Hash`, so no map here can hash one. The only input
//! of a hasher is the hash that was passed to the call.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher};

use registry_core::Key;

/// A key in a table, stored with its hash, so that a growing table does not compute it again.
#[derive(Clone)]
pub(crate) struct Hashed<K> {
    hash: u64,
    key: K,
}

/// The argument of a lookup: the hash, and the borrowed bytes of a key.
pub(crate) struct Query<'a> {
    pub(crate) hash: u64,
    pub(crate) key: &'a [u8],
}

/// The common view of a key in a table and a query for it.
///
/// The map of `std` finds an owned key by any type that the key can be borrowed as. A `Hashed<K>` contains no `Query`,
/// but both can be seen as a `dyn Lookup`.
pub(crate) trait Lookup {
    fn hash(&self) -> u64;
    fn bytes(&self) -> &[u8];
}

/// Returns whether two keys are equal. Compares the hashes first: they are inline, the bytes may be behind a pointer.
#[inline]
pub(crate) fn same(a: &(impl Lookup + ?Sized), b: &(impl Lookup + ?Sized)) -> bool {
    a.hash() == b.hash() && a.bytes() == b.bytes()
}

/// A hasher that returns the hash it was given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PassThrough(u64);

impl<K> Hashed<K> {
    pub(crate) fn new(hash: u64, key: K) -> Self {
        Self { hash, key }
    }

    #[inline]
    pub(crate) fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Key> Lookup for Hashed<K> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.key.as_ref()
    }
}

impl Lookup for Query<'_> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.key
    }
}

impl<K: Key> PartialEq for Hashed<K> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        same(self, other)
    }
}

impl<K: Key> Eq for Hashed<K> {}

impl<K: Key> Hash for Hashed<K> {
    #[inline]
    fn hash<V: Hasher>(&self, state: &mut V) {
        state.write_u64(self.hash);
    }
}

impl<'a, K: Key> Borrow<dyn Lookup + 'a> for Hashed<K> {
    #[inline]
    fn borrow(&self) -> &(dyn Lookup + 'a) {
        self
    }
}

impl PartialEq for dyn Lookup + '_ {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        same(self, other)
    }
}

impl Eq for dyn Lookup + '_ {}

impl Hash for dyn Lookup + '_ {
    #[inline]
    fn hash<V: Hasher>(&self, state: &mut V) {
        state.write_u64(Lookup::hash(self));
    }
}

impl BuildHasher for PassThrough {
    type Hasher = Self;

    #[inline]
    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

impl Hasher for PassThrough {
    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("this hasher accepts only a finished hash");
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
