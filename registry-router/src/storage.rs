//! Storage of registrations: the hash of ids, an array of shards, and the record of each entry.

pub(crate) mod batch;
pub(crate) mod partition;
pub(crate) mod record;
pub(crate) mod room;
pub(crate) mod table;
