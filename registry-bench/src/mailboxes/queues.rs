//! The queues that could be a mailbox: each in the few words that the measurement needs, all with the same promises.
//!
//! Left out, because they cannot keep a mailbox's promises: the channel of futures-channel, whose senders send through
//! `&mut` and have each a place of their own, so that it is not bounded; and thingbuf's, which wants values that have a
//! default.

use registry_router::ToServer;

use crate::world::Message;

/// What a server receives in the benches.
pub type Item = ToServer<Message>;

/// A bounded queue with many senders.
pub trait Queue {
    /// The crate that it is from.
    const CRATE: &'static str;
    /// What tells it from another use of the same crate.
    const VARIANT: &'static str = "";
    /// The sending end.
    type Sender;
    /// The receiving end.
    type Receiver;

    /// Makes both ends.
    fn open(capacity: usize) -> (Self::Sender, Self::Receiver);

    /// Puts an item in at once, or gives it back.
    ///
    /// # Errors
    ///
    /// The item, where there is no room or no receiver.
    fn put(sender: &Self::Sender, item: Item) -> Result<(), Item>;

    /// Takes an item out, if there is one.
    fn take(receiver: &mut Self::Receiver) -> Option<Item>;

    /// Waits for an item; `None` if there will be none.
    fn wait(receiver: &mut Self::Receiver) -> impl Future<Output = Option<Item>>;

    /// Whether the receiver is gone.
    fn is_closed(sender: &Self::Sender) -> bool;
}

/// The mailbox of today: tokio's channel, which has room for 32 items from the start.
#[derive(Debug)]
pub struct TokioMpsc;

impl Queue for TokioMpsc {
    const CRATE: &'static str = "tokio";
    type Sender = tokio::sync::mpsc::Sender<Item>;
    type Receiver = tokio::sync::mpsc::Receiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        tokio::sync::mpsc::channel(capacity)
    }

    fn put(sender: &Self::Sender, item: Item) -> Result<(), Item> {
        sender.try_send(item).map_err(tokio::sync::mpsc::error::TrySendError::into_inner)
    }

    fn take(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.try_recv().ok()
    }

    async fn wait(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await
    }

    fn is_closed(sender: &Self::Sender) -> bool {
        sender.is_closed()
    }
}

/// Tokio's channel with items on the heap, so that its 32 places are pointers.
#[derive(Debug)]
pub struct TokioBoxed;

impl Queue for TokioBoxed {
    const CRATE: &'static str = "tokio";
    const VARIANT: &'static str = "boxed items";
    type Sender = tokio::sync::mpsc::Sender<Box<Item>>;
    type Receiver = tokio::sync::mpsc::Receiver<Box<Item>>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        tokio::sync::mpsc::channel(capacity)
    }

    fn put(sender: &Self::Sender, item: Item) -> Result<(), Item> {
        // Room first, so that an item that is given back has not been on the heap.
        match sender.try_reserve() {
            Ok(permit) => {
                permit.send(Box::new(item));
                Ok(())
            }
            Err(_) => Err(item),
        }
    }

    fn take(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.try_recv().ok().map(|item| *item)
    }

    async fn wait(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await.map(|item| *item)
    }

    fn is_closed(sender: &Self::Sender) -> bool {
        sender.is_closed()
    }
}

/// flume: a queue behind a lock, which grows as it is used.
#[derive(Debug)]
pub struct Flume;

impl Queue for Flume {
    const CRATE: &'static str = "flume";
    type Sender = flume::Sender<Item>;
    type Receiver = flume::Receiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        flume::bounded(capacity)
    }

    fn put(sender: &Self::Sender, item: Item) -> Result<(), Item> {
        sender.try_send(item).map_err(flume::TrySendError::into_inner)
    }

    fn take(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.try_recv().ok()
    }

    async fn wait(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv_async().await.ok()
    }

    fn is_closed(sender: &Self::Sender) -> bool {
        sender.is_disconnected()
    }
}

/// async-channel: all places are there from the start, and its two ends of the queue lie apart.
#[derive(Debug)]
pub struct AsyncChannel;

impl Queue for AsyncChannel {
    const CRATE: &'static str = "async-channel";
    type Sender = async_channel::Sender<Item>;
    type Receiver = async_channel::Receiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        async_channel::bounded(capacity)
    }

    fn put(sender: &Self::Sender, item: Item) -> Result<(), Item> {
        sender.try_send(item).map_err(async_channel::TrySendError::into_inner)
    }

    fn take(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.try_recv().ok()
    }

    async fn wait(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await.ok()
    }

    fn is_closed(sender: &Self::Sender) -> bool {
        sender.is_closed()
    }
}

/// kanal: a queue behind a lock, which also guards the answer to whether it is closed.
#[derive(Debug)]
pub struct Kanal;

impl Queue for Kanal {
    const CRATE: &'static str = "kanal";
    type Sender = kanal::AsyncSender<Item>;
    type Receiver = kanal::AsyncReceiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        kanal::bounded_async(capacity)
    }

    fn put(sender: &Self::Sender, item: Item) -> Result<(), Item> {
        // The one call that does not drop what it could not send.
        let mut item = Some(item);
        let sent = sender.try_send_option(&mut item);
        match item {
            Some(item) if !matches!(sent, Ok(true)) => Err(item),
            _ => Ok(()),
        }
    }

    fn take(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.try_recv().ok().flatten()
    }

    async fn wait(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await.ok()
    }

    fn is_closed(sender: &Self::Sender) -> bool {
        sender.is_disconnected()
    }
}

/// crossfire: all places are there from the start.
#[derive(Debug)]
pub struct Crossfire;

impl Queue for Crossfire {
    const CRATE: &'static str = "crossfire";
    type Sender = crossfire::MAsyncTx<crossfire::mpsc::Array<Item>>;
    type Receiver = crossfire::AsyncRx<crossfire::mpsc::Array<Item>>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        crossfire::mpsc::bounded_async(capacity)
    }

    fn put(sender: &Self::Sender, item: Item) -> Result<(), Item> {
        sender.try_send(item).map_err(crossfire::TrySendError::into_inner)
    }

    fn take(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.try_recv().ok()
    }

    async fn wait(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await.ok()
    }

    fn is_closed(sender: &Self::Sender) -> bool {
        sender.is_disconnected()
    }
}

/// tachyonix: one receiver, all places are there from the start.
#[derive(Debug)]
pub struct Tachyonix;

impl Queue for Tachyonix {
    const CRATE: &'static str = "tachyonix";
    type Sender = tachyonix::Sender<Item>;
    type Receiver = tachyonix::Receiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        tachyonix::channel(capacity)
    }

    fn put(sender: &Self::Sender, item: Item) -> Result<(), Item> {
        sender.try_send(item).map_err(|error| match error {
            tachyonix::TrySendError::Full(item) | tachyonix::TrySendError::Closed(item) => item,
        })
    }

    fn take(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.try_recv().ok()
    }

    async fn wait(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await.ok()
    }

    fn is_closed(sender: &Self::Sender) -> bool {
        sender.is_closed()
    }
}
