//! Names: at most one owner at a time, and no removal of a successor.

use registry_core::{Backend, RegisterError, RegisterErrorKind};
use registry_router::Registry;
use shuttle::thread;

use super::{assert_empty, registry, server, transport_id};
use crate::schedule::observers::{CountingAdmission, RemovalNotifier};
use crate::schedule::queue::{Queue, Queues};

/// The owner dies while two threads register its name: at most one succeeds, and its registration is found.
pub(super) fn register_against_death<B: Backend>() {
    let registry = registry::<B>();
    let (first, _inbox) = server(&registry, "s");
    let won = thread::scope(|scope| {
        scope.spawn(|| drop(first));
        let competitors = [0, 1].map(|_| scope.spawn(|| registry.register_server("s", Queue::new(1), ())));
        let claims = competitors.map(|competitor| competitor.join().expect("no thread panics"));
        claims.into_iter().filter_map(Result::ok).collect::<Vec<_>>()
    });
    assert!(won.len() <= 1, "two registrations of one name");
    let found = registry.with_server("s", |entry| entry.incarnation);
    assert_eq!(found, won.first().map(|lease| lease.incarnation()), "the registration is not found");
    assert!(won.iter().all(|lease| lease.is_current()));
    drop(won);
    assert_empty(&registry);
}

/// A stale lease never removes the successor that registered after an unregistration.
pub(super) fn lease_drop_against_reregistration<B: Backend>() {
    let registry = registry::<B>();
    let (late, _inbox) = server(&registry, "s");
    let successor = thread::scope(|scope| {
        scope.spawn(|| drop(late));
        let successor = scope.spawn(|| {
            registry.unregister_server("s");
            registry.register_server("s", Queue::new(1), ()).expect("the name is free")
        });
        successor.join().expect("no thread panics")
    });
    assert!(successor.is_current(), "the successor was removed");
    drop(successor);
    assert_empty(&registry);
}

/// Of two concurrent removals exactly one succeeds, and admission is released once.
pub(super) fn two_removers<B: Backend>() {
    let admission = CountingAdmission::default();
    let builder = Registry::<u64, B, Queues>::builder().shards(1).admission(admission.clone()).probe(|_| ());
    let registry = builder.build().expect("one shard is valid");
    let (lease, _inbox) = server(&registry, "s");
    assert_eq!(admission.admitted(), 1);
    let (released, unregistered) = thread::scope(|scope| {
        let release = scope.spawn(|| lease.release());
        let unregister = scope.spawn(|| registry.unregister_server("s"));
        (release.join().expect("no thread panics"), unregister.join().expect("no thread panics"))
    });
    assert!(released != unregistered, "exactly one removal succeeds");
    assert_eq!(admission.admitted(), 0);
    assert_empty(&registry);
}

/// A message finds the mailbox closed while the name is registered again: the successor stays.
pub(super) fn closed_mailbox_against_reregistration<B: Backend>() {
    let registry = registry::<B>();
    let (dead, inbox) = server(&registry, "s");
    inbox.close();
    let successor = thread::scope(|scope| {
        scope.spawn(|| {
            let routed = registry.route_to_server("s", &transport_id("t"), 7);
            assert!(routed.is_ok() || routed.is_err_and(|error| error.into_message() == 7));
        });
        let successor = scope
            .spawn(|| registry.register_server("s", Queue::new(1), ()).expect("a dead entry does not keep its name"));
        successor.join().expect("no thread panics")
    });
    assert!(successor.is_current(), "the successor was removed instead of the dead entry");
    assert!(!dead.is_current());
    drop((dead, successor));
    assert_empty(&registry);
}

/// A sweep finds a dead entry while the name is registered again: the successor stays.
pub(super) fn sweep_against_reregistration<B: Backend>() {
    let registry = registry::<B>();
    let (dead, inbox) = server(&registry, "s");
    inbox.close();
    let (successor, swept) = thread::scope(|scope| {
        let sweep = scope.spawn(|| registry.sweep().servers);
        let successor = scope.spawn(|| {
            let claim = registry.register_server("s", Queue::new(1), ());
            claim.map_err(RegisterError::into_kind)
        });
        (successor.join().expect("no thread panics"), sweep.join().expect("no thread panics"))
    });
    assert!(!matches!(successor, Err(RegisterErrorKind::Taken { .. })), "a dead entry kept its name");
    assert!(successor.as_ref().is_ok_and(|lease| lease.is_current()) && !dead.is_current());
    assert!(swept <= 1);
    drop((dead, successor));
    assert_empty(&registry);
}

/// The name is free when the removal event is reported.
pub(super) fn removal_event_after_name_is_free<B: Backend>() {
    let (notifier, removals) = RemovalNotifier::new();
    let builder = Registry::<u64, B, Queues>::builder().shards(1).probe(move |_| notifier);
    let registry = builder.build().expect("one shard is valid");
    let lease = registry.register_server("s", Queue::new(1), ()).expect("the name is free");
    thread::scope(|scope| {
        scope.spawn(|| drop(lease));
        scope.spawn(|| {
            removals.recv().expect("the removal is reported");
            let successor = registry.register_server("s", Queue::new(1), ());
            assert!(successor.is_ok(), "the removal was reported before the name was free");
        });
    });
}
