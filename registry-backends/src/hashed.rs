//! A key that carries its hash, and the hasher that hands it on: why no map in this crate hashes an id.
//!
//! That nothing is hashed twice needs no test, because the types prove it: a [`Key`] is not required to be `Hash`, so
//! no map here *can* hash one. All that is ever fed to a hasher is the number that came with the call.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher};

use registry_core::Key;

/// A key in a table, with the hash beside it, so that a table which grows does not hash it again.
#[derive(Clone)]
pub(crate) struct Hashed<K> {
    hash: u64,
    key: K,
}

/// What a lookup brings: the hash, and the bytes of a key that it does not own.
pub(crate) struct Query<'a> {
    pub(crate) hash: u64,
    pub(crate) key: &'a [u8],
}

/// What a key in a table and a query for it have in common.
///
/// `std`'s map finds an owned key by anything that the key can be borrowed as. A `Hashed<K>` contains no `Query` that
/// it could lend, but it can be seen as a `dyn Lookup`, and so can a query.
pub(crate) trait Lookup {
    fn hash(&self) -> u64;
    fn bytes(&self) -> &[u8];
}

/// Whether two keys are the same. The hashes go first: they are at hand, the bytes may be behind a pointer.
#[inline]
pub(crate) fn same(a: &(impl Lookup + ?Sized), b: &(impl Lookup + ?Sized)) -> bool {
    a.hash() == b.hash() && a.bytes() == b.bytes()
}

/// A hasher that returns the one number it was given.
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
        unreachable!("only a finished hash is given to this hasher");
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
