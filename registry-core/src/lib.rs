//! The contracts of Registry: what a shard, a mailbox, a probe and an admission policy must do, and the plain
//! types that stand in their signatures.
//!
//! There is no map, no runtime and no clock in here.
//! Who should depend on this crate directly:
//!
//! - **Authors of a backend** implement [`Backend`] and [`Shard`] and test them with the crate `registry-conformance`.
//! - **Authors of a mailbox** implement [`Mailbox`], and [`ReserveMailbox`] if a sender can wait for room.
//! - **Authors of monitoring or load shedding** implement [`Probe`] or [`Admission`].
//! - **Programs written against the contract**, not against one registry, use the traits in [`api`].
//!
//! Everybody else uses `registry-router`, which re-exports what a user needs.

pub mod admission;
pub mod api;
mod contention;
mod entry;
mod error;
mod health;
mod id;
mod id_rule;
mod incarnation;
mod key;
mod mailbox;
mod metadata;
mod probe;
pub mod reentrancy;
mod select;
mod shard;
mod stats;

pub use admission::{Admission, AdmissionError, AdmissionState, AdmitAll, DenyReason, Kind};
pub use contention::{Contention, ContentionKind};
pub use entry::{Entry, EntryInfo, EntryRef};
pub use error::{
    BindError, BoundRouteError, BroadcastReport, BuildError, RegisterError, RegisterErrorKind, RouteError, SendError,
};
pub use health::{
    Alarm, AlarmMetric, AlarmedShards, HealthChange, HotId, Imbalance, Limit, LimitCount, LimitHits, LimitUsage,
};
pub use id::{InvalidId, MAX_ID_BYTES, ServerId, TransportId};
pub use id_rule::IdRule;
pub use incarnation::Incarnation;
pub use key::AsId;
pub use mailbox::{
    Closed, Delivery, Mailbox, MailboxFamily, Permit, ReserveMailbox, ToServer, ToTransport, TrySendError,
};
pub use metadata::Metadata;
pub use probe::{Event, Operation, Probe};
pub use select::Select;
pub use shard::{Backend, Batch, EntryParts, Key, MAX_BATCH, NotInserted, Occupied, ReadRequest, Shard, State, Value};
pub use stats::{ContentionStatus, LatencyStats, RecentWrites, ShardStats, SlowOps};
