//! What the tests share: a small registry, its mailboxes, a time limit, and the macro that runs laws over all backends.

use std::sync::mpsc;
use std::time::Duration;

use registry_core::Backend;
use registry_router::{Inbox, Registry, ToServer, ToTransport, TokioMailbox, TransportId, mailbox};

/// Makes one test of each named law per backend; a law is a `fn law<B: Backend>(shards: usize)`.
macro_rules! over_every_backend {
    ($($law:ident),* $(,)?) => {
        macro_rules! laws {
            () => {
                $(
                    #[test]
                    fn $law() {
                        for shards in [1, 64] {
                            super::$law::<B>(shards);
                        }
                    }
                )*
            };
        }
        registry_router::backends::for_every_backend!(suites);
    };
}

/// One module per backend, with the `laws!` of wherever this is expanded.
macro_rules! suites {
    ($($module:ident $Backend:ident),* $(,)?) => {
        $(
            mod $module {
                type B = registry_router::backends::$Backend;
                laws!();
            }
        )*
    };
}

/// Ends a test that hangs. Generous: it is there for deadlocks, not for slow machines.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// A registry of numbers.
pub(crate) fn registry<B: Backend>(shards: usize) -> Registry<u64, B> {
    Registry::builder().shards(shards).build().expect("the settings of the tests are valid")
}

/// A server's mailbox with room for eight.
pub(crate) fn server_mailbox() -> (TokioMailbox<ToServer<u64>>, Inbox<ToServer<u64>>) {
    mailbox(8)
}

/// A transport's mailbox with room for eight.
pub(crate) fn transport_mailbox() -> (TokioMailbox<ToTransport<u64>>, Inbox<ToTransport<u64>>) {
    mailbox(8)
}

/// A server's mailbox that nobody reads, but whose owner lives for as long as the test.
pub(crate) fn unread_server_mailbox() -> TokioMailbox<ToServer<u64>> {
    let (mailbox, inbox) = server_mailbox();
    std::mem::forget(inbox);
    mailbox
}

/// A transport's mailbox that nobody reads, but whose owner lives for as long as the test.
pub(crate) fn unread_transport_mailbox() -> TokioMailbox<ToTransport<u64>> {
    let (mailbox, inbox) = transport_mailbox();
    std::mem::forget(inbox);
    mailbox
}

/// A name for the sender of a message.
pub(crate) fn transport(id: &str) -> TransportId {
    TransportId::new(id).expect("the ids of the tests are valid")
}

/// Runs `body` on a thread of its own, and fails if it does not end in time.
pub(crate) fn within_time_limit(body: impl FnOnce() + Send + 'static) {
    within(TIME_LIMIT, body);
}

/// The same, for what takes longer than most.
pub(crate) fn within(limit: Duration, body: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match ended.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running after {limit:?}: a deadlock?"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Runs a future to its end on this thread, with a clock that stands still until nothing else can be done.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime can be built").block_on(future)
}
