//! Requests of 128 KiB by value, on a stack of 2 MiB as a tokio worker has, in a debug build too.

use registry_core::Backend;
use registry_router::{CallError, Inbox, Registry, ReplyReceiver, Request, ToServer, mailbox};

use crate::support::{block_on, transport};

test_every_backend! {
    large_requests_are_delivered_or_returned,
}

const BYTES: usize = 128 << 10;
const STACK: usize = 2 << 20;

struct Large([u8; BYTES]);

type Message = Request<Large, u8>;

impl Large {
    #[inline(never)]
    fn new(content: u8) -> Self {
        Self([content; BYTES])
    }
}

// One call per function, because in a debug build each message in a function has its own stack slot.

#[inline(never)]
fn call<B: Backend>(registry: &Registry<Message, B>, content: u8) -> impl Future<Output = Result<u8, u8>> + use<B> {
    let call = registry.call_server("s", &transport("t"), Large::new(content), None);
    assert!(size_of_val(&call) < 1_024, "the future does not contain the message");
    async move { first_byte(&call.await) }
}

#[inline(never)]
async fn call_when_ready<B: Backend>(registry: &Registry<Message, B>, content: u8) -> Result<u8, u8> {
    let t = transport("t");
    let call = registry.call_server_when_ready("s", &t, Large::new(content), None);
    assert!(size_of_val(&call) < 4_096, "the future does not contain the message");
    first_byte(&call.await)
}

/// Returns the reply, or the first byte of the returned request.
fn first_byte(outcome: &Result<u8, CallError<Message>>) -> Result<u8, u8> {
    match outcome {
        Ok(reply) => Ok(*reply),
        Err(CallError::NotFound(message) | CallError::Full(message) | CallError::Closed(message)) => {
            Err(message.get_ref().0[0])
        }
        Err(error) => panic!("{error}"),
    }
}

#[inline(never)]
fn answer(inbox: &mut Inbox<ToServer<Message>>) {
    let request = inbox.try_recv().unwrap().message;
    let content = request.get_ref().0[BYTES - 1];
    request.into_parts().1.send(content).unwrap();
}

#[inline(never)]
fn request(content: u8) -> (Box<Message>, ReplyReceiver<u8>) {
    let (request, receiver) = Request::new(Large::new(content));
    (Box::new(request), receiver)
}

fn large_requests_are_delivered_or_returned<B: Backend>(shards: usize) {
    let body = move || {
        let registry: Registry<Message, B> = Registry::builder().shards(shards).build().unwrap();
        assert_eq!(block_on(call(&registry, 1)), Err(1), "not found");
        let (mailbox, mut inbox) = mailbox(1);
        let _s = registry.register_server("s", mailbox, ()).unwrap();
        let delivered = call(&registry, 2);
        assert_eq!(block_on(call(&registry, 3)), Err(3), "full");
        answer(&mut inbox);
        assert_eq!(block_on(delivered), Ok(2));
        block_on(async {
            let (outcome, ()) = tokio::join!(call_when_ready(&registry, 4), async { answer(&mut inbox) });
            assert_eq!(outcome, Ok(4));
        });
        drop(inbox);
        assert_eq!(block_on(call_when_ready(&registry, 5)), Err(5), "closed");
        let (request, receiver) = request(6);
        drop(request);
        assert!(block_on(receiver).is_err());
    };
    std::thread::Builder::new().stack_size(STACK).spawn(body).unwrap().join().unwrap();
}
