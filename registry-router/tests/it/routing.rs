//! Sending messages.

mod batch;
mod bound;
mod large_messages;
mod messages_with_handles;
mod route;
mod send;
