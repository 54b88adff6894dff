//! The lifecycle of a registration: admission, registration, lease, renewal, and its end.

pub(crate) mod admission;
pub(crate) mod arrivals;
pub(crate) mod deferred;
pub(crate) mod ends;
pub(crate) mod join_guard;
pub(crate) mod lease;
pub(crate) mod register;
pub(crate) mod renew;
pub(crate) mod rules;
pub(crate) mod sweep;
pub(crate) mod unregister;
