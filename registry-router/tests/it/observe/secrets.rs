//! Values of metadata, messages and the seed are secrets: they never appear in formatted, logged or exported text.

use std::error::Error;
use std::fmt::{Debug, Display};

use registry_core::Backend;
use registry_router::{
    AdmissionError, BoundRouteError, Clock, Delivery, DenyReason, HealthChange, HealthEvent, LabelLimit, Limit,
    LimitUsage, Limits, Metadata, RegisterErrorKind, Registry, RouteError, Select, SendError, ServerId, Settings,
    ToTransport, TransportId, TrySendError, mailbox,
};

use crate::support::ManualClock;
use crate::support::block_on;

test_every_backend! {
    secrets_are_never_shown,
}

const SECRET: &str = "hunter2";

const SEED: u64 = 0x5eed_0123_4567_89ab;

/// Texts produced by the library, each with its origin.
#[derive(Default)]
struct Shown(Vec<(String, String)>);

impl Shown {
    fn text(&mut self, what: &str, text: String) {
        self.0.push((what.to_owned(), text));
    }

    fn debug(&mut self, what: &str, value: &dyn Debug) {
        self.text(what, format!("{value:?} {value:#?}"));
    }

    fn display(&mut self, what: &str, value: &dyn Display) {
        self.text(what, value.to_string());
    }

    fn both<T: Debug + Display>(&mut self, what: &str, value: &T) {
        self.debug(what, value);
        self.display(what, value);
    }

    /// With all of its sources.
    fn error(&mut self, what: &str, error: &dyn Error) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.both(what, &error);
            next = error.source();
        }
    }

    /// Asserts that no text contains a secret.
    fn check(&self) {
        let seed = [SEED.to_string(), format!("{SEED:x}"), format!("{SEED:X}")];
        let leaks = |text: &String| text.contains(SECRET) || seed.iter().any(|seed| text.contains(seed));
        let leaking: Vec<_> = self.0.iter().filter(|(_, text)| leaks(text)).collect();
        assert!(leaking.is_empty(), "{} of {} texts contain a secret: {leaking:#?}", leaking.len(), self.0.len());
    }
}

fn secrets_are_never_shown<B: Backend>(shards: usize) {
    let (mut shown, clock) = (Shown::default(), ManualClock::new());
    let tenant = || Metadata::new().with("tenant", SECRET);
    shown.debug("metadata", &tenant());

    let mut settings = Settings::default();
    (settings.shards, settings.seed) = (shards, SEED);
    let label = LabelLimit::new("tenant").with_transports(1);
    settings.limits = Limits::default().with_label(label).with_transports_per_server(1);
    shown.debug("settings", &settings);
    let builder = Registry::<String, B>::builder().settings(settings).clock(clock.clone());
    shown.debug("builder", &builder);

    #[cfg(feature = "tracing")]
    let log = log::Log::default();
    #[cfg(feature = "tracing")]
    let _installed = log.install();
    let registry = builder.build().unwrap();
    let mut receiver = registry.watch_health();
    shown.debug("health receiver", &receiver);

    let (to_server, mut server_inbox) = mailbox(1);
    let (to_transport, mut inbox) = mailbox(1);
    shown.debug("mailbox", &to_transport);
    let server = registry.register_server("s", to_server, tenant()).unwrap();
    let mut transport = registry.register_transport_bound_to("t", to_transport.clone(), tenant(), "s").unwrap();
    shown.debug("server lease", &server);
    shown.debug("transport lease", &transport);
    shown.debug("registry with entries", &registry);
    registry.with_server("s", |entry| shown.debug("server entry reference", &entry)).unwrap();
    registry.with_transport("t", |entry| shown.debug("transport entry reference", &entry)).unwrap();
    shown.debug("server entry", &registry.find_server("s").unwrap());
    shown.debug("transport entry", &registry.find_transport("t").unwrap());
    shown.debug("server entry information", &registry.list_servers());
    shown.debug("transport entry information", &registry.list_transports());
    let is_ours = |metadata: &Metadata| metadata.get("tenant") == Some(SECRET);
    shown.debug("select", &Select::all().filter(is_ours));

    // Errors, as `unwrap` would print them.
    shown.error("id taken", &registry.register_server("s", mailbox(1).0, tenant()).unwrap_err());
    shown.error("invalid id", &registry.register_server("", mailbox(1).0, tenant()).unwrap_err());
    let absent = registry.register_transport_bound_to("v", mailbox(1).0, tenant(), "absent").unwrap_err();
    shown.error("server not found", &absent);
    let full = registry.register_transport_bound_to("v", mailbox(1).0, Metadata::new(), "s").unwrap_err();
    assert!(matches!(full.kind(), RegisterErrorKind::ServerFull { .. }), "{full}");
    shown.error("server full", &full);
    let oversized = registry.register_server("v", mailbox(1).0, tenant().with("large", SECRET.repeat(10_000)));
    shown.error("metadata too large", &oversized.unwrap_err());
    let relabelled = tenant().with("tenant", format!("{SECRET}-{SECRET}"));
    shown.error("renewal", &registry.renew_transport(&mut transport, to_transport.clone(), relabelled).unwrap_err());
    let refused = registry.register_transport("u", mailbox(1).0, tenant()).unwrap_err();
    let RegisterErrorKind::Refused(AdmissionError { reason: DenyReason::Limit(limit), .. }) = refused.kind() else {
        panic!("{refused}")
    };
    assert!(matches!(limit, Limit::Label { value, .. } if &**value == SECRET), "the program can read the value");
    assert!(limit.to_string().contains("tenant"), "the key is not shown: {limit}");
    shown.error("refused", &refused);
    shown.both("register error kind", refused.kind());
    let RegisterErrorKind::Refused(error) = refused.into_kind() else { unreachable!() };
    shown.both("admission error", &error);
    shown.debug("deny reason", &error.reason);
    let DenyReason::Limit(limit) = error.reason else { unreachable!() };
    shown.both("limit", &limit);
    let usage = LimitUsage::new(limit.clone(), 1).with_used(1).with_hits(1);
    shown.both("limit usage", &usage);

    let mut changes = registry.tick(clock.now());
    let reached = |change: &HealthChange| matches!(change, HealthChange::LimitReached(usage) if usage.limit == limit);
    assert!(changes.iter().any(reached), "{changes:?}");
    changes.push(HealthChange::LimitCleared(usage));
    for change in &changes {
        shown.both("health change", change);
        shown.debug("health event", &HealthEvent::Change(change.clone()));
    }
    shown.debug("received health event", &receiver.try_next());
    shown.debug("contention status", &registry.contention_status());
    shown.debug("shard stats", &registry.all_shard_stats());

    let (s, t) = (ServerId::new("s").unwrap(), TransportId::new("t").unwrap());
    let secret = || SECRET.to_owned();
    registry.route_to_transport("t", &s, secret()).unwrap();
    shown.debug("inbox", &inbox);
    shown.error("route to a full mailbox", &registry.route_to_transport("t", &s, secret()).unwrap_err());
    shown.error("route to an absent id", &registry.route_to_transport("absent", &s, secret()).unwrap_err());
    shown.debug("broadcast", &registry.broadcast("s", secret()));
    let waited = block_on(registry.send_to_transport("t", &s, secret(), Some(std::time::Duration::ZERO)));
    shown.error("send", &waited.unwrap_err());
    shown.debug("batch", &registry.route_many_to_transports([("t", &s, secret()), ("absent", &s, secret())]));
    let mut route = registry.bound_route("t").unwrap();
    route.try_send(&registry, secret()).unwrap();
    shown.debug("bound route", &route);
    shown.error("bound route to a full mailbox", &route.try_send(&registry, secret()).unwrap_err());
    shown.debug("delivery to a server", &server_inbox.try_recv().unwrap());
    shown.debug("delivery to a transport", &inbox.try_recv().unwrap());
    for error in [RouteError::NotFound, RouteError::Full, RouteError::Closed].map(|error| error(secret())) {
        shown.error("route error", &error);
    }
    let bound_route_errors =
        [BoundRouteError::TransportNotFound, BoundRouteError::NotBound, BoundRouteError::Full, BoundRouteError::Closed];
    for error in bound_route_errors.map(|error| error(secret())) {
        shown.error("bound route error", &error);
    }
    for error in [SendError::NotFound, SendError::TimedOut, SendError::Closed].map(|error| error(secret())) {
        shown.error("send error", &error);
    }
    let delivery: ToTransport<String> = Delivery { from: s, message: secret() };
    for error in [TrySendError::Full, TrySendError::Closed].map(|error| error(delivery.clone())) {
        shown.both("try send error", &error);
    }
    #[cfg(feature = "flume")]
    {
        let (mailbox, inbox) = registry_router::flume_mailbox(1);
        registry_router::Mailbox::try_send(&mailbox, secret()).unwrap();
        shown.debug("flume mailbox", &(&mailbox, &inbox));
    }
    #[cfg(feature = "metrics")]
    {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || registry.export_metrics(clock.now()));
        shown.text("metrics", recorder.handle().render());
    }
    // Events of removals: by a sweep, and by a message to a closed mailbox.
    drop(inbox);
    assert_eq!(registry.sweep().transports, 1);
    drop(server_inbox);
    shown.error("route to a closed mailbox", &registry.route_to_server("s", &t, secret()).unwrap_err());
    // Enough checks for the hold time of the reached limits.
    for _ in 0..30 {
        clock.advance(std::time::Duration::from_secs(1));
        registry.tick(clock.now());
    }
    #[cfg(feature = "tracing")]
    {
        let text = log.text();
        for event in ["registration_refused", "limit_reached", "limit_cleared", "sweep"] {
            assert!(text.contains(event), "{event} is missing from {text}");
        }
        shown.text("events", text);
    }
    shown.check();
}

/// All events and spans of `tracing`, as text.
#[cfg(feature = "tracing")]
mod log {
    use std::fmt::Write;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id};
    use tracing::{Event, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    #[derive(Clone, Default)]
    pub(super) struct Log(Arc<Mutex<String>>);

    impl Log {
        pub(super) fn install(&self) -> tracing::subscriber::DefaultGuard {
            tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
        }

        pub(super) fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }
    }

    struct Fields<'a>(&'a mut String);

    impl Visit for Fields<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            write!(self.0, " {field}={value:?}").unwrap();
        }
    }

    impl<S: Subscriber> Layer<S> for Log {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut text = self.0.lock().unwrap();
            writeln!(text, "{}", event.metadata().name()).unwrap();
            event.record(&mut Fields(&mut text));
        }

        fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
            let mut text = self.0.lock().unwrap();
            writeln!(text, "{}", attributes.metadata().name()).unwrap();
            attributes.record(&mut Fields(&mut text));
        }
    }
}
