//! The program `top`: what a frame tells, at every size; and that the load does what its controls say.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use registry_router::{
    AdmissionState, Alarm, AlarmMetric as Judged, AlarmedShards, Contention, ContentionKind, HealthChange,
    HealthSettings, HotId, Imbalance, Kind, Limit, LimitUsage, Operation, ShardStats,
};

use registry_demos::top::controls::{Controls, MOST_CHURN, MOST_THREADS, Slow};
use registry_demos::top::keys::Action;
use registry_demos::top::load::Load;
use registry_demos::top::state::{AlarmMetric, State};
use registry_demos::top::{format, keys, view};

const SECOND: Duration = Duration::from_secs(1);

const CALM: Controls = Controls { threads: 2, churn: 1, hot: false, slow: Slow::Off };

/// Figures of 64 shards, of which each was asked some more often than the one before it.
fn stats(round: u64) -> Vec<ShardStats> {
    let shard = |shard: usize| {
        let mut stats = ShardStats::default();
        stats.shard = shard;
        (stats.servers, stats.transports, stats.bindings) = (4, 60, 50);
        stats.lookups = round * (1_000 + 10 * shard as u64);
        stats.hits = stats.lookups / 2;
        stats.routes = round * 100;
        stats.contention = Some(Contention { kind: ContentionKind::LockWait, count: round });
        (stats.reads.count, stats.reads.p50_ns, stats.reads.p99_ns) = (10, 80, 900 + shard as u64);
        stats
    };
    (0..64).map(shard).collect()
}

fn calm() -> State {
    let limits = vec![("servers", 300), ("transports", 4_096)];
    let mut state = State::new("papaya", 64, &HealthSettings::default(), limits, CALM);
    state.sample(stats(1), AdmissionState::Open, SECOND);
    state.sample(stats(2), AdmissionState::Open, 2 * SECOND);
    state
}

/// The same, where everything is wrong that can be.
fn troubled() -> State {
    let mut state = calm();
    let threshold = Duration::from_micros(100);
    let mut changes: Vec<HealthChange> = (0..40)
        .map(|shard| HealthChange::AlarmRaised(Alarm::new(shard, Operation::Read, Judged::P99, threshold)))
        .collect();
    changes.push(HealthChange::HotIdDetected(HotId {
        kind: Kind::Server,
        id: "tools/search".into(),
        shard: 25,
        share: 0.48,
        share_at_least: 0.47,
        samples: 1_000,
    }));
    changes.push(HealthChange::AdmissionClosed(AlarmedShards { alarmed: 40, shards: 64 }));
    changes.push(HealthChange::LimitReached(LimitUsage {
        limit: Limit::Transports,
        max: 4_096,
        used: 4_096,
        hits: 12,
    }));
    state.changed(changes, 2 * SECOND);
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
fn tells(frame: &str, words: &[&str]) {
    for word in words {
        assert!(frame.contains(word), "it does not say {word:?}:\n{frame}");
    }
}

#[test]
fn a_calm_frame_tells_so_and_fills_its_screen() {
    let frame = text(&calm(), 80, 24);
    assert_eq!(frame.lines().count(), 24);
    assert!(frame.lines().all(|line| line.chars().count() <= 80));
    tells(&frame, &["papaya, 64 shards", "256 servers", "3,840 transports", "3,200 bound", "0:02"]);
    tells(&frame, &["Shards: lookups per second", "  0 ", " 56 ", "least 1.0k", "most 1.6k, in shard 63"]);
    tells(&frame, &["lookups           84k", "that found     50 %", "messages         6.4k", "refused             0"]);
    tells(&frame, &["lock wait          64"]);
    tells(&frame, &["OPEN 0 in alarm, closes at 33", "256 of 300", "3,840 of 4,096"]);
    tells(&frame, &["Alarms: 0", "no shard is slow", "Hot ids: 0", "no id stands out"]);
    tells(&frame, &["2 threads", "churn 1", "hot id off", "slow shards: off", "reset figures", "quit"]);
    let reads = frame.lines().find(|line| line.contains("reads")).unwrap();
    tells(reads, &["80n", "963n", "63"]);
    assert!(!frame.contains("CLOSED") && !frame.contains("ALARM") && !frame.contains("FULL"));
}

#[test]
fn trouble_is_told_in_words() {
    for (width, height) in [(80, 24), (120, 40)] {
        let frame = text(&troubled(), width, height);
        tells(&frame, &["Alarms: 40", "shard 0   ALARM: 39 of 612 reads >100µ", "more"]);
        tells(&frame, &["CLOSED 40 in alarm, opens at 16", "3,840 of 4,096  FULL"]);
        tells(&frame, &["Hot ids: 1", "tools/search", "48 %, shard 25", "refused             7"]);
        // Each shard in alarm has its mark, and no other; one more explains it.
        assert_eq!(frame.matches('!').count(), 40 + 1, "{frame}");
    }
    // Where there is room, what has changed is told with its time, the newest first.
    let frame = text(&troubled(), 120, 40);
    assert_eq!(frame.lines().count(), 40);
    tells(&frame, &["What has changed", "0:02 limit reached: 4096 transports", "0:02 admission closed: 40 of"]);
    assert!(frame.find("limit reached").unwrap() < frame.find("admission closed").unwrap());
}

#[test]
fn what_is_over_is_not_told_any_more() {
    let mut state = troubled();
    let threshold = Duration::from_micros(100);
    let cleared = |shard| HealthChange::AlarmCleared(Alarm::new(shard, Operation::Read, Judged::P99, threshold));
    let mut changes: Vec<HealthChange> = (0..40).map(cleared).collect();
    changes.push(HealthChange::HotIdCleared(state.hot[0].clone()));
    changes.push(HealthChange::LimitCleared(state.full[0].clone()));
    state.changed(changes, 20 * SECOND);
    let uneven = Imbalance { kind: Kind::Transport, shard: 41, entries: 190, mean: 60.4, p_value: 1e-12 };
    state.changed(vec![HealthChange::ImbalanceRaised(uneven)], 20 * SECOND);
    state.sample(stats(4), AdmissionState::Open, 20 * SECOND);
    let frame = text(&state, 80, 24);
    tells(&frame, &["Alarms: 0", "UNEVEN: 190 transports in shard 41, mean 60", "OPEN", "no id stands out"]);
    assert!(!frame.contains("FULL") && !frame.contains("ALARM"));
}

#[test]
fn a_small_terminal_is_told_what_is_needed() {
    for (width, height) in [(79, 24), (80, 23), (40, 10)] {
        let frame = text(&calm(), width, height);
        let words = frame.split_whitespace().collect::<Vec<_>>().join(" ");
        tells(&words, &["needs 80 x 24", &format!("has {width} x {height}"), "press q to quit"]);
    }
    text(&calm(), 1, 1);
}

#[test]
fn the_map_shows_each_measure_and_before_any_figures_none() {
    let mut state = calm();
    let title = |state: &State| text(state, 80, 24).lines().nth(1).unwrap().to_owned();
    state.metric = AlarmMetric::Lookups.next();
    tells(&title(&state), &["p99 of reads or writes"]);
    tells(&text(&state, 80, 24), &["most 963n, in shard 63"]);
    state.metric = state.metric.next();
    tells(&title(&state), &["entries"]);
    tells(&text(&state, 80, 24), &["least 64  median 64  most 64"]);
    assert_eq!(state.metric.next(), AlarmMetric::Lookups);
    state.forget();
    tells(&text(&state, 80, 24), &["measuring"]);
    // Rates begin anew: nothing is compared with what was before a reset.
    state.sample(stats(1), AdmissionState::Open, 3 * SECOND);
    assert_eq!(state.rate(|shard| shard.lookups), 0.0);
}

#[test]
fn keys_change_the_load_within_its_bounds() {
    let press = |controls: &mut Controls, key: char| match keys::action(KeyCode::Char(key).into()) {
        Some(Action::Change(change)) => change(controls),
        other => panic!("{key} asks for {other:?}"),
    };
    let mut controls = CALM;
    (0..20).for_each(|_| press(&mut controls, '+'));
    (0..20).for_each(|_| press(&mut controls, 'C'));
    press(&mut controls, 'h');
    press(&mut controls, 's');
    let most = Controls { threads: MOST_THREADS, churn: MOST_CHURN, hot: true, slow: Slow::One };
    assert_eq!(controls, most);
    (0..20).for_each(|_| press(&mut controls, '-'));
    (0..20).for_each(|_| press(&mut controls, 'c'));
    press(&mut controls, 'h');
    press(&mut controls, 's');
    assert_eq!(controls, Controls { threads: 1, churn: 0, hot: false, slow: Slow::Most });
    press(&mut controls, 's');
    assert_eq!(controls.slow, Slow::Off);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    for quit in [control_c, KeyCode::Char('q').into(), KeyCode::Esc.into()] {
        assert!(matches!(keys::action(quit), Some(Action::Quit)));
    }
    assert!(matches!(keys::action(KeyCode::Char('m').into()), Some(Action::AlarmMetric)));
    assert!(matches!(keys::action(KeyCode::Char('r').into()), Some(Action::Reset)));
    assert!(keys::action(KeyCode::Char('x').into()).is_none());
    for key in ["+ -", "C c", "h  ", "s  ", "m  ", "r  ", "q  "] {
        assert!(view::KEYS_HELP.contains(&format!("\n  {key}")), "the help does not tell {key}");
    }
}

#[test]
fn enough_shards_are_slow_to_close_admission_and_not_more_than_asked() {
    for shards in [1, 2, 4, 8, 16, 32, 64] {
        let slow = |slow: Slow| (0..shards).filter(|&shard| slow.includes(shard, shards)).count();
        assert_eq!((slow(Slow::Off), slow(Slow::One)), (0, 1));
        assert!(2 * slow(Slow::Most) > shards, "{} of {shards}", slow(Slow::Most));
    }
}

#[test]
fn figures_take_four_characters_and_say_what_they_are() {
    let counts = [0.0, 7.4, 812.0, 999.6, 1_234.0, 9_960.0, 12_345.0, 812_345.0, 999_600.0, 1.2e6, 3.4e9];
    let texts = ["0", "7", "812", "1.0k", "1.2k", "10k", "12k", "812k", "1.0M", "1.2M", "3.4G"];
    assert_eq!(counts.map(format::count), texts);
    let latencies = [0, 210, 2_100, 21_000, 262_144, 2_100_000, 1_500_000_000];
    assert_eq!(latencies.map(format::latency), ["-", "210n", "2.1µ", "21µ", "262µ", "2.1m", "1.5s"]);
    assert_eq!([7, 812, 4_096, 1_234_567].map(format::exact), ["7", "812", "4,096", "1,234,567"]);
    assert_eq!(format::clock(Duration::from_secs(65)), "1:05");
}

#[test]
fn the_load_runs_and_its_registry_is_shown() {
    let load = Load::start(8, CALM).unwrap();
    let mut state = load.state();
    let began = Instant::now();
    load.set(Controls { threads: 3, ..CALM });
    // Until there is something to see.
    while state.sum(|shard| shard.registrations as usize) < 500 {
        load.look(&mut state, Instant::now());
        assert!(!load.has_failed() && began.elapsed() < 60 * SECOND);
        std::thread::yield_now();
    }
    tells(&text(&state, 80, 24), &["papaya, 8 shards", "2,048 servers"]);
    assert!(state.stats.iter().all(|shard| shard.lookups > 0 && shard.hits + shard.misses == shard.lookups));
    load.reset(&mut state);
    load.look(&mut state, Instant::now());
    assert!(state.sum(|shard| shard.servers) == 2_048);
    load.stop().unwrap();
}
