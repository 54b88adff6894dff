//! Which entries a list is to show: a prefix, a condition on the metadata, a limit.

use std::fmt;

use crate::metadata::Metadata;

type Filter<'a> = Box<dyn Fn(&Metadata) -> bool + 'a>;

/// A selection of entries. All conditions must hold; without any, every entry is selected.
///
/// ```
/// use registry_core::Select;
///
/// let tools = Select::prefix("tools/").filter(|metadata| metadata.get("region") == Some("eu")).limit(50);
/// # drop(tools);
/// ```
#[derive(Default)]
pub struct Select<'a> {
    prefix: &'a str,
    filter: Option<Filter<'a>>,
    limit: Option<usize>,
}

impl<'a> Select<'a> {
    /// Every entry.
    pub fn all() -> Self {
        Self::default()
    }

    /// Entries whose id begins with `prefix`.
    pub fn prefix(prefix: &'a str) -> Self {
        Self { prefix, ..Self::default() }
    }

    /// Only entries whose metadata satisfies `filter`; given twice, both must hold.
    ///
    /// The filter runs outside of all shards, so it may call the registry.
    #[must_use]
    pub fn filter(mut self, filter: impl Fn(&Metadata) -> bool + 'a) -> Self {
        self.filter = Some(match self.filter.take() {
            None => Box::new(filter),
            Some(first) => Box::new(move |metadata| first(metadata) && filter(metadata)),
        });
        self
    }

    /// At most this many entries; which ones is not specified. Zero selects nothing.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Whether an id has the prefix; for those who implement a registry.
    pub fn takes_id(&self, id: &[u8]) -> bool {
        id.starts_with(self.prefix.as_bytes())
    }

    /// Whether the metadata satisfies the filter; for those who implement a registry.
    pub fn takes_metadata(&self, metadata: &Metadata) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(metadata))
    }

    /// Whether there is a filter, so that it must be asked; for those who implement a registry.
    pub fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// How many entries are wanted at most; for those who implement a registry.
    pub fn max(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("prefix", &self.prefix)
            .field("filter", &self.filter.is_some())
            .field("limit", &self.limit)
            .finish()
    }
}
