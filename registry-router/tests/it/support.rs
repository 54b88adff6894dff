//! Shared by the tests: a small registry, its mailboxes, a time limit, and the macro that runs tests over all backends.

pub(crate) mod fault_injection;
mod manual_clock;

use std::sync::mpsc;
use std::time::Duration;

use registry_core::Backend;
use registry_router::{Inbox, Registry, ToServer, ToTransport, TokioMailbox, TransportId, mailbox};

pub(crate) use self::manual_clock::ManualClock;

/// Defines each named test once per backend, for a `fn test<B: Backend>(shards: usize)`.
macro_rules! test_every_backend {
    ($($test:ident),* $(,)?) => {
        macro_rules! tests {
            () => {
                $(
                    #[test]
                    fn $test() {
                        for shards in [1, 64] {
                            super::$test::<B>(shards);
                        }
                    }
                )*
            };
        }
        registry_router::backends::for_every_backend!(backend_modules);
    };
}

/// Expands to one module per backend with the `tests!` in scope.
macro_rules! backend_modules {
    ($($module:ident $Backend:ident),* $(,)?) => {
        $(
            mod $module {
                type B = registry_router::backends::$Backend;
                tests!();
            }
        )*
    };
}

/// The time after which a test fails as deadlocked; generous, for slow machines.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Builds a registry whose messages are numbers.
pub(crate) fn registry<B: Backend>(shards: usize) -> Registry<u64, B> {
    Registry::builder().shards(shards).build().expect("the settings of the tests are valid")
}

/// Returns a server mailbox with capacity 8.
pub(crate) fn server_mailbox() -> (TokioMailbox<ToServer<u64>>, Inbox<ToServer<u64>>) {
    mailbox(8)
}

/// Returns a transport mailbox with capacity 8.
pub(crate) fn transport_mailbox() -> (TokioMailbox<ToTransport<u64>>, Inbox<ToTransport<u64>>) {
    mailbox(8)
}

/// Returns a server mailbox that is never read and never closed.
pub(crate) fn unread_server_mailbox() -> TokioMailbox<ToServer<u64>> {
    let (mailbox, inbox) = server_mailbox();
    std::mem::forget(inbox);
    mailbox
}

/// Returns a transport mailbox that is never read and never closed.
pub(crate) fn unread_transport_mailbox() -> TokioMailbox<ToTransport<u64>> {
    let (mailbox, inbox) = transport_mailbox();
    std::mem::forget(inbox);
    mailbox
}

/// Returns a transport id, as the sender of a message.
pub(crate) fn transport(id: &str) -> TransportId {
    TransportId::new(id).expect("the ids of the tests are valid")
}

/// Runs `body` on another thread and panics if it does not end in time.
pub(crate) fn within_time_limit(body: impl FnOnce() + Send + 'static) {
    within(TIME_LIMIT, body);
}

/// As [`within_time_limit`], with an explicit limit.
pub(crate) fn within(limit: Duration, body: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match ended.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running after {limit:?}, probably deadlocked"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Runs a future to completion on this thread, with tokio's clock paused: it advances only when all tasks are idle.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime can be built").block_on(future)
}
