//! Message delivery: to one receiver, to many, along a cached route, or when the receiver has room.

pub(crate) mod batch;
pub(crate) mod bound;
pub(crate) mod delivery;
pub(crate) mod route;
pub(crate) mod send;
#[cfg(feature = "sink")]
pub(crate) mod sink;
