//! A selection of entries for a listing: an id prefix, a filter on the metadata, and a limit.

use std::fmt;

use crate::metadata::Metadata;

type Filter<'a> = Box<dyn Fn(&Metadata) -> bool + 'a>;

/// A selection of entries. All conditions must hold; without conditions every entry is selected.
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
    /// Selects every entry.
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects entries whose id starts with `prefix`.
    pub fn prefix(prefix: &'a str) -> Self {
        Self { prefix, ..Self::default() }
    }

    /// Restricts the selection to entries whose metadata satisfy `filter`. If called twice, both filters must hold.
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

    /// Restricts the selection to at most this many entries; which ones is unspecified. Zero selects nothing.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Returns whether an id has the prefix. For implementations of a registry.
    pub fn takes_id(&self, id: &[u8]) -> bool {
        id.starts_with(self.prefix.as_bytes())
    }

    /// Returns whether the metadata satisfy the filter. For implementations of a registry.
    pub fn takes_metadata(&self, metadata: &Metadata) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(metadata))
    }

    /// Returns whether there is a filter. For implementations of a registry.
    pub fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Returns the maximum number of entries. For implementations of a registry.
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
