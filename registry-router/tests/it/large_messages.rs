//! Messages of 256 KiB, by value, through every path, on a stack of 2 MiB: that of a tokio worker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_core::{Backend, Mailbox, TrySendError};
use registry_router::{
    BoundRoute, BoundRouteError, Delivery, Inbox, MailboxFamily, Registry, RouteError, SendError, ServerId, ToServer,
    ToTransport, TransportId, mailbox,
};

use crate::support::block_on;

over_every_backend! {
    one_by_one,
    in_bulk,
    by_broadcast,
    over_bindings,
    with_patience,
    into_a_mailbox_of_ones_own,
}

const BYTES: usize = 256 << 10;
const STACK: usize = 2 << 20;

#[derive(Clone)]
struct Large([u8; BYTES]);

impl Large {
    #[inline(never)]
    fn new(content: u8) -> Self {
        Self([content; BYTES])
    }
}

/// A server `s` and a transport `t` that is bound to it, with room for two messages each.
struct Both<B: Backend> {
    registry: Registry<Large, B>,
    to_server: Inbox<ToServer<Large>>,
    to_transport: Inbox<ToTransport<Large>>,
    server: ServerId,
    transport: TransportId,
}

#[inline(never)]
fn both<B: Backend>(shards: usize) -> Both<B> {
    let registry: Registry<Large, B> = Registry::builder().shards(shards).build().unwrap();
    let (mailbox_of_server, to_server) = mailbox(2);
    let (mailbox_of_transport, to_transport) = mailbox(2);
    registry.register_server("s", mailbox_of_server, ()).unwrap().detach();
    registry.register_transport_bound_to("t", mailbox_of_transport, (), "s").unwrap().detach();
    let (server, transport) = (ServerId::new("s").unwrap(), TransportId::new("t").unwrap());
    Both { registry, to_server, to_transport, server, transport }
}

fn on_a_small_stack(body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(body).unwrap().join().unwrap();
}

/// What became of a message: in the mailbox, or back with the reason; told by the first byte.
type Outcome = Result<(), (&'static str, u8)>;

// One call in each function, because every message in a function takes room of its own on the stack of a debug build.

#[inline(never)]
fn to_server<B: Backend>(both: &Both<B>, content: u8) -> Outcome {
    match both.registry.route_to_server("s", &both.transport, Large::new(content)) {
        Ok(()) => Ok(()),
        Err(RouteError::NotFound(ref message)) => Err(("not found", message.0[0])),
        Err(RouteError::Full(ref message)) => Err(("full", message.0[0])),
        Err(RouteError::Closed(ref message)) => Err(("closed", message.0[0])),
    }
}

#[inline(never)]
fn to_transport<B: Backend>(both: &Both<B>, content: u8) -> bool {
    both.registry.route_to_transport("t", &both.server, Large::new(content)).is_ok()
}

#[inline(never)]
fn many_to_transports<B: Backend>(both: &Both<B>) -> Vec<(usize, RouteError<Large>)> {
    let messages = (0..40).map(|n| (if n < 20 { "t" } else { "x" }, &both.server, Large::new(n)));
    both.registry.route_many_to_transports(messages)
}

#[inline(never)]
fn many_to_servers<B: Backend>(both: &Both<B>) -> usize {
    both.registry.route_many_to_servers((7..9).map(|n| ("s", &both.transport, Large::new(n)))).len()
}

#[inline(never)]
fn broadcast<B: Backend>(both: &Both<B>, content: u8) -> (usize, usize) {
    let report = both.registry.broadcast("s", Large::new(content));
    (report.delivered, report.full.len())
}

#[inline(never)]
fn through<B: Backend>(both: &Both<B>, route: &mut BoundRoute<Large>, content: u8) -> Outcome {
    bound_outcome(&route.try_send(&both.registry, Large::new(content)))
}

#[inline(never)]
fn to_bound<B: Backend>(both: &Both<B>, content: u8) -> Outcome {
    bound_outcome(&both.registry.route_to_bound_server("t", Large::new(content)))
}

fn bound_outcome(outcome: &Result<(), BoundRouteError<Large>>) -> Outcome {
    match outcome {
        Ok(()) => Ok(()),
        Err(BoundRouteError::TransportNotFound(message)) => Err(("not found", message.0[0])),
        Err(BoundRouteError::NotBound(message)) => Err(("not bound", message.0[0])),
        Err(BoundRouteError::Full(message)) => Err(("full", message.0[0])),
        Err(BoundRouteError::Closed(message)) => Err(("closed", message.0[0])),
    }
}

async fn send<B: Backend>(both: &Both<B>, content: u8, limit: Option<Duration>) -> Outcome {
    match both.registry.send_to_server("s", &both.transport, Large::new(content), limit).await {
        Ok(()) => Ok(()),
        Err(SendError::NotFound(ref message)) => Err(("not found", message.0[0])),
        Err(SendError::TimedOut(ref message)) => Err(("timed out", message.0[0])),
        Err(SendError::Closed(ref message)) => Err(("closed", message.0[0])),
    }
}

#[inline(never)]
fn received<F>(inbox: &mut Inbox<Delivery<F, Large>>) -> Option<u8> {
    match inbox.try_recv() {
        Ok(ref delivery) => Some(delivery.message.0[0]),
        Err(_) => None,
    }
}

fn one_by_one<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut both = both::<B>(shards);
        assert_eq!([1, 2, 3].map(|content| to_server(&both, content)), [Ok(()), Ok(()), Err(("full", 3))]);
        assert_eq!([received(&mut both.to_server), received(&mut both.to_server)], [Some(1), Some(2)]);
        both.to_server.close();
        assert_eq!([4, 5].map(|content| to_server(&both, content)), [Err(("closed", 4)), Err(("not found", 5))]);
        assert!(to_transport(&both, 6));
        assert_eq!(received(&mut both.to_transport), Some(6));
    });
}

fn in_bulk<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut both = both::<B>(shards);
        let returned = many_to_transports(&both);
        assert_eq!(returned.len(), 38);
        assert!(returned.iter().take(18).all(|(_, error)| matches!(error, RouteError::Full(_))));
        assert!(returned.iter().skip(18).all(|(_, error)| matches!(error, RouteError::NotFound(_))));
        assert_eq!([received(&mut both.to_transport), received(&mut both.to_transport)], [Some(0), Some(1)]);
        assert_eq!(many_to_servers(&both), 0);
        assert_eq!([received(&mut both.to_server), received(&mut both.to_server)], [Some(7), Some(8)]);
    });
}

fn by_broadcast<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut both = both::<B>(shards);
        let mut inboxes: Vec<_> = (0..20)
            .map(|n| {
                let (mailbox, inbox) = mailbox(1);
                both.registry.register_transport_bound_to(format!("t{n}"), mailbox, (), "s").unwrap().detach();
                inbox
            })
            .collect();
        assert_eq!([1, 2].map(|content| broadcast(&both, content)), [(21, 0), (1, 20)]);
        assert_eq!([received(&mut both.to_transport), received(&mut both.to_transport)], [Some(1), Some(2)]);
        assert!(inboxes.iter_mut().all(|inbox| received(inbox) == Some(1)));
    });
}

fn over_bindings<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut both = both::<B>(shards);
        let mut route = both.registry.bound_route("t").unwrap();
        let outcomes = [1, 2, 3].map(|content| through(&both, &mut route, content));
        assert_eq!(outcomes, [Ok(()), Ok(()), Err(("full", 3))]);
        assert_eq!([received(&mut both.to_server), received(&mut both.to_server)], [Some(1), Some(2)]);
        assert_eq!([4, 5, 6].map(|content| to_bound(&both, content)), [Ok(()), Ok(()), Err(("full", 6))]);
        assert!(both.registry.unbind_transport("t"));
        assert_eq!(through(&both, &mut route, 7), Err(("not bound", 7)));
        assert_eq!(to_bound(&both, 8), Err(("not bound", 8)));
        assert!(both.registry.unregister_transport("t"));
        assert_eq!(to_bound(&both, 9), Err(("not found", 9)));
    });
}

fn with_patience<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut both = both::<B>(shards);
        block_on(Box::pin(async move {
            assert_eq!(Box::pin(send(&both, 1, None)).await, Ok(()));
            assert_eq!(Box::pin(send(&both, 2, None)).await, Ok(()));
            let limit = Some(Duration::from_secs(1));
            assert_eq!(Box::pin(send(&both, 3, limit)).await, Err(("timed out", 3)));
            let mut all = Vec::new();
            assert_eq!(both.to_server.recv_many(&mut all, 1).await, 1);
            assert_eq!(all[0].message.0[0], 1);
            assert_eq!(received(&mut both.to_server), Some(2));
        }));
    });
}

/// Room for one delivery in a box.
struct One<T>(Arc<Mutex<Option<Box<T>>>>);

impl<T> Clone for One<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Mailbox<T> for One<T> {
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.try_send_boxed(Box::new(item)).map_err(|try_send_error| try_send_error.map(|item| *item))
    }

    fn try_send_boxed(&self, item: Box<T>) -> Result<(), TrySendError<Box<T>>> {
        let mut room = self.0.lock().unwrap();
        if room.is_some() {
            return Err(TrySendError::Full(item));
        }
        *room = Some(item);
        Ok(())
    }

    fn is_closed(&self) -> bool {
        false
    }
}

struct Ones;

impl MailboxFamily for Ones {
    type Mailbox<T: Send + 'static> = One<T>;
}

fn into_a_mailbox_of_ones_own<B: Backend>(shards: usize) {
    #[inline(never)]
    fn route<B: Backend>(registry: &Registry<Large, B, Ones>, from: &TransportId, content: u8) -> Result<(), u8> {
        match registry.route_to_server("s", from, Large::new(content)) {
            Ok(()) => Ok(()),
            Err(RouteError::Full(ref message)) => Err(message.0[0]),
            Err(_) => Err(0),
        }
    }

    on_a_small_stack(move || {
        let registry: Registry<Large, B, Ones> = Registry::builder().shards(shards).build().unwrap();
        let room = Arc::new(Mutex::new(None));
        registry.register_server("s", One(Arc::clone(&room)), ()).unwrap().detach();
        let from = TransportId::new("t").unwrap();
        assert_eq!([1, 2].map(|content| route(&registry, &from, content)), [Ok(()), Err(2)]);
        assert_eq!(room.lock().unwrap().take().map(|delivery| delivery.message.0[0]), Some(1));
    });
}
