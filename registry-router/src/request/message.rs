//! A request as its receiver gets it.

use std::fmt;

use tokio::sync::oneshot;

use super::reply::{ReplyReceiver, ReplySender, Slot};

/// A request that expects a reply, as it is in the receiver's mailbox.
///
/// The message type of a registry is converted [from](From) it, so one registry can carry several types of requests next
/// to other messages. A registry whose messages are nothing but requests can be a `Registry<Request<Req, Rep>>`.
///
/// The receiver *reads* the request with [`into_parts`](Self::into_parts). A request that is dropped before that, with
/// the inbox for instance, fails the call with [`CallError::Unread`](crate::CallError::Unread); until then it can be
/// forwarded whole, also as a message to another server.
///
/// # Examples
///
/// ```
/// use registry_router::{Registry, ReplySender, Request, TransportId, mailbox};
///
/// enum Message {
///     Length(Request<String, usize>),
///     Stop,
/// }
///
/// impl From<Request<String, usize>> for Message {
///     fn from(request: Request<String, usize>) -> Self {
///         Self::Length(request)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry: Registry<Message> = Registry::builder().build()?;
/// let (mailbox, mut inbox) = mailbox(16);
/// let lease = registry.register_server("text", mailbox, ())?;
/// let server = tokio::spawn(async move {
///     while let Some(delivery) = inbox.recv().await {
///         match delivery.message {
///             Message::Length(request) => {
///                 let (text, reply): (String, ReplySender<usize>) = request.into_parts();
///                 let _ = reply.send(text.len());
///             }
///             Message::Stop => break,
///         }
///     }
/// });
///
/// let from = TransportId::new("conn-1")?;
/// assert_eq!(registry.call_server("text", &from, "hello".to_owned(), None).await?, 5);
/// registry.route_to_server("text", &from, Message::Stop)?;
/// server.await?;
/// # drop(lease);
/// # Ok(())
/// # }
/// ```
pub struct Request<Req, Rep> {
    pub(super) request: Req,
    /// Dropped unused, it tells the caller that the request was not read.
    pub(super) slot: Slot<Rep>,
}

impl<Req, Rep> Request<Req, Rep> {
    /// Creates a request, and the future of its reply.
    ///
    /// For paths that have no method of their own: a batch, a mailbox outside of a registry, or a registry that is known
    /// by its traits only. Also to send several requests in a row and then wait for their replies.
    ///
    /// # Cost
    ///
    /// One allocation.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use registry_router::{Registry, Request, TransportId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<Request<u64, u64>> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let _lease = registry.register_server("square", mailbox, ())?;
    /// let from = TransportId::new("conn-1")?;
    ///
    /// let (one, first) = Request::new(3);
    /// let (two, second) = Request::new(4);
    /// assert!(registry.route_many_to_servers([("square", &from, one), ("square", &from, two)]).is_empty());
    /// while let Ok(delivery) = inbox.try_recv() {
    ///     let (number, reply) = delivery.message.into_parts();
    ///     let _ = reply.send(number * number);
    /// }
    /// assert_eq!(first.await?, 9);
    /// assert_eq!(second.within(Duration::from_secs(1)).await?, 16);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(request: Req) -> (Self, ReplyReceiver<Rep>) {
        let (slot, receiver) = oneshot::channel();
        (Self { request, slot }, ReplyReceiver::new(receiver))
    }

    /// Reads the request: returns it, and the handle that sends the reply.
    ///
    /// From here on the caller is told apart from one whose request was never read: if the handle is dropped unused, the
    /// call fails with [`CallError::Unanswered`](crate::CallError::Unanswered).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{ReplyError, Request};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (request, reply) = Request::<_, u64>::new("unread");
    /// drop(request);
    /// assert_eq!(reply.await, Err(ReplyError::Unread));
    ///
    /// let (request, reply) = Request::<_, u64>::new("read");
    /// drop(request.into_parts());
    /// assert_eq!(reply.await, Err(ReplyError::Unanswered));
    /// # }
    /// ```
    pub fn into_parts(self) -> (Req, ReplySender<Rep>) {
        (self.request, ReplySender::new(self.slot))
    }

    /// Returns the request by reference, which does not count as reading it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::Request;
    /// let (request, _reply) = Request::<_, u64>::new("hello");
    /// assert_eq!(*request.get_ref(), "hello");
    /// ```
    pub fn get_ref(&self) -> &Req {
        &self.request
    }

    /// Returns whether the caller has stopped waiting, because its time limit has passed or its future was dropped.
    ///
    /// A receiver with a long queue can skip such requests.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::Request;
    /// let (request, reply) = Request::<_, u64>::new("hello");
    /// assert!(!request.is_cancelled());
    /// drop(reply);
    /// assert!(request.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.slot.is_closed()
    }
}

/// Shows neither the request nor its type, which may be secrets.
impl<Req, Rep> fmt::Debug for Request<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("is_cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}
