//! The program `top`: the content of a frame at several sizes, and a load that follows its controls.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use registry_router::{
    AdmissionState, Alarm, AlarmMetric, AlarmedShards, Contention, ContentionKind, HealthChange, HealthSettings, HotId,
    Imbalance, Kind, Limit, LimitUsage, Operation, ShardStats,
};

use registry_demos::top::controls::{Controls, MAX_CHURN, MAX_THREADS, SlowShards};
use registry_demos::top::keys::Action;
use registry_demos::top::load::Load;
use registry_demos::top::state::{MapMetric, State};
use registry_demos::top::{format, keys, view};

const SECOND: Duration = Duration::from_secs(1);

const CONTROLS: Controls = Controls { threads: 2, churn: 1, hot: false, slow: SlowShards::Off };

/// Statistics of 64 shards, each with more lookups than the one before it.
fn stats(round: u64) -> Vec<ShardStats> {
    let shard = |shard: usize| {
        let mut stats = ShardStats::default();
        stats.shard = shard;
        (stats.servers, stats.transports, stats.bindings) = (4, 60, 50);
        stats.lookups = round * (1_000 + 10 * shard as u64);
        stats.hits = stats.lookups / 2;
        stats.routes = round * 100;
        stats.contention = Some(Contention::new(ContentionKind::LockWait, round));
        (stats.reads.count, stats.reads.p50_ns, stats.reads.p99_ns) = (10, 80, 900 + shard as u64);
        stats
    };
    (0..64).map(shard).collect()
}

fn healthy() -> State {
    let limits = vec![("servers", 300), ("transports", 4_096)];
    let mut state = State::new("papaya", 64, &HealthSettings::default(), limits, CONTROLS);
    state.sample(stats(1), AdmissionState::Open, SECOND);
    state.sample(stats(2), AdmissionState::Open, 2 * SECOND);
    state
}

/// The same with alarms, a hot id, a limit reached and closed admission.
fn degraded() -> State {
    let mut state = healthy();
    let threshold = Duration::from_micros(100);
    let mut changes: Vec<HealthChange> = (0..40)
        .map(|shard| HealthChange::AlarmRaised(Alarm::new(shard, Operation::Read, AlarmMetric::P99, threshold)))
        .collect();
    let mut hot = HotId::new(Kind::Server, "tools/search", 25);
    (hot.share, hot.share_at_least, hot.samples) = (0.48, 0.47, 1_000);
    changes.push(HealthChange::HotIdDetected(hot));
    changes.push(HealthChange::AdmissionClosed(AlarmedShards::new(40, 64)));
    changes.push(HealthChange::LimitReached(LimitUsage::new(Limit::Transports, 4_096).with_used(4_096).with_hits(12)));
    state.apply(changes, 2 * SECOND);
    let mut now = stats(3);
    for shard in &mut now[..40] {
        shard.alarm = true;
        (shard.slow_reads.slow, shard.slow_reads.count, shard.reads.p99_ns) = (39, 612, 262_000);
    }
    now[0].refused = 7;
    state.sample(now, AdmissionState::Closed, 3 * SECOND);
    state
}

fn text(state: &State, width: u16, height: u16) -> String {
    view::text(state, width, height).unwrap()
}

#[track_caller]
fn assert_contains(frame: &str, words: &[&str]) {
    for word in words {
        assert!(frame.contains(word), "it does not say {word:?}:\n{frame}");
    }
}

#[test]
fn a_frame_without_problems_fills_the_screen_and_says_so() {
    let frame = text(&healthy(), 80, 24);
    assert_eq!(frame.lines().count(), 24);
    assert!(frame.lines().all(|line| line.chars().count() <= 80));
    assert_contains(&frame, &["papaya, 64 shards", "256 servers", "3,840 transports", "3,200 bound", "0:02"]);
    assert_contains(&frame, &["Shards: lookups per second", "  0 ", " 56 ", "min 1.0k", "max 1.6k, in shard 63"]);
    assert_contains(
        &frame,
        &["lookups           84k", "hit rate         50 %", "messages         6.4k", "refused             0"],
    );
    assert_contains(&frame, &["lock wait          64"]);
    assert_contains(&frame, &["OPEN 0 in alarm, closes at 33", "256 of 300", "3,840 of 4,096"]);
    assert_contains(&frame, &["Alarms: 0", "no alarms, no skew", "Hot ids: 0", "no hot ids"]);
    assert_contains(&frame, &["2 threads", "churn 1", "hot id off", "slow shards: off", "reset statistics", "quit"]);
    let reads = frame.lines().find(|line| line.contains("reads")).unwrap();
    assert_contains(reads, &["80n", "963n", "63"]);
    assert!(!frame.contains("CLOSED") && !frame.contains("ALARM") && !frame.contains("FULL"));
}

#[test]
fn alarms_limits_and_hot_ids_are_shown() {
    for (width, height) in [(80, 24), (120, 40)] {
        let frame = text(&degraded(), width, height);
        assert_contains(&frame, &["Alarms: 40", "shard 0   ALARM: 39 of 612 reads >100µ", "more"]);
        assert_contains(&frame, &["CLOSED 40 in alarm, opens at 16", "3,840 of 4,096  FULL"]);
        assert_contains(&frame, &["Hot ids: 1", "tools/search", "48 %, shard 25", "refused             7"]);
        // One mark for each shard in alarm, and one in the legend.
        assert_eq!(frame.matches('!').count(), 40 + 1, "{frame}");
    }
    // A large terminal shows health changes with their times, the newest first.
    let frame = text(&degraded(), 120, 40);
    assert_eq!(frame.lines().count(), 40);
    assert_contains(&frame, &["Health changes", "0:02 limit reached: 4096 transports", "0:02 admission closed: 40 of"]);
    assert!(frame.find("limit reached").unwrap() < frame.find("admission closed").unwrap());
}

#[test]
fn cleared_conditions_are_no_longer_shown() {
    let mut state = degraded();
    let threshold = Duration::from_micros(100);
    let cleared = |shard| HealthChange::AlarmCleared(Alarm::new(shard, Operation::Read, AlarmMetric::P99, threshold));
    let mut changes: Vec<HealthChange> = (0..40).map(cleared).collect();
    changes.push(HealthChange::HotIdCleared(state.hot_ids[0].clone()));
    changes.push(HealthChange::LimitCleared(state.limits_reached[0].clone()));
    state.apply(changes, 20 * SECOND);
    let mut imbalance = Imbalance::new(Kind::Transport, 41);
    (imbalance.entries, imbalance.mean, imbalance.p_value) = (190, 60.4, 1e-12);
    state.apply(vec![HealthChange::ImbalanceRaised(imbalance)], 20 * SECOND);
    state.sample(stats(4), AdmissionState::Open, 20 * SECOND);
    let frame = text(&state, 80, 24);
    assert_contains(
        &frame,
        &["Alarms: 0", "SKEW: 190 transports in shard 41, mean 60", "OPEN", "Hot ids: 0", "no hot ids"],
    );
    assert!(!frame.contains("FULL") && !frame.contains("ALARM"));
}

#[test]
fn a_terminal_that_is_too_small_shows_the_required_size() {
    for (width, height) in [(79, 24), (80, 23), (40, 10)] {
        let frame = text(&healthy(), width, height);
        let words = frame.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_contains(&words, &["needs 80 x 24", &format!("has {width} x {height}"), "press q to quit"]);
    }
    text(&healthy(), 1, 1);
}

#[test]
fn the_shard_map_shows_each_metric_and_nothing_before_the_first_sample() {
    let mut state = healthy();
    let title = |state: &State| text(state, 80, 24).lines().nth(1).unwrap().to_owned();
    state.metric = MapMetric::Lookups.next();
    assert_contains(&title(&state), &["p99 of reads or writes"]);
    assert_contains(&text(&state, 80, 24), &["max 963n, in shard 63"]);
    state.metric = state.metric.next();
    assert_contains(&title(&state), &["entries"]);
    assert_contains(&text(&state, 80, 24), &["min 64  median 64  max 64"]);
    assert_eq!(state.metric.next(), MapMetric::Lookups);
    state.clear_samples();
    assert_contains(&text(&state, 80, 24), &["waiting for data"]);
    // The first sample after a reset is not compared with samples before it.
    state.sample(stats(1), AdmissionState::Open, 3 * SECOND);
    assert_eq!(state.rate(|shard| shard.lookups), 0.0);
}

#[test]
fn keys_change_the_controls_within_their_bounds() {
    let press = |controls: &mut Controls, key: char| match keys::action(KeyCode::Char(key).into()) {
        Some(Action::Change(change)) => change(controls),
        other => panic!("{key} maps to {other:?}"),
    };
    let mut controls = CONTROLS;
    (0..20).for_each(|_| press(&mut controls, '+'));
    (0..20).for_each(|_| press(&mut controls, 'C'));
    press(&mut controls, 'h');
    press(&mut controls, 's');
    let most = Controls { threads: MAX_THREADS, churn: MAX_CHURN, hot: true, slow: SlowShards::One };
    assert_eq!(controls, most);
    (0..20).for_each(|_| press(&mut controls, '-'));
    (0..20).for_each(|_| press(&mut controls, 'c'));
    press(&mut controls, 'h');
    press(&mut controls, 's');
    assert_eq!(controls, Controls { threads: 1, churn: 0, hot: false, slow: SlowShards::Most });
    press(&mut controls, 's');
    assert_eq!(controls.slow, SlowShards::Off);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    for quit in [control_c, KeyCode::Char('q').into(), KeyCode::Esc.into()] {
        assert!(matches!(keys::action(quit), Some(Action::Quit)));
    }
    assert!(matches!(keys::action(KeyCode::Char('m').into()), Some(Action::NextMetric)));
    assert!(matches!(keys::action(KeyCode::Char('r').into()), Some(Action::Reset)));
    assert!(keys::action(KeyCode::Char('x').into()).is_none());
    for key in ["+ -", "C c", "h  ", "s  ", "m  ", "r  ", "q  "] {
        assert!(view::KEYS_HELP.contains(&format!("\n  {key}")), "the help omits {key}");
    }
}

#[test]
fn each_setting_slows_down_the_expected_number_of_shards() {
    for shards in [1, 2, 4, 8, 16, 32, 64] {
        let count = |slow: SlowShards| (0..shards).filter(|&shard| slow.includes(shard, shards)).count();
        assert_eq!((count(SlowShards::Off), count(SlowShards::One)), (0, 1));
        assert!(2 * count(SlowShards::Most) > shards, "{} of {shards}", count(SlowShards::Most));
    }
}

#[test]
fn numbers_are_formatted_in_four_characters_and_a_unit() {
    let counts = [0.0, 7.4, 812.0, 999.6, 1_234.0, 9_960.0, 12_345.0, 812_345.0, 999_600.0, 1.2e6, 3.4e9];
    let texts = ["0", "7", "812", "1.0k", "1.2k", "10k", "12k", "812k", "1.0M", "1.2M", "3.4G"];
    assert_eq!(counts.map(format::count), texts);
    let latencies = [0, 210, 2_100, 21_000, 262_144, 2_100_000, 1_500_000_000];
    assert_eq!(latencies.map(format::latency), ["-", "210n", "2.1µ", "21µ", "262µ", "2.1m", "1.5s"]);
    assert_eq!([7, 812, 4_096, 1_234_567].map(format::grouped), ["7", "812", "4,096", "1,234,567"]);
    assert_eq!(format::minutes_seconds(Duration::from_secs(65)), "1:05");
}

#[test]
fn the_load_runs_and_its_statistics_are_shown() {
    let load = Load::start(8, CONTROLS).unwrap();
    let mut state = load.state();
    let start = Instant::now();
    load.set(Controls { threads: 3, ..CONTROLS });
    while state.sum(|shard| shard.registrations as usize) < 500 {
        load.sample(&mut state, Instant::now());
        assert!(!load.has_failed() && start.elapsed() < 60 * SECOND);
        std::thread::yield_now();
    }
    assert_contains(&text(&state, 80, 24), &["papaya, 8 shards", "2,048 servers"]);
    assert!(state.stats.iter().all(|shard| shard.lookups > 0 && shard.hits + shard.misses == shard.lookups));
    load.reset(&mut state);
    load.sample(&mut state, Instant::now());
    assert!(state.sum(|shard| shard.servers) == 2_048);
    load.stop().unwrap();
}
