//! Integration tests of the public API; most run over every backend, with 1 and with 64 shards.
//!
//! Grouped as the folders of `src`, after those that concern the whole crate.

#[macro_use]
mod support;

mod api_traits;
mod concurrency;
#[cfg(feature = "serde")]
mod serialization;
mod settings;

mod lifecycle;

mod storage;

mod binding;

mod routing;

mod request;

mod mailbox;

mod observe;
