//! Keeping what different threads write on different cache lines.

use std::ops::{Deref, DerefMut};

/// A value that shares no cache line with its neighbours.
///
/// 128 bytes and not 64, because several processors fetch lines in pairs, and some have lines of 128.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Apart<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
