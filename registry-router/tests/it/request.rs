//! Requests with replies.

use registry_core::Backend;
use registry_router::{
    CallError, CallErrorKind, Inbox, Registry, ReplySender, Request, ServerLease, ToServer, mailbox,
};

mod bound;
mod call;
mod concurrent_calls;
mod large_requests;
mod outcomes;
mod reads;
#[cfg(feature = "tower")]
mod service;
mod wait_for_room;

/// A registry whose messages are requests with a number and replies with a number.
type Numbers<B> = Registry<Request<u64, u64>, B>;

/// The inbox of a server of such a registry.
type Requests = Inbox<ToServer<Request<u64, u64>>>;

fn numbers<B: Backend>(shards: usize) -> Numbers<B> {
    Registry::builder().shards(shards).build().unwrap()
}

fn server<B: Backend>(registry: &Numbers<B>, id: &str, capacity: usize) -> (ServerLease, Requests) {
    let (mailbox, inbox) = mailbox(capacity);
    (registry.register_server(id, mailbox, ()).unwrap(), inbox)
}

/// Reads the next request, which must be in the inbox.
fn read(inbox: &mut Requests) -> (u64, ReplySender<u64>) {
    inbox.try_recv().unwrap().message.into_parts()
}

/// The outcome of a call in a form that can be compared.
async fn outcome<T, M>(call: impl Future<Output = Result<T, CallError<M>>>) -> Result<T, CallErrorKind> {
    call.await.map_err(|error| error.kind())
}

fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> std::task::Poll<T> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}
