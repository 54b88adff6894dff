//! A sharded, in-process service registry and message router.
//!
//! *Servers* and *transports* (connections to clients) register under an id, with a mailbox and metadata. A transport is
//! bound to at most one server. Messages are routed in both directions by id; a message that cannot be delivered is
//! returned to the caller. A registration lasts as long as its [`Lease`].
//!
//! # Quick start
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
//!
//! # Overview
//!
//! | to | use |
//! |---|---|
//! | create a registry | [`Registry::builder`], [`Settings`], [`Limits`] |
//! | register | [`mailbox()`], [`Registry::register_server`], [`Registry::register_transport`] |
//! | look up | [`Registry::with_server`] in place, [`Registry::find_server`] for a handle, [`Registry::select_servers`] for a list |
//! | wait for a registration, or for its end | [`Registry::await_server`], [`Lease::ended`] |
//! | bind | [`Registry::bind_transport_to_server`], [`Registry::register_transport_bound_to`] |
//! | send without waiting | [`Registry::route_to_server`], [`Registry::broadcast`], [`BoundRoute::try_send`] |
//! | wait for room | [`Registry::send_to_server`] |
//! | wait for a reply | [`Registry::call_server`], [`BoundRoute::call`], [`Request`] |
//! | process in bulk | [`Registry::find_many_servers`], [`Registry::route_many_to_servers`] |
//! | remove dead registrations | [`Registry::sweep`], [`Registry::sweep_task`] |
//! | monitor | [`Registry::shard_stats`], [`Registry::contention_status`], [`Registry::watch_health`] |
//! | limit | [`Builder::limits`], [`Builder::admission`], [`Registry::renew_transport`] |
//! | write code for any registry | the traits in [`api`] |
//!
//! # Tasks
//!
//! A registry starts no threads or tasks. Health is only checked, and admission only closed and reopened, by
//! [`Registry::tick`] or the future of [`Registry::health_task`]. Registrations whose owner has dropped its inbox without
//! ending its lease are not found by lookups, but removed only when a message or registration meets them, or by a sweep.
//!
//! # Backends
//!
//! The concurrent map underneath is part of the type: `Registry<Message>` uses papaya, `Registry<Message, Dashmap>`
//! dashmap. Each has a page in [`backends`] that starts with its trade-offs.
//!
//! # Feature flags
//!
//! Features are additive: none changes the meaning of another.
//!
//! - `papaya` (default), `dashmap`, `left-right`: the [`backends`] of these crates; `left-right` adds `Evmap` and
//!   `LeftRight`.
//! - `flume`: `flume_mailbox`, a mailbox that takes little memory while it is empty.
//! - `stream`: `futures_core::Stream` for [`Inbox`], `FlumeInbox` and [`HealthReceiver`].
//! - `sink`: `Registry::server_sink` and `transport_sink`, which return a `futures_sink::Sink`.
//! - `metrics`: `Registry::export_metrics`, the export of all statistics through the crate `metrics`.
//! - `tower`: `Registry::server_service` and `transport_service`, which return a `tower_service::Service`.
//! - `tracing`: events for changes, and spans for health checks and sweeps, through the crate `tracing`.
//! - `serde`: serialization of ids, metadata, statistics and settings.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod binding;
mod builder;
mod clock;
mod endpoint;
mod lifecycle;
mod mailbox;
mod observe;
mod registry;
mod request;
mod routing;
mod shared;
mod storage;
mod sync;
mod traits;
mod types;

pub use registry::{Registry, ServerMailbox, TransportMailbox};

pub use builder::{Builder, Settings};
pub use clock::{Clock, TokioClock};
pub use registry_monitor::{
    AlarmRule, HealthSettings, HotRule, ImbalanceRule, LabelLimit, Limiter, Limits, MetadataLimit, Monitor,
    MonitorSettings, RateLimit,
};

pub use lifecycle::lease::{Lease, ServerLease, TransportLease};
pub use lifecycle::sweep::SweepReport;
pub use mailbox::{CapacityError, Inbox, MAX_MAILBOX_CAPACITY, Tokio, TokioMailbox, TokioPermit, mailbox, try_mailbox};
#[cfg(feature = "flume")]
#[cfg_attr(docsrs, doc(cfg(feature = "flume")))]
pub use mailbox::{Flume, FlumeInbox, FlumeMailbox, flume_mailbox, try_flume_mailbox};

pub use routing::bound::BoundRoute;
#[cfg(feature = "sink")]
pub use routing::sink::{ServerSink, TransportSink};

pub use request::{ReplyReceiver, ReplySender, Request};
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub use request::{ResponseFuture, ServerService, TransportService};

pub use observe::health::{HealthEvent, HealthReceiver, TryNextError};
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use observe::metrics::describe_metrics;

pub use registry_core::api;
pub use registry_core::{
    Admission, AdmissionError, AdmissionState, AdmitAll, Alarm, AlarmMetric, AlarmedShards, AsId, AwaitError, Backend,
    BindError, BoundRouteError, BroadcastReport, BuildError, CallError, CallErrorKind, Closed, Contention,
    ContentionKind, ContentionStatus, Delivery, DenyReason, EndReason, Entry, EntryInfo, EntryRef, Event, HealthChange,
    HotId, IdRule, Imbalance, Incarnation, InvalidId, Kind, LatencyStats, Limit, LimitCount, LimitHits, LimitUsage,
    MAX_ID_BYTES, Mailbox, MailboxFamily, Metadata, Operation, Permit, Probe, RecentWrites, RegisterError,
    RegisterErrorKind, ReplyError, ReserveMailbox, RouteError, RouteErrorKind, Select, SendError, ServerId, ShardStats,
    SlowOps, ToServer, ToTransport, TransportId, TrySendError,
};

/// The backends: the concurrent maps that a registry can be built on, each behind the feature of its name.
pub mod backends {
    pub use registry_backends::*;
}

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
