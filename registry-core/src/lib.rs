//! The contracts of Registry: what a shard, a mailbox, a probe and an admission policy must do, and the plain types in
//! their signatures.
//!
//! This crate contains no map, no runtime and no clock. Depend on it directly to implement one of its traits or to
//! write code that is generic over registries:
//!
//! - **A backend** implements [`Backend`] and [`Shard`], and is tested with the crate `registry-conformance`.
//! - **A mailbox** implements [`Mailbox`], and [`ReserveMailbox`] if a sender can wait for capacity.
//! - **Monitoring and load shedding** implement [`Probe`] and [`Admission`].
//! - **Code that works with any registry** uses the traits in [`api`].
//!
//! Everything else can use `registry-router`, which re-exports what its users need.

mod admission;
pub mod api;
mod broadcast;
mod contention;
mod end;
mod entry;
mod error;
mod health;
mod id;
mod id_rule;
mod incarnation;
mod key;
mod kind;
mod limit;
mod mailbox;
mod metadata;
mod probe;
pub mod reentrancy;
mod select;
mod shard;
mod stats;

pub use admission::{Admission, AdmissionError, AdmissionState, AdmitAll, DenyReason};
pub use broadcast::BroadcastReport;
pub use contention::{Contention, ContentionKind};
pub use end::EndReason;
pub use entry::{Entry, EntryInfo, EntryRef};
pub use error::{
    AwaitError, BindError, BoundRouteError, BuildError, CallError, CallErrorKind, RegisterError, RegisterErrorKind,
    ReplyError, RouteError, RouteErrorKind, SendError,
};
pub use health::{Alarm, AlarmMetric, AlarmedShards, HealthChange, HotId, Imbalance};
pub use id::{InvalidId, MAX_ID_BYTES, ServerId, TransportId};
pub use id_rule::IdRule;
pub use incarnation::Incarnation;
pub use key::AsId;
pub use kind::Kind;
pub use limit::{Limit, LimitCount, LimitHits, LimitUsage};
pub use mailbox::{
    Closed, Delivery, Mailbox, MailboxFamily, Permit, ReserveMailbox, ToServer, ToTransport, TrySendError,
};
pub use metadata::Metadata;
pub use probe::{Event, Probe};
pub use select::Select;
pub use shard::{Backend, Batch, EntryParts, Key, MAX_BATCH, NotInserted, Occupied, ReadRequest, Shard, State, Value};
pub use stats::{ContentionStatus, LatencyStats, Operation, RecentWrites, ShardStats, SlowOps};
