//! Checks of a new registration before admission: the characters of its id, and the size of its metadata.

use registry_core::{Event, IdRule, InvalidId, Metadata, Probe, RegisterErrorKind};
use registry_monitor::MetadataLimit;

use crate::builder::Settings;
use crate::endpoint::Endpoint;
use crate::registry::Inner;
use crate::storage::table::Location;
use crate::types::Types;

/// The rules that the registry itself enforces, independent of the admission policy.
pub(crate) struct Rules {
    ids: IdRule,
    metadata: MetadataLimit,
}

impl Rules {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { ids: settings.ids, metadata: settings.limits.metadata }
    }

    pub(crate) fn check_id(&self, id: &[u8]) -> Result<(), InvalidId> {
        // The rule is checked first, because finding the text of the bytes again takes longer than all the rest.
        // Ids are constructed from text, so the bytes are always valid UTF-8.
        if self.ids == IdRule::Any {
            return Ok(());
        }
        std::str::from_utf8(id).map_or(Ok(()), |id| self.ids.check(id))
    }

    pub(crate) fn check_metadata(&self, metadata: &Metadata) -> Result<(), RegisterErrorKind> {
        let MetadataLimit { labels: max_labels, bytes: max_bytes, .. } = self.metadata;
        let (labels, bytes) = (metadata.len(), metadata.byte_len());
        if labels <= max_labels && bytes <= max_bytes {
            return Ok(());
        }
        Err(RegisterErrorKind::MetadataTooLarge { labels, bytes, max_labels, max_bytes })
    }
}

impl<T: Types> Inner<T> {
    /// Checks the id and the metadata of a new registration.
    ///
    /// As with any invalid id, an id that violates the rule is not counted in the statistics.
    pub(crate) fn check_rules<I: Endpoint>(
        &self,
        location: Location,
        id: &I,
        metadata: &Metadata,
    ) -> Result<(), RegisterErrorKind> {
        self.rules.check_id(id.as_ref())?;
        let checked = self.rules.check_metadata(metadata);
        if checked.is_err() {
            self.probe.event(location.shard, Event::Rejected);
        }
        checked
    }
}
