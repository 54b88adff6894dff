//! Events and spans: their names, levels and fields are part of what users rely on, and are listed in
//! `docs/operations.md`, which a test compares.

use std::time::Duration;

use registry_core::{Alarm, AlarmMetric, DenyReason, HealthChange, Kind, Operation, RegisterErrorKind};
use tracing::span::EnteredSpan;
use tracing::{Level, event};

use crate::lifecycle::sweep::SweepReport;

/// The target of all events and spans.
const TARGET: &str = "registry";

/// The span around a check of the registry's health, to be held for as long.
pub(crate) fn checking(shards: usize) -> EnteredSpan {
    tracing::span!(target: TARGET, Level::DEBUG, "tick", shards).entered()
}

/// The span around the sweep of one shard, to be held for as long.
pub(crate) fn sweeping(shard: usize) -> EnteredSpan {
    tracing::span!(target: TARGET, Level::DEBUG, "sweep", shard).entered()
}

/// What a check has found: what begins is a warning, unless it may well be meant; what ends is for information.
pub(crate) fn changed(changes: &[HealthChange]) {
    /// An event whose level and name the compiler must know, with fields that are alike for begin and end.
    macro_rules! tell {
        ($level:ident $name:literal $message:literal { $($field:ident = $value:expr),+ $(,)? }) => {
            event!(name: $name, target: TARGET, Level::$level, $($field = $value,)+ $message)
        };
    }
    macro_rules! alarm {
        ($level:ident $name:literal $message:literal $alarm:ident) => {
            tell!($level $name $message {
                shard = $alarm.shard,
                operation = operation($alarm),
                metric = metric($alarm),
                threshold_seconds = $alarm.threshold.as_secs_f64(),
                measured_seconds = $alarm.measured_ns / 1e9,
                samples = $alarm.samples,
            })
        };
    }
    macro_rules! imbalance {
        ($level:ident $name:literal $message:literal $imbalance:ident) => {
            tell!($level $name $message {
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
            tell!($level $name $message {
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
            tell!($level $name $message { alarmed = $alarmed_shards.alarmed, shards = $alarmed_shards.shards })
        };
    }
    macro_rules! limit {
        ($level:ident $name:literal $message:literal $limit:ident) => {
            tell!($level $name $message {
                limit = $limit.limit.to_string(),
                max = $limit.max,
                used = $limit.used,
                hits = $limit.hits,
            })
        };
    }
    macro_rules! more {
        ($level:ident $name:literal $message:literal $more:ident) => {
            tell!($level $name $message { limits = $more.limits })
        };
    }
    for change in changes {
        match change {
            HealthChange::AlarmRaised(alarm) => alarm!(WARN "alarm_raised" "a shard has become slow" alarm),
            HealthChange::AlarmCleared(alarm) => alarm!(INFO "alarm_cleared" "a shard is fast again" alarm),
            HealthChange::ImbalanceRaised(uneven) => {
                imbalance!(WARN "imbalance_raised" "entries lie more unevenly than chance would have it" uneven)
            }
            HealthChange::ImbalanceCleared(uneven) => {
                imbalance!(INFO "imbalance_cleared" "entries lie as chance would have it again" uneven)
            }
            HealthChange::HotIdDetected(id) => {
                hot!(INFO "hot_id_detected" "one id gets a large share of all lookups" id)
            }
            HealthChange::HotIdCleared(id) => hot!(INFO "hot_id_cleared" "an id is not hot any more" id),
            HealthChange::AdmissionClosed(to) => {
                alarmed_shards!(WARN "admission_closed" "new registrations are refused from now on" to)
            }
            HealthChange::AdmissionReopened(to) => {
                alarmed_shards!(INFO "admission_reopened" "new registrations are taken again" to)
            }
            HealthChange::LimitReached(limit) => limit!(WARN "limit_reached" "a cap has turned somebody away" limit),
            HealthChange::LimitCleared(limit) => limit!(INFO "limit_cleared" "a cap turns nobody away any more" limit),
            HealthChange::MoreLimitsReached(more) => {
                more!(WARN "more_limits_reached" "more caps have turned somebody away" more)
            }
            HealthChange::MoreLimitsCleared(more) => {
                more!(INFO "more_limits_cleared" "more caps turn nobody away any more" more)
            }
            // A change that is new here has no name yet that users could rely on.
            _ => {}
        }
    }
}

/// What the sweep of a shard has ended; nothing is said of one that found nobody.
pub(crate) fn swept(shard: usize, swept: &SweepReport) {
    let SweepReport { servers, transports, lag } = *swept;
    if servers + transports > 0 {
        event!(
            name: "dead_swept",
            target: TARGET,
            Level::DEBUG,
            shard,
            servers,
            transports,
            lag_seconds = lag.as_secs_f64(),
            "a sweep has ended registrations of the dead"
        );
    }
}

/// A registration that was refused for want of room or health; one whose name is taken is no business of operators.
pub(crate) fn refused(of: Kind, id: &[u8], reason: &RegisterErrorKind) {
    let (cause, retry_after) = match reason {
        RegisterErrorKind::Refused(refusal) => (cause(&refusal.reason), refusal.retry_after),
        RegisterErrorKind::ServerFull { retry_after, .. } => ("server_full", Some(*retry_after)),
        _ => return,
    };
    event!(
        name: "registration_refused",
        target: TARGET,
        Level::DEBUG,
        kind = kind(of),
        id = &*String::from_utf8_lossy(id),
        cause,
        reason = reason.to_string(),
        retry_after_seconds = retry_after.as_ref().map(Duration::as_secs_f64),
        "a registration was refused"
    );
}

/// A registry that is exported under another name than the given one, because another registry has that.
#[cfg(feature = "metrics")]
pub(crate) fn renamed(name: Option<&str>, label: &str) {
    event!(
        name: "export_renamed",
        target: TARGET,
        Level::WARN,
        name = name.unwrap_or_default(),
        label,
        "a registry is exported under another name, because another registry has its own"
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

fn metric(alarm: &Alarm) -> &'static str {
    match alarm.metric {
        AlarmMetric::Mean => "mean",
        AlarmMetric::MeanOfLast => "mean_of_last",
        _ => "p99",
    }
}

fn cause(cause: &DenyReason) -> &'static str {
    match cause {
        DenyReason::Closed => "closed",
        DenyReason::Limit(_) => "limit",
        _ => "policy",
    }
}
