//! Adaptive sampling: the sampling rate of lookups follows the load from check to check.

use std::time::Duration;

use registry_core::Backend;
use registry_router::{HealthChange, Inbox, MonitorSettings, Operation, ServerLease, ToServer};

use crate::support::fault_injection::{Behavior, Call, FaultyRegistry, alarms, faulty_registry, ids};
use crate::support::server_mailbox;

test_every_backend! {
    the_sampling_rate_follows_the_load,
    a_slow_shard_is_detected_at_a_low_sampling_rate,
}

const SECOND: Duration = Duration::from_secs(1);

/// Registers a server in each shard.
fn servers<B: Backend>(registry: &FaultyRegistry<B>) -> Vec<(ServerLease, Inbox<ToServer<u64>>)> {
    let register = |id: String| {
        let (mailbox, inbox) = server_mailbox();
        (registry.register_server(id, mailbox, ()).unwrap(), inbox)
    };
    ids(registry).into_iter().map(register).collect()
}

fn the_sampling_rate_follows_the_load<B: Backend>(shards: usize) {
    let monitor = MonitorSettings::default().with_sample_every(64).with_samples_per_second(100);
    let (registry, faults) = faulty_registry::<B>(shards, |builder| builder.monitor(monitor));
    let all = servers(&registry);
    let mut seconds = 0;
    // Returns how many of this many lookups were timed; then a check, one second after the last.
    let mut timed_in_a_second = |lookups: usize| {
        let timed = || registry.all_shard_stats().iter().map(|shard| shard.reads_total.count).sum::<u64>();
        let before = timed();
        for (lease, _) in all.iter().cycle().take(lookups) {
            registry.with_server(lease.id(), |_| ()).unwrap();
        }
        let timed = timed() - before;
        seconds += 1;
        registry.tick(faults.clock.advance_to(seconds * SECOND));
        timed
    };
    assert_eq!(timed_in_a_second(64 * 64 * 2), 128, "one in 64, as configured");
    assert_eq!(timed_in_a_second(64 * 64 * 2), 128, "close enough to the target to be kept");
    assert_eq!(timed_in_a_second(64 * 1_024), 1_024, "the load grew after the last check");
    // One in 1,024 from now on: each shard completes its current interval, and at least half of a full one.
    let timed = timed_in_a_second(2 * 64 * 1_024);
    assert!((64..=192).contains(&timed), "{timed} samples, with a target of 100");
    assert!(timed_in_a_second(640) <= 64);
    // One in 8, the highest rate.
    assert!(timed_in_a_second(8 * 64 * 10).abs_diff(640) <= 64);
}

fn a_slow_shard_is_detected_at_a_low_sampling_rate<B: Backend>(shards: usize) {
    let (registry, faults) = faulty_registry::<B>(shards, |builder| builder);
    let all = servers(&registry);
    let slow = shards / 3;
    faults.set(slow, Call::Read, Behavior::Delay(SECOND / 1_000));
    // One thread, slowed down by the slow shard: a thousand lookups per shard and second.
    let second = |number: u32| {
        while faults.clock.advance_to(Duration::ZERO) < faults.clock.start() + number * SECOND {
            all.iter().for_each(|(lease, _)| registry.with_server(lease.id(), |_| ()).unwrap());
        }
        registry.tick(faults.clock.advance_to(number * SECOND))
    };
    let changes: Vec<HealthChange> = (1..=3).flat_map(second).collect();
    assert_eq!(alarms(&changes), [(slow, true)]);
    let Some(HealthChange::AlarmRaised(alarm)) = changes.first() else { panic!("{changes:?}") };
    assert_eq!(alarm.operation, Operation::Read);
}
