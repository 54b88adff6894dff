//! The metadata of a registration: a small, immutable, reference-counted map of text labels.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

/// Labels of a registration, such as `region = eu`.
///
/// Immutable once registered, and reference-counted, so that returning it never copies the labels. Empty metadata do
/// not allocate; the type is one pointer.
///
/// ```
/// use registry_core::Metadata;
///
/// let metadata = Metadata::new().with("region", "eu").with("tenant", "acme");
/// assert_eq!(metadata.get("region"), Some("eu"));
/// assert_eq!(metadata.len(), 2);
/// ```
///
/// Values may be secrets, so `Debug` shows the keys and the lengths of the values, and never a value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(Option<Arc<Labels>>);

type Labels = BTreeMap<Box<str>, Box<str>>;

static NO_LABELS: Labels = BTreeMap::new();

impl Metadata {
    /// Creates empty metadata. Does not allocate.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Returns the metadata with a label added, or with its value replaced if `key` is present.
    ///
    /// Copies the labels if they are shared; meant for building metadata, not for a hot path.
    #[must_use]
    pub fn with(mut self, key: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        Arc::make_mut(self.0.get_or_insert_default()).insert(key.into(), value.into());
        self
    }

    /// Returns the value of a label. O(log labels).
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.as_ref()?.get(key).map(|value| &**value)
    }

    /// Returns an iterator over all labels, in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.as_deref().unwrap_or(&NO_LABELS).iter().map(|(key, value)| (&**key, &**value))
    }

    /// Returns the number of labels.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |labels| labels.len())
    }

    /// Returns the total length of all keys and values in bytes. O(labels).
    pub fn byte_len(&self) -> usize {
        self.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    /// Returns whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, value)| (key, Bytes(value.len())))).finish()
    }
}

/// Formats the length of a secret in place of the secret.
pub(crate) struct Bytes(pub(crate) usize);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

impl From<()> for Metadata {
    fn from((): ()) -> Self {
        Self::new()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>, const N: usize> From<[(K, V); N]> for Metadata {
    fn from(labels: [(K, V); N]) -> Self {
        labels.into_iter().collect()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> From<Vec<(K, V)>> for Metadata {
    fn from(labels: Vec<(K, V)>) -> Self {
        labels.into_iter().collect()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>, S> From<HashMap<K, V, S>> for Metadata {
    fn from(labels: HashMap<K, V, S>) -> Self {
        labels.into_iter().collect()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> From<BTreeMap<K, V>> for Metadata {
    fn from(labels: BTreeMap<K, V>) -> Self {
        labels.into_iter().collect()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Metadata {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(labels: T) -> Self {
        let labels: Labels = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self((!labels.is_empty()).then(|| Arc::new(labels)))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Metadata {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Labels::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_metadata_is_one_null_pointer() {
        assert_eq!(size_of::<Metadata>(), size_of::<usize>());
        assert_eq!(Metadata::from(()), Metadata::from_iter(Vec::<(&str, &str)>::new()));
        assert!(Metadata::new().is_empty());
    }

    #[test]
    fn it_is_made_from_pairs_and_from_maps() {
        let metadata = Metadata::new().with("a", "1").with("b", "2");
        let pairs = [("a", "1"), ("b", "2")];
        assert_eq!(Metadata::from(pairs), metadata);
        assert_eq!(Metadata::from(pairs.to_vec()), metadata);
        assert_eq!(Metadata::from(HashMap::from(pairs)), metadata);
        assert_eq!(Metadata::from(BTreeMap::from(pairs)), metadata);
    }

    #[test]
    fn adding_a_label_does_not_change_clones() {
        let one = Metadata::new().with("a", "1");
        let two = one.clone().with("b", "2").with("a", "3");
        assert_eq!(one.iter().collect::<Vec<_>>(), [("a", "1")]);
        assert_eq!(two.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
        assert_eq!((one.iter().len(), two.iter().len(), Metadata::new().iter().len()), (1, 2, 0));
        assert_eq!(two.with("語", "abc").byte_len(), 4 + 6);
    }

    #[test]
    fn debug_shows_keys_and_value_lengths() {
        let metadata = Metadata::new().with("tenant", "acme42").with("a \"key\"", "");
        assert_eq!(format!("{metadata:?}"), r#"{"a \"key\"": 0 bytes, "tenant": 6 bytes}"#);
        assert_eq!(format!("{:?}", Metadata::new()), "{}");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serde_format_is_a_map() {
        let metadata: Metadata = serde_json::from_str(r#"{"region":"eu"}"#).unwrap();
        assert_eq!(serde_json::to_string(&metadata).unwrap(), r#"{"region":"eu"}"#);
    }
}
