//! A program that is generic over the API traits runs on this registry.

use registry_core::Backend;
use registry_core::api::{Bindings, Directory, Observe, Ownership, Register, Route};
use registry_router::{RegisterError, Select, TransportId};

use crate::support::{registry, server_mailbox, transport, transport_mailbox};

test_every_backend! {
    a_program_generic_over_the_api_traits_runs,
    handles_are_send_and_sync,
}

/// A gateway over any registry.
struct Gateway<R>(R);

impl<R: Register + Bindings + Route<u64> + Observe> Gateway<R> {
    fn connect(
        &self,
        id: &str,
        mailbox: R::TransportMailbox,
    ) -> Result<R::TransportLease, RegisterError<R::TransportMailbox>> {
        self.0.register_transport_bound_to(id, mailbox, (), "s")
    }

    fn forward(&self, from: &TransportId, message: u64) -> bool {
        let Some(server) = self.0.server_for_transport(from) else {
            return false;
        };
        self.0.route_to_server(&server, from, message).is_ok()
    }
}

fn a_program_generic_over_the_api_traits_runs<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let gateway = Gateway(registry.clone());
    let (mailbox, mut to_server) = server_mailbox();
    let server = Register::register_server(&gateway.0, "s", mailbox, ()).unwrap();
    let (mailbox, mut to_transport) = transport_mailbox();
    let lease = gateway.connect("t", mailbox).unwrap();
    assert!(gateway.forward(lease.id(), 1));
    assert_eq!(to_server.try_recv().unwrap().message, 1);
    assert_eq!(Route::broadcast(&gateway.0, "s", 2).delivered, 1);
    assert_eq!(to_transport.try_recv().unwrap().message, 2);
    assert_eq!(Directory::select_transports(&gateway.0, Select::prefix("t")).len(), 1);
    assert_eq!(Directory::find_server(&gateway.0, "s").unwrap().incarnation, server.incarnation());
    assert_eq!(Observe::shard_count(&gateway.0), shards);
    assert!(Ownership::release(server));
    assert!(!gateway.forward(lease.id(), 3));
    assert_eq!((Directory::server_count(&registry), Directory::transport_count(&registry)), (0, 1));
}

/// Checked by the compiler.
fn handles_are_send_and_sync<B: Backend>(shards: usize) {
    fn any_thread<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn movable<T: Send + Sync + 'static>(_: &T) {}
    fn spawnable(_: &impl Send) {}

    let registry = registry::<B>(shards);
    any_thread(&registry);
    let (mailbox, _inbox) = server_mailbox();
    let lease = registry.register_server("s", mailbox, ()).unwrap();
    movable(&lease);
    any_thread(&registry.find_server("s").unwrap());
    let t = transport("t");
    spawnable(&registry.send_to_server("s", &t, 1, None));
    spawnable(&registry.send_to_transport("t", lease.id(), 1, Some(std::time::Duration::ZERO)));
}
