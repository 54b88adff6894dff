//! How many lookups are timed follows the load, from check to check.

use std::time::Duration;

use registry_core::Backend;
use registry_router::{HealthChange, Inbox, MonitorSettings, Operation, ServerLease, ToServer};

use crate::faulty::{Call, Deed, Faulted, alarms, faulted, ids};
use crate::support::server_mailbox;

over_every_backend! {
    about_as_many_look_ups_are_timed_whatever_the_load,
    a_slow_shard_is_told_soon_though_one_look_up_in_a_thousand_is_timed,
}

const SECOND: Duration = Duration::from_secs(1);

/// A server in each shard.
fn servers<B: Backend>(registry: &Faulted<B>) -> Vec<(ServerLease, Inbox<ToServer<u64>>)> {
    let register = |id: String| {
        let (mailbox, inbox) = server_mailbox();
        (registry.register_server(id, mailbox, ()).unwrap(), inbox)
    };
    ids(registry).into_iter().map(register).collect()
}

fn about_as_many_look_ups_are_timed_whatever_the_load<B: Backend>(shards: usize) {
    let monitor = MonitorSettings { sample_every: 64, samples_per_second: 100, ..MonitorSettings::default() };
    let (registry, faults) = faulted::<B>(shards, |builder| builder.monitor(monitor));
    let all = servers(&registry);
    let mut seconds = 0;
    // What is timed of so many lookups, and a check a second after the last one.
    let mut timed_in_a_second = |lookups: usize| {
        let timed = || registry.all_shard_stats().iter().map(|shard| shard.reads_total.count).sum::<u64>();
        let before = timed();
        for (lease, _) in all.iter().cycle().take(lookups) {
            registry.with_server(lease.id(), |_| ()).unwrap();
        }
        let timed = timed() - before;
        seconds += 1;
        registry.tick(faults.hands.until(seconds * SECOND));
        timed
    };
    assert_eq!(timed_in_a_second(64 * 64 * 2), 128, "one in 64, as was set");
    assert_eq!(timed_in_a_second(64 * 64 * 2), 128, "that is near enough");
    assert_eq!(timed_in_a_second(64 * 1_024), 1_024, "the load has grown since the last check");
    // One in 1,024 from now on: each shard has the row that it is in, and at least half of a whole one.
    let timed = timed_in_a_second(2 * 64 * 1_024);
    assert!((64..=192).contains(&timed), "{timed} where a hundred are wanted");
    assert!(timed_in_a_second(640) <= 64);
    // One in 8, which is as many as there may be.
    assert!(timed_in_a_second(8 * 64 * 10).abs_diff(640) <= 64);
}

fn a_slow_shard_is_told_soon_though_one_look_up_in_a_thousand_is_timed<B: Backend>(shards: usize) {
    let (registry, faults) = faulted::<B>(shards, |builder| builder);
    let all = servers(&registry);
    let slow = shards / 3;
    faults.set(slow, Call::Read, Deed::Take(SECOND / 1_000));
    // One thread, which waits for the slow shard again and again: a thousand lookups in each shard in a second.
    let second = |number: u32| {
        while faults.hands.until(Duration::ZERO) < faults.hands.start() + number * SECOND {
            all.iter().for_each(|(lease, _)| registry.with_server(lease.id(), |_| ()).unwrap());
        }
        registry.tick(faults.hands.until(number * SECOND))
    };
    let changes: Vec<HealthChange> = (1..=3).flat_map(second).collect();
    assert_eq!(alarms(&changes), [(slow, true)]);
    let Some(HealthChange::AlarmRaised(alarm)) = changes.first() else { panic!("{changes:?}") };
    assert_eq!(alarm.operation, Operation::Read);
}
