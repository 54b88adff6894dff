//! Messages of 256 KiB by value, over every path, on a stack of 2 MiB as a tokio worker has.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_core::{Backend, Mailbox, TrySendError};
use registry_router::{
    BoundRoute, BoundRouteError, Delivery, Inbox, MailboxFamily, Registry, RouteError, RouteErrorKind, ServerId,
    ToServer, ToTransport, TransportId, mailbox,
};

use crate::support::block_on;

test_every_backend! {
    single_large_messages,
    large_message_batches,
    large_broadcasts,
    large_messages_over_bindings,
    large_messages_with_a_waiting_send,
    large_messages_into_a_custom_mailbox,
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

/// A server `s` and a transport `t` bound to it, each with a mailbox of capacity 2.
struct Fixture<B: Backend> {
    registry: Registry<Large, B>,
    to_server: Inbox<ToServer<Large>>,
    to_transport: Inbox<ToTransport<Large>>,
    server: ServerId,
    transport: TransportId,
}

#[inline(never)]
fn fixture<B: Backend>(shards: usize) -> Fixture<B> {
    let registry: Registry<Large, B> = Registry::builder().shards(shards).build().unwrap();
    let (mailbox_of_server, to_server) = mailbox(2);
    let (mailbox_of_transport, to_transport) = mailbox(2);
    registry.register_server("s", mailbox_of_server, ()).unwrap().detach();
    registry.register_transport_bound_to("t", mailbox_of_transport, (), "s").unwrap().detach();
    let (server, transport) = (ServerId::new("s").unwrap(), TransportId::new("t").unwrap());
    Fixture { registry, to_server, to_transport, server, transport }
}

fn on_a_small_stack(body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(body).unwrap().join().unwrap();
}

/// Delivered, or returned with the error and the first byte of the message.
type Outcome = Result<(), (RouteErrorKind, u8)>;

// One call per function, because in a debug build each message in a function has its own stack slot.

#[inline(never)]
fn to_server<B: Backend>(fixture: &Fixture<B>, content: u8) -> Outcome {
    match fixture.registry.route_to_server("s", &fixture.transport, Large::new(content)) {
        Ok(()) => Ok(()),
        Err(ref error) => Err((error.kind(), error.message().0[0])),
    }
}

#[inline(never)]
fn to_transport<B: Backend>(fixture: &Fixture<B>, content: u8) -> bool {
    fixture.registry.route_to_transport("t", &fixture.server, Large::new(content)).is_ok()
}

#[inline(never)]
fn many_to_transports<B: Backend>(fixture: &Fixture<B>) -> Vec<(usize, RouteError<Large>)> {
    let messages = (0..40).map(|n| (if n < 20 { "t" } else { "x" }, &fixture.server, Large::new(n)));
    fixture.registry.route_many_to_transports(messages)
}

#[inline(never)]
fn many_to_servers<B: Backend>(fixture: &Fixture<B>) -> usize {
    fixture.registry.route_many_to_servers((7..9).map(|n| ("s", &fixture.transport, Large::new(n)))).len()
}

#[inline(never)]
fn broadcast<B: Backend>(fixture: &Fixture<B>, content: u8) -> (usize, usize) {
    let report = fixture.registry.broadcast("s", Large::new(content));
    (report.delivered, report.full.len())
}

#[inline(never)]
fn through<B: Backend>(fixture: &Fixture<B>, route: &mut BoundRoute<Large>, content: u8) -> Outcome {
    bound_outcome(&route.try_send(&fixture.registry, Large::new(content)))
}

#[inline(never)]
fn to_bound<B: Backend>(fixture: &Fixture<B>, content: u8) -> Outcome {
    bound_outcome(&fixture.registry.route_to_bound_server("t", Large::new(content)))
}

fn bound_outcome(outcome: &Result<(), BoundRouteError<Large>>) -> Outcome {
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err((error.kind(), error.message().0[0])),
    }
}

async fn send<B: Backend>(fixture: &Fixture<B>, content: u8, limit: Option<Duration>) -> Outcome {
    match fixture.registry.send_to_server("s", &fixture.transport, Large::new(content), limit).await {
        Ok(()) => Ok(()),
        Err(ref error) => Err((error.kind(), error.message().0[0])),
    }
}

#[inline(never)]
fn received<F>(inbox: &mut Inbox<Delivery<F, Large>>) -> Option<u8> {
    match inbox.try_recv() {
        Ok(ref delivery) => Some(delivery.message.0[0]),
        Err(_) => None,
    }
}

fn single_large_messages<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut fixture = fixture::<B>(shards);
        assert_eq!(
            [1, 2, 3].map(|content| to_server(&fixture, content)),
            [Ok(()), Ok(()), Err((RouteErrorKind::Full, 3))]
        );
        assert_eq!([received(&mut fixture.to_server), received(&mut fixture.to_server)], [Some(1), Some(2)]);
        fixture.to_server.close();
        assert_eq!(
            [4, 5].map(|content| to_server(&fixture, content)),
            [Err((RouteErrorKind::Closed, 4)), Err((RouteErrorKind::NotFound, 5))]
        );
        assert!(to_transport(&fixture, 6));
        assert_eq!(received(&mut fixture.to_transport), Some(6));
    });
}

fn large_message_batches<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut fixture = fixture::<B>(shards);
        let returned = many_to_transports(&fixture);
        assert_eq!(returned.len(), 38);
        assert!(returned.iter().take(18).all(|(_, error)| matches!(error, RouteError::Full(_))));
        assert!(returned.iter().skip(18).all(|(_, error)| matches!(error, RouteError::NotFound(_))));
        assert_eq!([received(&mut fixture.to_transport), received(&mut fixture.to_transport)], [Some(0), Some(1)]);
        assert_eq!(many_to_servers(&fixture), 0);
        assert_eq!([received(&mut fixture.to_server), received(&mut fixture.to_server)], [Some(7), Some(8)]);
    });
}

fn large_broadcasts<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut fixture = fixture::<B>(shards);
        let mut inboxes: Vec<_> = (0..20)
            .map(|n| {
                let (mailbox, inbox) = mailbox(1);
                fixture.registry.register_transport_bound_to(format!("t{n}"), mailbox, (), "s").unwrap().detach();
                inbox
            })
            .collect();
        assert_eq!([1, 2].map(|content| broadcast(&fixture, content)), [(21, 0), (1, 20)]);
        assert_eq!([received(&mut fixture.to_transport), received(&mut fixture.to_transport)], [Some(1), Some(2)]);
        assert!(inboxes.iter_mut().all(|inbox| received(inbox) == Some(1)));
    });
}

fn large_messages_over_bindings<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut fixture = fixture::<B>(shards);
        let mut route = fixture.registry.bound_route("t").unwrap();
        let outcomes = [1, 2, 3].map(|content| through(&fixture, &mut route, content));
        assert_eq!(outcomes, [Ok(()), Ok(()), Err((RouteErrorKind::Full, 3))]);
        assert_eq!([received(&mut fixture.to_server), received(&mut fixture.to_server)], [Some(1), Some(2)]);
        assert_eq!(
            [4, 5, 6].map(|content| to_bound(&fixture, content)),
            [Ok(()), Ok(()), Err((RouteErrorKind::Full, 6))]
        );
        assert!(fixture.registry.unbind_transport("t"));
        assert_eq!(through(&fixture, &mut route, 7), Err((RouteErrorKind::NotBound, 7)));
        assert_eq!(to_bound(&fixture, 8), Err((RouteErrorKind::NotBound, 8)));
        assert!(fixture.registry.unregister_transport("t"));
        assert_eq!(to_bound(&fixture, 9), Err((RouteErrorKind::NotFound, 9)));
    });
}

fn large_messages_with_a_waiting_send<B: Backend>(shards: usize) {
    on_a_small_stack(move || {
        let mut fixture = fixture::<B>(shards);
        block_on(Box::pin(async move {
            assert_eq!(Box::pin(send(&fixture, 1, None)).await, Ok(()));
            assert_eq!(Box::pin(send(&fixture, 2, None)).await, Ok(()));
            let limit = Some(Duration::from_secs(1));
            assert_eq!(Box::pin(send(&fixture, 3, limit)).await, Err((RouteErrorKind::TimedOut, 3)));
            let mut all = Vec::new();
            assert_eq!(fixture.to_server.recv_many(&mut all, 1).await, 1);
            assert_eq!(all[0].message.0[0], 1);
            assert_eq!(received(&mut fixture.to_server), Some(2));
        }));
    });
}

/// A mailbox with capacity for one boxed delivery.
struct SingleSlotMailbox<T>(Arc<Mutex<Option<Box<T>>>>);

impl<T> Clone for SingleSlotMailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Mailbox<T> for SingleSlotMailbox<T> {
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.try_send_boxed(Box::new(item)).map_err(|try_send_error| try_send_error.map(|item| *item))
    }

    fn try_send_boxed(&self, item: Box<T>) -> Result<(), TrySendError<Box<T>>> {
        let mut slot = self.0.lock().unwrap();
        if slot.is_some() {
            return Err(TrySendError::Full(item));
        }
        *slot = Some(item);
        Ok(())
    }

    fn is_closed(&self) -> bool {
        false
    }
}

struct SingleSlotFamily;

impl MailboxFamily for SingleSlotFamily {
    type Mailbox<T: Send + 'static> = SingleSlotMailbox<T>;
}

fn large_messages_into_a_custom_mailbox<B: Backend>(shards: usize) {
    #[inline(never)]
    fn route<B: Backend>(
        registry: &Registry<Large, B, SingleSlotFamily>,
        from: &TransportId,
        content: u8,
    ) -> Result<(), u8> {
        match registry.route_to_server("s", from, Large::new(content)) {
            Ok(()) => Ok(()),
            Err(RouteError::Full(ref message)) => Err(message.0[0]),
            Err(_) => Err(0),
        }
    }

    on_a_small_stack(move || {
        let registry: Registry<Large, B, SingleSlotFamily> = Registry::builder().shards(shards).build().unwrap();
        let slot = Arc::new(Mutex::new(None));
        registry.register_server("s", SingleSlotMailbox(Arc::clone(&slot)), ()).unwrap().detach();
        let from = TransportId::new("t").unwrap();
        assert_eq!([1, 2].map(|content| route(&registry, &from, content)), [Ok(()), Err(2)]);
        assert_eq!(slot.lock().unwrap().take().map(|delivery| delivery.message.0[0]), Some(1));
    });
}
