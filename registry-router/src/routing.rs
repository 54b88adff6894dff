//! Delivery of messages: to one receiver, to many, over a bound route, or once there is room.

pub(crate) mod batch;
pub(crate) mod bound;
pub(crate) mod delivery;
pub(crate) mod route;
pub(crate) mod send;
pub(crate) mod waiters;
