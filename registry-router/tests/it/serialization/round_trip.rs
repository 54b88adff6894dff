//! Every serializable type round-trips in JSON, and in a compact format that is not self-describing.

use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use registry_router::{
    AdmissionError, AdmissionState, Alarm, AlarmMetric, AlarmRule, AlarmedShards, BroadcastReport, Contention,
    ContentionKind, ContentionStatus, DenyReason, EndReason, EntryInfo, HealthChange, HealthEvent, HealthSettings,
    HotId, HotRule, IdRule, Imbalance, ImbalanceRule, Incarnation, Kind, LabelLimit, LatencyStats, Limit, LimitCount,
    LimitUsage, Limits, Metadata, MetadataLimit, MonitorSettings, Operation, RateLimit, RecentWrites, ServerId,
    Settings, ShardStats, SlowOps, SweepReport, TransportId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::random_values::RandomDeserializer;

/// Round-trips random values of a type in both formats.
fn assert_round_trips<T: Serialize + DeserializeOwned + PartialEq + Debug>(random: &mut RandomDeserializer) {
    for _ in 0..200 {
        let value: T = random.generate();
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

/// Collects the names of all types in the sources below a folder that implement `Serialize`.
fn serializable_types(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            serializable_types(&path, names);
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
fn every_serializable_type_round_trips_in_json_and_postcard() {
    let mut random = RandomDeserializer::new(7);
    let mut checked = BTreeSet::new();
    macro_rules! check {
        ($($type:ty),+ $(,)?) => {$(
            assert_round_trips::<$type>(&mut random);
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
        EndReason,
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
    assert_eq!(random.missing(), [], "variants that were never generated");

    let mut written = BTreeSet::new();
    for package in ["registry-core", "registry-monitor", "registry-router"] {
        serializable_types(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src"), &mut written);
    }
    // The two id types are defined by one macro.
    written.remove("");
    written.extend(["ServerId", "TransportId"].map(str::to_owned));
    assert_eq!(checked, written, "the list above must contain all serializable types");
}
