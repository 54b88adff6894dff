//! What is looked at before a registration does anything: the characters of its id, and the size of its metadata.

use registry_core::{Backend, Event, IdRule, InvalidId, MailboxFamily, Metadata, Probe, RegisterErrorKind};
use registry_monitor::MetadataLimit;

use crate::builder::Settings;
use crate::endpoint::Endpoint;
use crate::registry::Inner;
use crate::storage::table::Location;

/// What the registry itself takes, whatever the policy of admission.
pub(crate) struct Rules {
    ids: IdRule,
    metadata: MetadataLimit,
}

impl Rules {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { ids: settings.ids, metadata: settings.limits.metadata }
    }

    fn check_id(&self, id: &[u8]) -> Result<(), InvalidId> {
        // An id is made from a str.
        std::str::from_utf8(id).map_or(Ok(()), |id| self.ids.check(id))
    }

    pub(crate) fn check_metadata(&self, metadata: &Metadata) -> Result<(), RegisterErrorKind> {
        let MetadataLimit { labels: max_labels, bytes: max_bytes } = self.metadata;
        let (labels, bytes) = (metadata.len(), metadata.byte_len());
        if labels <= max_labels && bytes <= max_bytes {
            return Ok(());
        }
        Err(RegisterErrorKind::MetadataTooLarge { labels, bytes, max_labels, max_bytes })
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Checks what a new registration brings, before anything is done for it.
    ///
    /// As with any id that is not valid, one that the rule refuses is not counted.
    pub(crate) fn check_claim<I: Endpoint>(
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
