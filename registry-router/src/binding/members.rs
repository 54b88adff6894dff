//! The members of a group, and how they are freed.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use registry_core::{Incarnation, TransportId};

use crate::binding::token::BindingToken;

/// The members of a group.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(super) ids: ByIncarnation<TransportId>,
    /// The tokens of those members whose binding is cached by a route: few or none.
    pub(super) tokens: ByIncarnation<Arc<BindingToken>>,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// The members of a closed group, to be freed in parts.
#[derive(Debug)]
pub(crate) struct DetachedMembers {
    ids: btree_map::IntoIter<u64, TransportId>,
    tokens: btree_map::IntoIter<u64, Arc<BindingToken>>,
}

impl From<Members> for DetachedMembers {
    fn from(Members { ids, tokens }: Members) -> Self {
        Self { ids: ids.into_iter(), tokens: tokens.into_iter() }
    }
}

impl DetachedMembers {
    /// Frees at most `max` members, and returns how many were freed.
    pub(crate) fn free(&mut self, max: usize) -> usize {
        self.tokens.by_ref().take(max).for_each(drop);
        self.ids.by_ref().take(max).count()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// A map keyed by [`key`] of the incarnation, so that a transport that registers again under its id is another member.
///
/// A tree, because no single operation on it takes long, however many members there are, and it can be freed in parts:
/// a hash table is moved as a whole when it grows, and freed as a whole.
pub(super) type ByIncarnation<T> = BTreeMap<u64, T>;

/// Returns the reversed bits of an incarnation: consecutive incarnations go to nodes all over the tree, which keeps the
/// nodes fuller.
pub(super) fn key(incarnation: Incarnation) -> u64 {
    incarnation.as_u64().reverse_bits()
}

pub(super) fn incarnation_of(key: u64) -> Incarnation {
    Incarnation::from_u64(key.reverse_bits())
}
