//! Mailboxes other than tokio's.

mod custom;
#[cfg(feature = "flume")]
mod flume;
