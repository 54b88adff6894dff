//! The two ends of a reply: the handle that sends it, and the future that waits for it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use registry_core::ReplyError;
use tokio::sync::oneshot;
use tokio::time::Sleep;

/// The sending end of the channel of a reply.
///
/// The channel has three outcomes: `Some` is the reply, `None` says that the request was read and its handle dropped
/// without a reply, and an end that is dropped without sending says that the request was not read.
pub(super) type Slot<Rep> = oneshot::Sender<Option<Rep>>;

/// The handle that sends the reply to a request, created by [`Request::into_parts`](crate::Request::into_parts).
///
/// The handle can be sent to any thread or task, so the reply can come from a place other than the receiver of the
/// request. Dropping it without a reply, by a panic for instance, fails the call with
/// [`CallError::Unanswered`](crate::CallError::Unanswered).
#[must_use = "dropping the handle fails the call"]
pub struct ReplySender<Rep> {
    /// `None` once the reply has been sent.
    slot: Option<Slot<Rep>>,
}

impl<Rep> ReplySender<Rep> {
    pub(super) fn new(slot: Slot<Rep>) -> Self {
        Self { slot: Some(slot) }
    }

    /// Sends the reply.
    ///
    /// `Ok` means that a caller was waiting, and that the call completes with this reply unless its future is dropped: a
    /// time limit that passes at the same instant does not lose the reply.
    ///
    /// # Errors
    ///
    /// Returns the reply if the caller has stopped waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::Request;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (request, receiver) = Request::new("hello");
    /// let (_, reply) = request.into_parts();
    /// assert_eq!(reply.send(5), Ok(()));
    /// assert_eq!(receiver.await, Ok(5));
    ///
    /// let (request, receiver) = Request::new("hello");
    /// let (_, reply) = request.into_parts();
    /// drop(receiver);
    /// assert_eq!(reply.send(5), Err(5));
    /// # }
    /// ```
    pub fn send(mut self, reply: Rep) -> Result<(), Rep> {
        match self.slot.take() {
            None => Err(reply),
            Some(slot) => match slot.send(Some(reply)) {
                Ok(()) | Err(None) => Ok(()),
                Err(Some(reply)) => Err(reply),
            },
        }
    }

    /// Returns whether the caller has stopped waiting, because its time limit has passed or its future was dropped. Once
    /// `true`, it stays `true`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::Request;
    /// let (request, receiver) = Request::<_, u64>::new("hello");
    /// let (_, reply) = request.into_parts();
    /// assert!(!reply.is_cancelled());
    /// drop(receiver);
    /// assert!(reply.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.slot.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Waits until the caller stops waiting: completes when [`is_cancelled`](Self::is_cancelled) is `true`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use registry_router::Request;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (request, receiver) = Request::new("hello");
    /// let (_, mut reply) = request.into_parts();
    /// let handler = tokio::spawn(async move {
    ///     tokio::select! {
    ///         () = tokio::time::sleep(Duration::from_secs(3_600)) => reply.send("done").is_ok(),
    ///         () = reply.cancelled() => false,
    ///     }
    /// });
    /// assert!(receiver.within(Duration::from_millis(1)).await.is_err());
    /// assert!(matches!(handler.await, Ok(false)), "the handler has stopped working");
    /// # }
    /// ```
    pub async fn cancelled(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.closed().await;
        }
    }
}

impl<Rep> Drop for ReplySender<Rep> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            let _ = slot.send(None);
        }
    }
}

impl<Rep> fmt::Debug for ReplySender<Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplySender").field("is_cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// The future of the reply to a request, created by [`Request::new`](crate::Request::new).
///
/// It waits without a time limit, until there is a reply or the request, or the handle for its reply, is dropped; use
/// [`within`](Self::within) to limit the time. Dropping it tells the receiver of the request that the caller does not
/// wait any more.
///
/// It completes with a [`ReplyError`] if there is no reply. It must not be polled after it has completed.
///
/// # Cancel safety
///
/// Cancel-safe: a reply that has arrived stays until the future is polled, also through `&mut`.
#[must_use = "dropping the receiver cancels the request"]
pub struct ReplyReceiver<Rep> {
    receiver: oneshot::Receiver<Option<Rep>>,
}

impl<Rep> ReplyReceiver<Rep> {
    pub(super) fn new(receiver: oneshot::Receiver<Option<Rep>>) -> Self {
        Self { receiver }
    }

    /// Waits for the reply for at most `limit`, from the first poll on.
    ///
    /// # Errors
    ///
    /// Returns a [`ReplyError`] that says why there is no reply. When it is [`ReplyError::TimedOut`], the receiver of the
    /// request sees that the caller does not wait any more.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the receiver of the request sees that the caller does not wait any more.
    ///
    /// # Panics
    ///
    /// Panics if polled outside of a tokio runtime with its clock enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use registry_router::{ReplyError, Request};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (request, reply) = Request::<_, u64>::new("hello");
    /// assert_eq!(reply.within(Duration::from_millis(1)).await, Err(ReplyError::TimedOut));
    /// assert!(request.is_cancelled());
    /// # }
    /// ```
    pub async fn within(self, limit: Duration) -> Result<Rep, ReplyError> {
        self.until(Some(tokio::time::sleep(limit))).await
    }

    /// Waits for the reply until a deadline, if one is given.
    pub(super) async fn until(mut self, deadline: Option<Sleep>) -> Result<Rep, ReplyError> {
        let Some(deadline) = deadline else {
            return self.await;
        };
        let mut deadline = pin!(deadline);
        poll_fn(|context| {
            if let Poll::Ready(outcome) = Pin::new(&mut self).poll(context) {
                return Poll::Ready(outcome);
            }
            ready!(deadline.as_mut().poll(context));
            Poll::Ready(self.close())
        })
        .await
    }

    /// Stops waiting. An outcome that has been sent before is returned: its sender was told that it arrives.
    fn close(&mut self) -> Result<Rep, ReplyError> {
        self.receiver.close();
        match self.receiver.try_recv() {
            Ok(outcome) => outcome.ok_or(ReplyError::Unanswered),
            Err(_) => Err(ReplyError::TimedOut),
        }
    }
}

impl<Rep> Future for ReplyReceiver<Rep> {
    type Output = Result<Rep, ReplyError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.receiver).poll(context)) {
            Ok(outcome) => outcome.ok_or(ReplyError::Unanswered),
            Err(_) => Err(ReplyError::Unread),
        })
    }
}

impl<Rep> fmt::Debug for ReplyReceiver<Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyReceiver").finish_non_exhaustive()
    }
}
