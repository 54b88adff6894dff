//! Values of metadata, the seed and messages are secrets: nothing that is printed, logged or exported has them.

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

/// All that has been shown, and how.
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

    /// Expects no secret in anything.
    fn check(&self) {
        let seed = [SEED.to_string(), format!("{SEED:x}"), format!("{SEED:X}")];
        let leaks = |text: &String| text.contains(SECRET) || seed.iter().any(|seed| text.contains(seed));
        let leaking: Vec<_> = self.0.iter().filter(|(_, text)| leaks(text)).collect();
        assert!(leaking.is_empty(), "{} of {} show a secret: {leaking:#?}", leaking.len(), self.0.len());
    }
}

fn secrets_are_never_shown<B: Backend>(shards: usize) {
    let (mut shown, clock) = (Shown::default(), ManualClock::new());
    let tenant = || Metadata::new().with("tenant", SECRET);
    shown.debug("metadata", &tenant());

    let mut settings = Settings::default();
    (settings.shards, settings.seed) = (shards, SEED);
    let label = LabelLimit { key: "tenant".to_owned(), servers: None, transports: Some(1) };
    settings.limits = Limits { label: Some(label), transports_per_server: Some(1), ..Limits::default() };
    shown.debug("settings", &settings);
    let builder = Registry::<String, B>::builder().settings(settings).clock(clock.clone());
    shown.debug("builder", &builder);

    #[cfg(feature = "tracing")]
    let log = log::Log::default();
    #[cfg(feature = "tracing")]
    let _logging = log.listen();
    let registry = builder.build().unwrap();
    let mut watch = registry.watch_health();
    shown.debug("registry", &registry);
    shown.debug("watch", &watch);

    let (to_server, mut server_inbox) = mailbox(1);
    let (to_transport, mut inbox) = mailbox(1);
    shown.debug("mailbox", &to_transport);
    let server = registry.register_server("s", to_server, tenant()).unwrap();
    let transport = registry.register_transport_bound_to("t", to_transport.clone(), tenant(), "s").unwrap();
    shown.debug("lease", &transport);
    registry.with_transport("t", |entry| shown.debug("entry in place", &entry)).unwrap();
    shown.debug("entry", &registry.find_transport("t").unwrap());
    shown.debug("listing", &registry.list_transports());
    let is_ours = |metadata: &Metadata| metadata.get("tenant") == Some(SECRET);
    shown.debug("select", &Select::all().filter(is_ours));

    // A name that is taken, and a cap on the label: what `unwrap` would print.
    shown.both("taken", &registry.register_server("s", mailbox(1).0, tenant()).unwrap_err());
    let refused = registry.register_transport("u", mailbox(1).0, tenant()).unwrap_err();
    let RegisterErrorKind::Refused(AdmissionError { reason: DenyReason::Limit(limit), .. }) = &refused.kind else {
        panic!("{refused}")
    };
    assert!(matches!(limit, Limit::Label { value, .. } if &**value == SECRET), "a program is told the value");
    assert!(limit.to_string().contains("tenant"), "the key is shown: {limit}");
    shown.both("refused", &refused);
    shown.both("reason", &refused.kind);
    let RegisterErrorKind::Refused(refusal) = refused.kind else { unreachable!() };
    shown.both("refusal", &refusal);
    shown.debug("cause", &refusal.reason);
    let DenyReason::Limit(limit) = refusal.reason else { unreachable!() };
    shown.both("limit", &limit);
    shown.both("use of a cap", &LimitUsage { limit: limit.clone(), max: 1, used: 1, hits: 1 });
    registry.register_transport_bound_to("v", mailbox(1).0, (), "s").map(drop).unwrap_err();

    let changes = registry.tick(clock.now());
    let is_hit = |change: &HealthChange| matches!(change, HealthChange::LimitReached(hit) if hit.limit == limit);
    assert!(changes.iter().any(is_hit), "{changes:?}");
    for change in &changes {
        shown.both("change", change);
        shown.debug("what is watched", &HealthEvent::Change(change.clone()));
    }
    shown.debug("what a watcher gets", &watch.try_next());
    shown.debug("status", &registry.contention_status());
    shown.debug("figures", &registry.all_shard_stats());

    let (s, t) = (ServerId::new("s").unwrap(), TransportId::new("t").unwrap());
    let secret = || SECRET.to_owned();
    registry.route_to_transport("t", &s, secret()).unwrap();
    shown.debug("inbox", &inbox);
    shown.both("route", &registry.route_to_transport("t", &s, secret()).unwrap_err());
    shown.both("no route", &registry.route_to_transport("absent", &s, secret()).unwrap_err());
    shown.debug("broadcast", &registry.broadcast("s", secret()));
    let waited = block_on(registry.send_to_transport("t", &s, secret(), Some(std::time::Duration::ZERO)));
    shown.both("send", &waited.unwrap_err());
    shown.debug("many", &registry.route_many_to_transports([("t", &s, secret()), ("absent", &s, secret())]));
    let mut route = registry.bound_route("t").unwrap();
    route.try_send(&registry, secret()).unwrap();
    shown.debug("bound route", &route);
    shown.both("full route", &route.try_send(&registry, secret()).unwrap_err());
    shown.debug("delivery to a server", &server_inbox.try_recv().unwrap());
    shown.debug("delivery to a transport", &inbox.try_recv().unwrap());
    for error in [RouteError::NotFound, RouteError::Full, RouteError::Closed].map(|error| error(secret())) {
        shown.both("route error", &error);
    }
    for error in
        [BoundRouteError::TransportNotFound, BoundRouteError::NotBound, BoundRouteError::Full].map(|e| e(secret()))
    {
        shown.both("bound route error", &error);
    }
    for error in [SendError::NotFound, SendError::TimedOut, SendError::Closed].map(|error| error(secret())) {
        shown.both("send error", &error);
    }
    let delivery: ToTransport<String> = Delivery { from: s, message: secret() };
    shown.both("undelivered", &TrySendError::Full(delivery));
    drop((server, transport, t));
    #[cfg(feature = "flume")]
    {
        let (mailbox, inbox) = registry_router::flume_mailbox(1);
        registry_router::Mailbox::try_send(&mailbox, secret()).unwrap();
        shown.debug("lean mailbox", &(&mailbox, &inbox));
    }
    #[cfg(feature = "tracing")]
    {
        assert!(log.text().contains("limit_reached") && log.text().contains("registration_refused"));
        shown.text("events", log.text());
    }
    #[cfg(feature = "metrics")]
    {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || registry.export_metrics(clock.now()));
        shown.text("metrics", recorder.handle().render());
    }
    shown.check();
}

/// All that is told by `tracing`, as text.
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
        pub(super) fn listen(&self) -> tracing::subscriber::DefaultGuard {
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
