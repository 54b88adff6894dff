//! Every type that can be serialised comes back from JSON, and from a compact format that does not describe itself.

use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use registry_router::{
    AdmissionError, AdmissionState, Alarm, AlarmMetric, AlarmRule, AlarmedShards, BroadcastReport, Contention,
    ContentionKind, ContentionStatus, DenyReason, EntryInfo, HealthChange, HealthEvent, HealthSettings, HotId, HotRule,
    IdRule, Imbalance, ImbalanceRule, Incarnation, Kind, LabelLimit, LatencyStats, Limit, LimitCount, LimitUsage,
    Limits, Metadata, MetadataLimit, MonitorSettings, Operation, RateLimit, RecentWrites, ServerId, Settings,
    ShardStats, SlowOps, SweepReport, TransportId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::drawn::Draw;

/// Draws values of a type and takes each through both formats.
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(draw: &mut Draw) {
    for _ in 0..200 {
        let value: T = draw.draw();
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
        let parsed = serde_json::to_value(&value).unwrap();
        assert_eq!(serde_json::from_value::<T>(parsed).unwrap(), value, "{text}");
        let bytes = postcard::to_stdvec(&value).unwrap_or_else(|error| panic!("{}: {error}", type_name::<T>()));
        let (back, rest) = postcard::take_from_bytes::<T>(&bytes)
            .unwrap_or_else(|error| panic!("{}: {error}: {text}", type_name::<T>()));
        assert_eq!(back, value, "{text}");
        assert_eq!(rest, [0; 0], "{text}");
    }
}

/// The names of all types below a folder that implement `Serialize`, by their source.
fn serialisable(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            serialisable(&path, names);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut is_derived = false;
        for line in text.lines().map(str::trim) {
            let declared = ["pub struct ", "pub enum ", "impl serde::Serialize for "];
            let name = declared.into_iter().find_map(|start| line.strip_prefix(start));
            if let Some(name) = name.filter(|_| is_derived || line.starts_with("impl serde::")) {
                names.extend(name.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned));
            }
            is_derived = name.is_none() && (is_derived || line.contains("serde::Serialize"));
        }
    }
}

#[test]
fn every_type_comes_back_from_json_and_from_a_compact_format() {
    let mut draw = Draw::new(7);
    let mut checked = BTreeSet::new();
    macro_rules! check {
        ($($type:ty),+ $(,)?) => {$(
            comes_back::<$type>(&mut draw);
            checked.extend(stringify!($type).split('<').next().map(str::to_owned));
        )+};
    }
    check![
        AdmissionState,
        Alarm,
        AlarmRule,
        BroadcastReport,
        Limit,
        LimitCount,
        LimitUsage,
        DenyReason,
        Contention,
        ContentionStatus,
        AlarmedShards,
        HealthChange,
        HealthSettings,
        HotId,
        HotRule,
        IdRule,
        Imbalance,
        ImbalanceRule,
        Incarnation,
        Kind,
        LabelLimit,
        RecentWrites,
        LatencyStats,
        Limits,
        EntryInfo<ServerId>,
        EntryInfo<TransportId>,
        AlarmMetric,
        ContentionKind,
        Metadata,
        MetadataLimit,
        MonitorSettings,
        Operation,
        SlowOps,
        RateLimit,
        AdmissionError,
        ServerId,
        Settings,
        ShardStats,
        SweepReport,
        TransportId,
        HealthEvent,
    ];
    assert_eq!(draw.missing(), [], "these variants were never drawn");

    let mut written = BTreeSet::new();
    for package in ["registry-core", "registry-monitor", "registry-router"] {
        serialisable(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src"), &mut written);
    }
    // The two ids are made by one macro.
    written.remove("");
    written.extend(["ServerId", "TransportId"].map(str::to_owned));
    assert_eq!(checked, written, "the list above must have all types that can be serialised");
}
