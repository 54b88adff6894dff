//! A sharded, in-process service registry and message router.
//!
//! *Servers* (things that answer) and *transports* (connections) register under an id with a mailbox and metadata.
//! A transport is bound to at most one server. Messages are routed both ways by id, and are delivered or come back.
//! A registration lasts as long as its [`Lease`].
//!
//! - To begin: [`Registry::builder`], [`mailbox()`], [`Registry::register_server`].
//! - To look up: [`Registry::with_server`] reads in place, [`Registry::find_server`] gives a handle to keep,
//!   [`Registry::select_servers`] a list.
//! - To bind: [`Registry::bind_transport_to_server`], or [`Registry::register_transport_bound_to`] at birth.
//! - To send: [`Registry::route_to_server`] at once or not at all, [`Registry::send_to_server`] with patience,
//!   [`Registry::broadcast`] to all transports of a server, [`BoundRoute::try_send`] from a transport to its own one.
//! - To do much at once: [`Registry::find_many_servers`], [`Registry::route_many_to_servers`].
//! - To clean up after owners that died without a word: [`Registry::sweep`], or [`Registry::sweep_task`] as a task.
//! - To watch: [`Registry::shard_stats`], [`Registry::contention_status`], [`Registry::watch_health`]; nothing is judged
//!   unless somebody calls [`Registry::tick`] or spawns [`Registry::health_task`].
//! - To protect: [`Builder::limits`]; who is in can come back by [`Registry::renew_transport`] when nobody new is taken.
//! - To export: `Registry::export_metrics` with the feature `metrics`; events and spans with the feature `tracing`.
//! - To write a program for any registry, not just this one: the traits in [`api`].
//!
//! # Choosing a backend
//!
//! The map underneath is named in the type: `Registry<Message>` is on papaya, `Registry<Message, Dashmap>` on dashmap.
//! Each has a feature of its name (`papaya` is on by default, `left-right` brings `Evmap` and `LeftRight`) and a page
//! in [`backends`] that opens with its trade-offs. Features only add; none changes what another means.
//!
//! # Example
//!
//! ```
//! use registry_router::{Registry, RouteError, mailbox};
//!
//! let registry: Registry<&str> = Registry::builder().build()?;
//! let (to_server, mut inbox) = mailbox(16);
//! let server = registry.register_server("echo", to_server, ())?;
//! let (to_transport, _replies) = mailbox(16);
//! let transport = registry.register_transport("conn-1", to_transport, ())?;
//!
//! registry.route_to_server("echo", transport.id(), "hello")?;
//! assert_eq!(inbox.try_recv()?.message, "hello");
//!
//! drop(server);
//! assert_eq!(registry.route_to_server("echo", transport.id(), "hello?"), Err(RouteError::NotFound("hello?")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod binding;
mod builder;
mod clock;
mod endpoint;
mod lifecycle;
mod mailbox;
mod observe;
mod registry;
mod routing;
#[cfg(shuttle)]
pub mod seeded;
#[cfg(not(shuttle))]
mod seeded;
mod shared;
mod storage;
mod sync;
mod traits;

pub use builder::{Builder, Settings};
pub use clock::{Clock, TokioClock};
pub use lifecycle::lease::{Lease, ServerLease, TransportLease};
pub use lifecycle::sweep::SweepReport;
pub use mailbox::{CapacityError, Inbox, MAX_MAILBOX_CAPACITY, Tokio, TokioMailbox, TokioPermit, mailbox, try_mailbox};
#[cfg(feature = "flume")]
pub use mailbox::{Flume, FlumeInbox, FlumeMailbox, flume_mailbox, try_flume_mailbox};
pub use observe::health::{HealthEvent, HealthReceiver, TryNextError};
#[cfg(feature = "metrics")]
pub use observe::metrics::describe_metrics;
pub use registry::{Registry, ServerMailbox, TransportMailbox};
pub use registry_core::api;
pub use registry_core::{
    Admission, AdmissionError, AdmissionState, AdmitAll, Alarm, AlarmMetric, AlarmedShards, AsId, Backend, BindError,
    BoundRouteError, BroadcastReport, BuildError, Closed, Contention, ContentionKind, ContentionStatus, Delivery,
    DenyReason, Entry, EntryInfo, EntryRef, Event, HealthChange, HotId, IdRule, Imbalance, Incarnation, InvalidId,
    Kind, LatencyStats, Limit, LimitCount, LimitHits, LimitUsage, MAX_ID_BYTES, Mailbox, MailboxFamily, Metadata,
    Operation, Permit, Probe, RecentWrites, RegisterError, RegisterErrorKind, ReserveMailbox, RouteError, Select,
    SendError, ServerId, ShardStats, SlowOps, ToServer, ToTransport, TransportId, TrySendError,
};
pub use registry_monitor::{
    AlarmRule, HealthSettings, HotRule, ImbalanceRule, LabelLimit, Limiter, Limits, MetadataLimit, Monitor,
    MonitorSettings, RateLimit,
};
pub use routing::bound::BoundRoute;

/// The maps that a registry can be built on, each behind the feature of its name.
pub mod backends {
    pub use registry_backends::*;
}

/// The README's example, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
