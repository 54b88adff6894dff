//! Messages that hold a handle to the registry they are sent through.

use std::sync::{Arc, Mutex};

use registry_router::{BoundRoute, Entry, Registry, ServerId, ServerMailbox, TransportId, mailbox};

/// A user program, expanded for each backend.
macro_rules! programs {
    ($($module:ident $Backend:ident),* $(,)?) => {
        $(
            mod $module {
                use super::*;

                struct Gateway {
                    registry: Registry<Message, registry_router::backends::$Backend>,
                    route: Mutex<Option<BoundRoute<Message>>>,
                    server: Mutex<Option<Entry<ServerId, ServerMailbox<Message>>>>,
                }

                enum Message {
                    Ask(Arc<Gateway>),
                }

                #[test]
                fn a_message_may_hold_its_registry() {
                    for shards in [1, 64] {
                        let registry = Registry::builder().shards(shards).build().unwrap();
                        let gateway = Arc::new(Gateway { registry, route: Mutex::default(), server: Mutex::default() });
                        let (to_server, mut inbox) = mailbox(1);
                        let lease = gateway.registry.register_server("s", to_server, ()).unwrap();
                        *gateway.server.lock().unwrap() = gateway.registry.find_server("s");
                        *gateway.route.lock().unwrap() = gateway.registry.bound_route("t");
                        let from = TransportId::new("t").unwrap();
                        let message = Message::Ask(Arc::clone(&gateway));
                        assert!(gateway.registry.route_to_server("s", &from, message).is_ok());
                        let there = std::thread::spawn(move || {
                            let Message::Ask(gateway) = inbox.try_recv().unwrap().message;
                            gateway.registry.server_count()
                        });
                        assert_eq!(there.join().unwrap(), 1);
                        drop(lease);
                    }
                }
            }
        )*
    };
}

registry_router::backends::for_every_backend!(programs);
