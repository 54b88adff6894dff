//! Building: valid settings work, invalid ones are errors that name the setting.

use std::time::Duration;

use registry_router::backends::Reference;
use registry_router::{
    AlarmRule, BuildError, Builder, HealthSettings, HotRule, LabelLimit, Limits, MonitorSettings, Registry, Settings,
    Tokio,
};

fn builder() -> Builder<u64, Reference, Tokio> {
    Registry::builder()
}

#[test]
fn every_power_of_two_up_to_4096_is_a_valid_shard_count() {
    for shards in (0..=12).map(|power| 1 << power) {
        assert_eq!(builder().shards(shards).build().unwrap().shard_count(), shards);
    }
    assert_eq!(builder().build().unwrap().shard_count(), 64);
}

#[test]
fn other_shard_counts_are_errors() {
    for given in [0, 3, 63, 4095, 8192, 10_000_000, usize::MAX] {
        let error = builder().shards(given).build().unwrap_err();
        assert_eq!(error, BuildError::Shards { given });
        let words = format!("the number of shards must be a power of two from 1 to 4096, not {given}");
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn out_of_range_capacities_are_errors() {
    assert!(builder().capacity(100_000).build().is_ok());
    let error = builder().capacity(usize::MAX).build().unwrap_err();
    assert!(matches!(error, BuildError::Capacity { given: usize::MAX, .. }));
}

#[test]
fn out_of_range_monitor_settings_are_errors() {
    let monitor = MonitorSettings::default().with_sample_every(0);
    assert_eq!(builder().monitor(monitor).build().unwrap_err(), BuildError::SampleEvery);
    for given in [Duration::ZERO, Duration::from_micros(999), Duration::MAX] {
        let monitor = MonitorSettings::default().with_window(given);
        assert_eq!(builder().monitor(monitor).build().unwrap_err(), BuildError::Window { given });
    }
}

#[test]
fn out_of_range_health_rules_are_errors() {
    let name = |builder: Builder<u64, Reference, Tokio>| match builder.build().unwrap_err() {
        BuildError::Setting { name, .. } => name,
        other => panic!("{other}"),
    };
    let alarm = |alarm| name(builder().alarm(alarm));
    assert_eq!(alarm(AlarmRule::default().with_threshold(Duration::ZERO)), "alarm.threshold");
    assert_eq!(alarm(AlarmRule::default().with_min_samples(0)), "alarm.min_samples");
    let health = |health| name(builder().health(health));
    assert_eq!(health(HealthSettings::default().with_close_above(1.5)), "health.close_above");
    assert_eq!(health(HealthSettings::default().with_reopen_at(0.9)), "health.reopen_at");
    let monitor = |recent_writes| MonitorSettings::default().with_recent_writes(recent_writes);
    assert_eq!([0, 1_001].map(|last| name(builder().monitor(monitor(last)))), ["monitor.recent_writes"; 2]);
    assert!(builder().alarm(AlarmRule::mean_of_last_writes()).build().is_ok());
}

#[test]
fn an_empty_label_limit_is_an_error() {
    let label = LabelLimit::new("tenant");
    let error = builder().limits(Limits::default().with_label(label)).build().unwrap_err();
    assert!(matches!(error, BuildError::Setting { name: "limits.label", .. }), "{error}");
}

#[test]
fn infinite_settings_are_errors() {
    let hot = HotRule::default().with_min_fair_ratio(f64::INFINITY);
    let error = builder().health(HealthSettings::default().with_hot(hot)).build().unwrap_err();
    assert!(matches!(error, BuildError::Setting { name: "health.hot.min_fair_ratio", .. }), "{error}");
}

#[test]
fn settings_do_not_show_their_seed() {
    let mut settings = Settings::default();
    settings.shards = 2;
    settings.seed = 0xdead_beef;
    let registry = builder().settings(settings.clone()).build().unwrap();
    assert_eq!(registry.shard_count(), 2);
    for debug in [format!("{settings:?}"), format!("{registry:?}"), format!("{:?}", builder().settings(settings))] {
        assert!(!debug.contains("seed") && !debug.contains(&0xdead_beef_u64.to_string()), "{debug}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn settings_can_be_deserialized() {
    let settings: Settings = serde_json::from_str(r#"{"shards": 8, "monitor": {"sample_every": 16}}"#).unwrap();
    assert_eq!((settings.shards, settings.monitor.sample_every), (8, 16));
    assert_eq!(settings.capacity, Settings::default().capacity);
    let written = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&written).unwrap(), settings);
    assert_eq!(builder().settings(settings).build().unwrap().shard_count(), 8);
}

#[cfg(feature = "serde")]
mod unknown_keys {
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    use super::*;
    use registry_router::{ImbalanceRule, MetadataLimit, RateLimit};

    /// Collects the paths of all objects in a value, as JSON pointers.
    fn objects(value: &Value, path: &str, found: &mut Vec<String>) {
        let Value::Object(fields) = value else { return };
        found.push(path.to_owned());
        for (name, field) in fields {
            objects(field, &format!("{path}/{name}"), found);
        }
    }

    /// Asserts that an unknown key is refused and named in every object of the serialized value; returns their paths.
    fn refuses_unknown_keys<T: Serialize + DeserializeOwned + std::fmt::Debug>(value: &T) -> Vec<String> {
        let written = serde_json::to_value(value).unwrap();
        let mut paths = Vec::new();
        objects(&written, "", &mut paths);
        for path in &paths {
            let mut wrong = written.clone();
            wrong.pointer_mut(path).unwrap().as_object_mut().unwrap().insert("unknown_key".to_owned(), 1.into());
            let error = serde_json::from_value::<T>(wrong).expect_err(path).to_string();
            assert!(error.contains("`unknown_key`"), "at {path:?}: {error}");
        }
        paths
    }

    #[test]
    fn unknown_keys_are_refused_at_any_depth() {
        let label = LabelLimit::new("tenant").with_servers(1);
        let rate = RateLimit::new(10, 2);
        let mut settings = Settings::default();
        settings.limits = Limits::default().with_label(label.clone()).with_rate(rate);
        let paths = refuses_unknown_keys(&settings);
        for part in
            ["", "/monitor/alarm/threshold", "/health/hot", "/health/imbalance", "/limits/label", "/limits/rate"]
        {
            assert!(paths.iter().any(|path| path == part), "{part} is not among {paths:?}");
        }
        refuses_unknown_keys(&Settings::default());
        refuses_unknown_keys(&settings.limits);
        refuses_unknown_keys(&label);
        refuses_unknown_keys(&rate);
        refuses_unknown_keys(&MetadataLimit::default());
        refuses_unknown_keys(&MonitorSettings::default());
        refuses_unknown_keys(&AlarmRule::mean_of_last_writes());
        refuses_unknown_keys(&HealthSettings::default());
        refuses_unknown_keys(&HotRule::default());
        refuses_unknown_keys(&ImbalanceRule::default());
    }
}
