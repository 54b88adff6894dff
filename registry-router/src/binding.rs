//! Bindings of transports to servers: the slot in each entry, the group of each server, and their counts.

pub(crate) mod bind;
pub(crate) mod counts;
pub(crate) mod group;
pub(crate) mod members;
pub(crate) mod slot;
pub(crate) mod token;
