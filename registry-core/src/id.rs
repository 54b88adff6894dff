//! Names of servers and transports: validated once, then cheap to clone, compare and hash.

use std::convert::Infallible;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// The longest id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 255;

/// Ids up to this many bytes, so every UUID, live inside the value: no allocation, and no cache miss to compare.
const INLINE_BYTES: usize = 38;

/// Why a text cannot be an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The text is empty.
    #[error("an id cannot be empty")]
    Empty,
    /// The text is longer than [`MAX_ID_BYTES`].
    #[error("an id has at most {MAX_ID_BYTES} bytes, this one has {bytes}")]
    TooLong {
        /// The length of the text in bytes.
        bytes: usize,
    },
    /// The text contains a character that the registry's [rule](crate::IdRule) refuses, such as an invisible one. It is
    /// an id, and cannot be registered there.
    #[error("an id here cannot contain invisible characters, this one has U+{:04X} at byte {at}", u32::from(*.character))]
    Invisible {
        /// The first such character.
        character: char,
        /// Its place in the text, in bytes.
        at: usize,
    },
    /// The text contains a control character (Unicode category Cc).
    #[error("an id cannot contain control characters, this one has {character:?} at byte {at}")]
    ControlCharacter {
        /// The first control character.
        character: char,
        /// Its place in the text, in bytes.
        at: usize,
    },
}

impl From<Infallible> for InvalidId {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The text of an id: inline when it is short, shared when it is long. Both forms are exactly 40 bytes.
#[derive(Clone)]
enum Text {
    Inline { len: u8, bytes: [u8; INLINE_BYTES] },
    Shared(Arc<str>),
}

impl Text {
    fn new(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId::Empty);
        }
        if text.len() > MAX_ID_BYTES {
            return Err(InvalidId::TooLong { bytes: text.len() });
        }
        if let Some((at, character)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(InvalidId::ControlCharacter { character, at });
        }
        if text.len() > INLINE_BYTES {
            return Ok(Self::Shared(text.into()));
        }
        let mut bytes = [0; INLINE_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self::Inline { len: text.len() as u8, bytes })
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Shared(text) => text.as_bytes(),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Inline { .. } => {
                std::str::from_utf8(self.as_bytes()).expect("an id is made from a str and never changed")
            }
            Self::Shared(text) => text,
        }
    }
}

macro_rules! id {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        ///
        /// 1 to 255 bytes of UTF-8 without control characters.
        /// Cloning never allocates: up to 38 bytes are copied, a longer text is shared.
        /// Ids compare, order and hash as their text does, so a map from ids is looked up with a `&str`.
        #[derive(Clone)]
        pub struct $name(Text);

        impl $name {
            /// Checks `text` and makes it an id. O(length).
            ///
            /// # Errors
            ///
            /// [`InvalidId`] when the text is empty, longer than 255 bytes, or has a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                Text::new(text.as_ref()).map(Self)
            }

            /// The id as text.
            ///
            /// A short id is checked to be UTF-8 on each call (a few nanoseconds); [`as_bytes`](Self::as_bytes) is free.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The id as the bytes that it is compared and hashed by.
            #[inline]
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl AsRef<[u8]> for $name {
            #[inline]
            fn as_ref(&self) -> &[u8] {
                self.as_bytes()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                self.as_str()
            }
        }

        impl PartialEq for $name {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                self.as_bytes() == other.as_bytes()
            }
        }

        impl Eq for $name {}

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_bytes() == other.as_bytes()
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self == *other
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_bytes().cmp(other.as_bytes())
            }
        }

        impl Hash for $name {
            #[inline]
            fn hash<H: Hasher>(&self, state: &mut H) {
                // As `str` does, which `Borrow<str>` promises.
                self.as_str().hash(state);
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.as_str()).finish()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<&$name> for $name {
            fn from(id: &$name) -> Self {
                id.clone()
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// The name of a server: something that answers.
    ServerId
}

id! {
    /// The name of a transport: a connection.
    TransportId
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[test]
    fn an_id_is_forty_bytes() {
        assert_eq!(size_of::<ServerId>(), 40);
        assert_eq!(size_of::<TransportId>(), 40);
    }

    #[test]
    fn bad_texts_are_told_apart() {
        assert_eq!(ServerId::new(""), Err(InvalidId::Empty));
        assert_eq!(ServerId::new("x".repeat(256)), Err(InvalidId::TooLong { bytes: 256 }));
        let control = InvalidId::ControlCharacter { character: '\n', at: 2 };
        assert_eq!(TransportId::new("ab\ncd"), Err(control));
        assert_eq!(TransportId::new("\u{85}"), Err(InvalidId::ControlCharacter { character: '\u{85}', at: 0 }));
        assert_eq!(control.to_string(), "an id cannot contain control characters, this one has '\\n' at byte 2");
    }

    #[test]
    fn every_length_keeps_its_text() {
        for length in 1..=MAX_ID_BYTES {
            let text = "é".repeat(length / 2) + if length % 2 == 1 { "x" } else { "" };
            let id = ServerId::new(&text).unwrap();
            assert_eq!(id.as_str(), text);
            assert_eq!(id.as_bytes(), text.as_bytes());
            assert_eq!(id, id.clone());
        }
    }

    #[test]
    fn ids_order_as_their_text_whether_inline_or_shared() {
        let short = ServerId::new("b").unwrap();
        let long = ServerId::new("a".repeat(100)).unwrap();
        assert!(long < short);
        assert_eq!(format!("{short:>3}"), "  b");
        assert_eq!(format!("{short:?}"), "ServerId(\"b\")");
    }

    #[test]
    fn a_map_from_ids_is_looked_up_with_text() {
        let long = "x".repeat(200);
        let ids = ["b", &long].map(|text| ServerId::new(text).unwrap());
        let hashed: HashMap<ServerId, usize> = ids.iter().cloned().zip(0..).collect();
        let sorted: BTreeMap<ServerId, usize> = ids.iter().cloned().zip(0..).collect();
        for (text, expected) in [("b", Some(&0)), (&long, Some(&1)), ("c", None)] {
            assert_eq!(hashed.get(text), expected);
            assert_eq!(sorted.get(text), expected);
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serde_validates() {
        let id: ServerId = serde_json::from_str("\"tools/search\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"tools/search\"");
        assert!(serde_json::from_str::<ServerId>("\"\"").is_err());
    }
}
