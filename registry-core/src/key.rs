//! The argument of a lookup: an id of the right kind, or text or bytes.

use std::borrow::Cow;
use std::sync::Arc;

use crate::id::{ServerId, TransportId};

/// A value that names a registration whose ids are of type `I`: [`ServerId`] or [`TransportId`].
///
/// Implemented for the id type itself, for `str`, `String`, `Box<str>`, `Arc<str>`, `Cow<str>`, for `[u8]`, `Vec<u8>` and
/// byte arrays, and for references to all of them. A transport's id is not accepted where a server's belongs, and the
/// other way round.
///
/// Text and bytes are compared with the registered ids and are not validated: a key that is no valid id is not found.
///
/// This trait is sealed; it cannot be implemented outside this crate.
///
/// # Examples
///
/// ```
/// use registry_core::{AsId, ServerId};
///
/// fn key(id: impl AsId<ServerId>) -> Vec<u8> {
///     id.as_id().to_vec()
/// }
///
/// let id = ServerId::new("tools")?;
/// assert_eq!(key(&id), key("tools"));
/// assert_eq!(key(String::from("tools")), key(b"tools"));
/// # Ok::<(), registry_core::InvalidId>(())
/// ```
///
/// ```compile_fail,E0277
/// use registry_core::{AsId, ServerId, TransportId};
///
/// fn key(id: impl AsId<ServerId>) -> Vec<u8> {
///     id.as_id().to_vec()
/// }
///
/// key(TransportId::new("connection/1").unwrap()); // error: `TransportId` does not name a `ServerId`
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a `{I}`",
    label = "expected a `{I}`, or text or bytes",
    note = "a server is looked up by its `ServerId` and a transport by its `TransportId`; `&str`, `String` and `&[u8]` name \
            either of them"
)]
pub trait AsId<I>: sealed::Sealed<I> {
    /// Returns the bytes that are compared with the ids that are registered.
    fn as_id(&self) -> &[u8];
}

mod sealed {
    pub trait Sealed<I> {}
}

macro_rules! as_id {
    ($([$($generics:tt)*] $key:ty, $id:ty => |$this:ident| $bytes:expr;)+) => {$(
        impl<$($generics)*> sealed::Sealed<$id> for $key {}

        impl<$($generics)*> AsId<$id> for $key {
            #[inline]
            fn as_id(&self) -> &[u8] {
                let $this = self;
                $bytes
            }
        }
    )+};
}

as_id! {
    [] ServerId, ServerId => |id| id.as_bytes();
    [] TransportId, TransportId => |id| id.as_bytes();
    [I] str, I => |text| text.as_bytes();
    [I] String, I => |text| text.as_bytes();
    [I] Box<str>, I => |text| text.as_bytes();
    [I] Arc<str>, I => |text| text.as_bytes();
    [I] Cow<'_, str>, I => |text| text.as_bytes();
    [I] [u8], I => |bytes| bytes;
    [I] Vec<u8>, I => |bytes| bytes;
    [I, const N: usize] [u8; N], I => |bytes| bytes;
    [I, T: AsId<I> + ?Sized] &T, I => |key| T::as_id(key);
    [I, T: AsId<I> + ?Sized] &mut T, I => |key| T::as_id(key);
}
