//! Events and spans of `tracing`: exactly those in the documentation, and none for lookups and messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{Clock, HealthSettings, LabelLimit, Limits, Metadata, MonitorSettings, Registry, ServerId};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::support::ManualClock;
use crate::support::{unread_server_mailbox, unread_transport_mailbox};

test_every_backend! {
    emitted_events_match_the_documentation,
    lookups_and_messages_emit_no_events,
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A recorded event or span.
#[derive(Clone, Debug, PartialEq)]
struct Recorded {
    source: &'static str,
    name: String,
    level: String,
    /// Includes the message.
    fields: BTreeMap<String, String>,
}

impl Recorded {
    /// Formats it as a row of the documentation.
    fn row(&self) -> String {
        let names = self.fields.keys().filter(|name| *name != "message");
        let fields: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        format!("`{}` | {} | {} | {}", self.name, self.source, self.level, fields.join(", "))
    }
}

/// Records all events and spans.
#[derive(Clone, Default)]
struct RecordingSubscriber(Arc<Mutex<Vec<Recorded>>>);

impl RecordingSubscriber {
    fn push(&self, source: &'static str, metadata: &tracing::Metadata<'_>, record: impl FnOnce(&mut Fields)) {
        assert_eq!(metadata.target(), "registry");
        let mut fields = Fields::default();
        record(&mut fields);
        let (name, level) = (metadata.name().to_owned(), metadata.level().to_string().to_lowercase());
        self.0.lock().unwrap().push(Recorded { source, name, level, fields: fields.0 });
    }

    fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl<S: Subscriber> Layer<S> for RecordingSubscriber {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.push("event", event.metadata(), |fields| event.record(fields));
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.push("span", attributes.metadata(), |fields| attributes.record(fields));
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

/// Returns the rows of events and spans in the documentation, without their meaning.
fn documented() -> BTreeSet<String> {
    let rows = include_str!("../../../../docs/operations.md").lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
        let ours = cells.len() == 5 && ["event", "span"].contains(&cells[1]);
        ours.then(|| cells[..4].join(" | "))
    });
    rows.collect()
}

fn emitted_events_match_the_documentation<B: Backend>(shards: usize) {
    // At least two shards: one alone is never imbalanced.
    let (clock, shards) = (ManualClock::new(), shards.max(2));
    let entries = 25 * shards;
    let registry: Registry<u64, B> = Registry::builder()
        .shards(shards)
        .monitor(MonitorSettings::default().with_sample_every(1))
        .health(HealthSettings::default().with_close_above(0.0).with_reopen_at(0.0))
        .limits(Limits::default().with_servers(entries).with_transports_per_server(1))
        .clock(clock.clone())
        .build()
        .unwrap();
    let subscriber = RecordingSubscriber::default();
    let installed = tracing::subscriber::set_default(tracing_subscriber::registry().with(subscriber.clone()));
    let mut all = Vec::new();
    let mut tick = |seconds: u32| {
        for _ in 0..seconds {
            clock.advance(SECOND);
            registry.tick(clock.now());
            all.extend(subscriber.take());
        }
    };
    // All entries in one shard, which is a significant imbalance, and one more than the limit.
    let mut ids = (0..).map(|number| format!("s{number}")).filter(|id| registry.shard_of(id) == 0);
    let mut leases: Vec<_> = ids
        .by_ref()
        .take(entries)
        .map(|id| registry.register_server(id, unread_server_mailbox(), ()).unwrap())
        .collect();
    let beyond = ids.next().unwrap();
    registry.register_server(beyond.as_str(), unread_server_mailbox(), ()).unwrap_err();
    let first = leases[0].id().clone();
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), &first).unwrap();
    registry.register_transport_bound_to("u", unread_transport_mailbox(), (), &first).unwrap_err();
    // A hot id with slow lookups.
    for _ in 0..250 {
        registry.with_server(&first, |_| clock.advance(MS)).unwrap();
    }
    tick(1);
    registry.register_server("new", unread_server_mailbox(), ()).unwrap_err();
    // A transport whose mailbox is closed.
    let (mailbox, inbox) = registry_router::mailbox(1);
    drop(inbox);
    clock.advance(60 * SECOND);
    tick(30);
    let _closed = registry.register_transport("closed", mailbox, ()).unwrap();
    registry.sweep();
    leases.truncate(1);
    tick(30);
    let spans = all.iter().filter(|recorded| recorded.source == "span" && recorded.name == "tick").count();
    assert_eq!(spans, 61);
    all.extend(events_of_many_tenants::<B>(shards, &subscriber));
    // Two registries exported under one name.
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let other = crate::support::registry::<B>(1);
        for registry in [&registry, &other, &registry, &other] {
            registry.export_metrics_as("name", clock.now());
        }
    });
    all.extend(subscriber.take());
    drop(installed);

    let rows: BTreeSet<String> = all.iter().map(Recorded::row).collect();
    assert_eq!(rows, documented());
    let of = |name: &str| -> Vec<&Recorded> { all.iter().filter(|recorded| recorded.name == name).collect() };
    for recorded in all.iter().filter(|recorded| recorded.source == "event") {
        assert!(!recorded.fields["message"].is_empty(), "{recorded:?}");
    }
    let field = |recorded: &Recorded, name: &str| recorded.fields[name].clone();
    let [raised] = of("alarm_raised")[..] else { panic!("{all:#?}") };
    assert_eq!([field(raised, "shard"), field(raised, "operation"), field(raised, "metric")], ["0", "lookup", "p99"]);
    assert_eq!(field(raised, "threshold_seconds"), "0.0001");
    assert_eq!(of("alarm_cleared").len(), 1);
    let [hot] = of("hot_id_detected")[..] else { panic!("{all:#?}") };
    assert_eq!([field(hot, "id"), field(hot, "kind")], [first.as_ref(), "server"]);
    let causes: BTreeSet<String> = of("registration_refused").iter().map(|recorded| field(recorded, "cause")).collect();
    assert_eq!(causes.into_iter().collect::<Vec<_>>(), ["closed", "limit", "server_full"]);
    let [renamed] = of("export_renamed")[..] else { panic!("{all:#?}") };
    assert_eq!([field(renamed, "name"), field(renamed, "label")], ["name", "name-2"]);
    let [swept] = of("dead_swept")[..] else { panic!("{all:#?}") };
    assert_eq!([field(swept, "servers"), field(swept, "transports")], ["0", "1"]);
    let limits: Vec<String> = of("limit_reached").iter().map(|recorded| field(recorded, "limit")).collect();
    let (by_label, others): (Vec<_>, Vec<_>) =
        limits.into_iter().partition(|limit| limit == "servers per value of `tenant`");
    assert_eq!(by_label.len(), 64);
    let others: BTreeSet<String> = others.into_iter().collect();
    assert_eq!(others.into_iter().collect::<Vec<_>>(), ["servers", "transports bound to one server"]);
    let [more] = of("more_limits_reached")[..] else { panic!("{all:#?}") };
    assert_eq!(field(more, "limits"), "6");
}

/// Returns the events of seventy label limits that are reached and then cleared.
fn events_of_many_tenants<B: Backend>(shards: usize, subscriber: &RecordingSubscriber) -> Vec<Recorded> {
    let label = LabelLimit::new("tenant").with_servers(1);
    let limits = Limits::default().with_label(label);
    let (clock, builder) = (ManualClock::new(), Registry::<u64, B>::builder());
    let registry = builder.shards(shards).limits(limits).clock(clock.clone()).build().unwrap();
    for tenant in 0..70 {
        let metadata = Metadata::new().with("tenant", tenant.to_string());
        let id = format!("one-{tenant}");
        registry.register_server(id, unread_server_mailbox(), metadata.clone()).unwrap().detach();
        registry.register_server("two", unread_server_mailbox(), metadata).unwrap_err();
    }
    for _ in 0..15 {
        clock.advance(SECOND);
        registry.tick(clock.now());
    }
    subscriber.take()
}

fn lookups_and_messages_emit_no_events<B: Backend>(shards: usize) {
    let registry: Registry<u64, B> =
        Registry::builder().shards(shards).monitor(MonitorSettings::default().with_sample_every(1)).build().unwrap();
    let subscriber = RecordingSubscriber::default();
    let _installed = tracing::subscriber::set_default(tracing_subscriber::registry().with(subscriber.clone()));
    let s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    registry.register_server("s", unread_server_mailbox(), ()).unwrap_err();
    for message in 0..20 {
        let _ = registry.route_to_server("s", t.id(), message);
        let _ = registry.route_to_transport("t", &ServerId::new("s").unwrap(), message);
        assert!(registry.find_server("absent").is_none() && registry.find_server("s").is_some());
        registry.broadcast("s", message);
    }
    registry.unbind_transport("t");
    drop((s, t));
    assert_eq!(subscriber.take(), []);
}
