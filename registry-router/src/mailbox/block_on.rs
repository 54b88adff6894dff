//! Blocks a thread until a poll is ready.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::sync::oneshot;

/// Unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Calls `poll` until it is ready, parking the thread in between.
pub(super) fn poll<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let context = &mut Context::from_waker(&waker);
    loop {
        match poll(context) {
            Poll::Ready(ready) => return ready,
            Poll::Pending => thread::park(),
        }
    }
}

/// Panics if the thread must not block because it runs asynchronous tasks.
#[track_caller]
pub(super) fn assert_not_async() {
    // Only tokio knows, and says so only by a call that may block; this one does not.
    let (sender, receiver) = oneshot::channel::<()>();
    drop(sender);
    let _ = receiver.blocking_recv();
}
