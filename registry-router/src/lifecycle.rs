//! The life of a registration: admission, registration, renewal, its lease, and how it ends.

pub(crate) mod admission;
pub(crate) mod deferred;
pub(crate) mod lease;
pub(crate) mod register;
pub(crate) mod renew;
pub(crate) mod rules;
pub(crate) mod sweep;
