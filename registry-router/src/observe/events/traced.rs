//! Events and spans. Their names, levels and fields are a public interface; they are listed in `docs/operations.md`, which
//! a test compares.

use std::time::Duration;

use registry_core::{Alarm, HealthChange, Kind, Operation, RegisterErrorKind};
use tracing::span::EnteredSpan;
use tracing::{Level, event};

use crate::lifecycle::sweep::SweepReport;

/// The target of all events and spans.
const TARGET: &str = "registry";

/// Enters the span of a health check.
pub(crate) fn checking(shards: usize) -> EnteredSpan {
    tracing::span!(target: TARGET, Level::DEBUG, "tick", shards).entered()
}

/// Enters the span of a sweep of one shard.
pub(crate) fn sweeping(shard: usize) -> EnteredSpan {
    tracing::span!(target: TARGET, Level::DEBUG, "sweep", shard).entered()
}

/// Emits the changes that a health check has found. The start of a problem is a warning, its end is for information; a hot
/// id is not necessarily a problem.
pub(crate) fn changed(changes: &[HealthChange]) {
    /// Emits an event. Its level and name must be constants; its fields are the same for start and end.
    macro_rules! emit {
        ($level:ident $name:literal $message:literal { $($field:ident = $value:expr),+ $(,)? }) => {
            event!(name: $name, target: TARGET, Level::$level, $($field = $value,)+ $message)
        };
    }
    macro_rules! alarm {
        ($level:ident $name:literal $message:literal $alarm:ident) => {
            emit!($level $name $message {
                shard = $alarm.shard,
                operation = operation($alarm),
                metric = $alarm.metric.name(),
                threshold_seconds = $alarm.threshold.as_secs_f64(),
                measured_seconds = $alarm.measured_ns / 1e9,
                samples = $alarm.samples,
            })
        };
    }
    macro_rules! imbalance {
        ($level:ident $name:literal $message:literal $imbalance:ident) => {
            emit!($level $name $message {
                kind = kind($imbalance.kind),
                shard = $imbalance.shard,
                entries = $imbalance.entries,
                mean = $imbalance.mean,
                p_value = $imbalance.p_value,
            })
        };
    }
    macro_rules! hot {
        ($level:ident $name:literal $message:literal $hot:ident) => {
            emit!($level $name $message {
                kind = kind($hot.kind),
                id = &*$hot.id,
                shard = $hot.shard,
                share = $hot.share,
                share_at_least = $hot.share_at_least,
                samples = $hot.samples,
            })
        };
    }
    macro_rules! alarmed_shards {
        ($level:ident $name:literal $message:literal $alarmed_shards:ident) => {
            emit!($level $name $message { alarmed = $alarmed_shards.alarmed, shards = $alarmed_shards.shards })
        };
    }
    macro_rules! limit {
        ($level:ident $name:literal $message:literal $limit:ident) => {
            emit!($level $name $message {
                limit = $limit.limit.to_string(),
                max = $limit.max,
                used = $limit.used,
                hits = $limit.hits,
            })
        };
    }
    macro_rules! more {
        ($level:ident $name:literal $message:literal $more:ident) => {
            emit!($level $name $message { limits = $more.limits })
        };
    }
    for change in changes {
        match change {
            HealthChange::AlarmRaised(alarm) => alarm!(WARN "alarm_raised" "a shard is slow" alarm),
            HealthChange::AlarmCleared(alarm) => alarm!(INFO "alarm_cleared" "a shard is no longer slow" alarm),
            HealthChange::ImbalanceRaised(imbalance) => {
                imbalance!(WARN "imbalance_raised" "entries are distributed more unevenly than chance explains" imbalance)
            }
            HealthChange::ImbalanceCleared(imbalance) => {
                imbalance!(INFO "imbalance_cleared" "the distribution of entries is explained by chance again" imbalance)
            }
            HealthChange::HotIdDetected(hot_id) => {
                hot!(INFO "hot_id_detected" "one id receives a large share of the lookups" hot_id)
            }
            HealthChange::HotIdCleared(hot_id) => hot!(INFO "hot_id_cleared" "an id is no longer hot" hot_id),
            HealthChange::AdmissionClosed(shards) => {
                alarmed_shards!(WARN "admission_closed" "new registrations are refused" shards)
            }
            HealthChange::AdmissionReopened(shards) => {
                alarmed_shards!(INFO "admission_reopened" "new registrations are admitted again" shards)
            }
            HealthChange::LimitReached(limit) => {
                limit!(WARN "limit_reached" "a limit has been reached" limit)
            }
            HealthChange::LimitCleared(limit) => {
                limit!(INFO "limit_cleared" "a limit is no longer reached" limit)
            }
            HealthChange::MoreLimitsReached(more) => {
                more!(WARN "more_limits_reached" "more limits have been reached" more)
            }
            HealthChange::MoreLimitsCleared(more) => {
                more!(INFO "more_limits_cleared" "more limits are no longer reached" more)
            }
            // A variant that was added later has no documented event name yet.
            _ => {}
        }
    }
}

/// Emits what the sweep of a shard has removed; no event if it has removed nothing.
pub(crate) fn swept(shard: usize, report: &SweepReport) {
    let SweepReport { servers, transports, lag } = *report;
    if servers + transports > 0 {
        event!(
            name: "dead_swept",
            target: TARGET,
            Level::DEBUG,
            shard,
            servers,
            transports,
            lag_seconds = lag.as_secs_f64(),
            "a sweep has removed dead registrations"
        );
    }
}

/// Emits a registration that was refused because of a limit, the admission policy or health. An id that is already taken
/// is not of interest to operators.
pub(crate) fn refused(of: Kind, id: &[u8], reason: &RegisterErrorKind) {
    event!(
        name: "registration_refused",
        target: TARGET,
        Level::DEBUG,
        kind = kind(of),
        id = &*String::from_utf8_lossy(id),
        cause = reason.name(),
        reason = reason.to_string(),
        retry_after_seconds = reason.retry_after().as_ref().map(Duration::as_secs_f64),
        "a registration was refused"
    );
}

/// Emits that a registry is exported under a different name than the given one, which another registry uses.
#[cfg(feature = "metrics")]
pub(crate) fn renamed(name: Option<&str>, label: &str) {
    event!(
        name: "export_renamed",
        target: TARGET,
        Level::WARN,
        name = name.unwrap_or_default(),
        label,
        "a registry is exported under a different name, because another registry uses the given one"
    );
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "server",
        Kind::Transport => "transport",
    }
}

fn operation(alarm: &Alarm) -> &'static str {
    match alarm.operation {
        Operation::Read => "lookup",
        Operation::Write => "write",
        Operation::CleanUp => "clean_up",
    }
}
