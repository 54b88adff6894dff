//! Requests with replies: a message carries the sending end of a one-shot channel, and the caller waits for the reply.
//!
//! A [`Request`] travels as a message or as a part of one, so every path of a message is a path of a request. A new way
//! of sending needs only [`call::sent_by`], and the conversion of its error to a [`CallError`](registry_core::CallError).

pub use self::message::Request;
pub use self::reply::{ReplyReceiver, ReplySender};
#[cfg(feature = "tower")]
pub use self::service::{ResponseFuture, ServerService, TransportService};

mod bound;
mod call;
mod message;
mod reply;
#[cfg(feature = "tower")]
mod reservation;
#[cfg(feature = "tower")]
mod service;
