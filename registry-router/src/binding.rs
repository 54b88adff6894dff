//! Bindings of transports to servers: the slot in each record, the group of each server, and their counts.

pub(crate) mod bind;
pub(crate) mod counts;
pub(crate) mod group;
pub(crate) mod slot;
pub(crate) mod token;
