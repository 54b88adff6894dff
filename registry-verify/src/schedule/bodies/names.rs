//! Names: who has one, and who takes it away.

use registry_core::{Backend, RegisterErrorKind};
use registry_router::Registry;
use shuttle::thread;

use super::{assert_empty, registry, server, transport_id};
use crate::schedule::observers::{CountingAdmission, RemovalNotifier};
use crate::schedule::queue::{Queue, Queues};

/// The owner dies while two others want its name: at most one of them gets it, and only it has it.
pub(super) fn register_against_death<B: Backend>() {
    let registry = registry::<B>();
    let (first, _inbox) = server(&registry, "s");
    let won = thread::scope(|scope| {
        scope.spawn(|| drop(first));
        let competitors = [0, 1].map(|_| scope.spawn(|| registry.register_server("s", Queue::new(1), ())));
        let claims = competitors.map(|competitor| competitor.join().expect("no rival panics"));
        claims.into_iter().filter_map(Result::ok).collect::<Vec<_>>()
    });
    assert!(won.len() <= 1, "two have one name");
    let found = registry.with_server("s", |entry| entry.incarnation);
    assert_eq!(found, won.first().map(|lease| lease.incarnation()), "the winner is not found");
    assert!(won.iter().all(|lease| lease.is_current()));
    drop(won);
    assert_empty(&registry);
}

/// A late lease never takes the name from whoever has it after an unregistration.
pub(super) fn lease_drop_against_reregistration<B: Backend>() {
    let registry = registry::<B>();
    let (late, _inbox) = server(&registry, "s");
    let successor = thread::scope(|scope| {
        scope.spawn(|| drop(late));
        let successor = scope.spawn(|| {
            registry.unregister_server("s");
            registry.register_server("s", Queue::new(1), ()).expect("the name is free")
        });
        successor.join().expect("nobody panics")
    });
    assert!(successor.is_current(), "the successor was removed");
    drop(successor);
    assert_empty(&registry);
}

/// Of two who end one registration exactly one is told so, and its place is given back once.
pub(super) fn two_removers<B: Backend>() {
    let admission = CountingAdmission::default();
    let builder = Registry::<u64, B, Queues>::builder().shards(1).admission(admission.clone()).probe(|_| ());
    let registry = builder.build().expect("one shard is valid");
    let (lease, _inbox) = server(&registry, "s");
    assert_eq!(admission.admitted(), 1);
    let (released, unregistered) = thread::scope(|scope| {
        let release = scope.spawn(|| lease.release());
        let unregister = scope.spawn(|| registry.unregister_server("s"));
        (release.join().expect("nobody panics"), unregister.join().expect("nobody panics"))
    });
    assert!(released != unregistered, "both or neither ended it");
    assert_eq!(admission.admitted(), 0);
    assert_empty(&registry);
}

/// A message finds the mailbox closed while the name goes to somebody else, who keeps it.
pub(super) fn closed_mailbox_against_reregistration<B: Backend>() {
    let registry = registry::<B>();
    let (dead, inbox) = server(&registry, "s");
    inbox.close();
    let successor = thread::scope(|scope| {
        scope.spawn(|| {
            let routed = registry.route_to_server("s", &transport_id("t"), 7);
            assert!(routed.is_ok() || routed.is_err_and(|error| error.into_message() == 7));
        });
        let successor =
            scope.spawn(|| registry.register_server("s", Queue::new(1), ()).expect("the name of the dead is free"));
        successor.join().expect("nobody panics")
    });
    assert!(successor.is_current(), "the successor was removed in place of the dead");
    assert!(!dead.is_current());
    drop((dead, successor));
    assert_empty(&registry);
}

/// A sweep finds somebody dead while the name goes to somebody else, who keeps it.
pub(super) fn sweep_against_reregistration<B: Backend>() {
    let registry = registry::<B>();
    let (dead, inbox) = server(&registry, "s");
    inbox.close();
    let (successor, swept) = thread::scope(|scope| {
        let sweep = scope.spawn(|| registry.sweep().servers);
        let successor = scope.spawn(|| {
            let claim = registry.register_server("s", Queue::new(1), ());
            claim.map_err(|error| error.kind)
        });
        (successor.join().expect("nobody panics"), sweep.join().expect("nobody panics"))
    });
    assert!(!matches!(successor, Err(RegisterErrorKind::Taken { .. })), "the dead keep their names");
    assert!(successor.as_ref().is_ok_and(|lease| lease.is_current()) && !dead.is_current());
    assert!(swept <= 1);
    drop((dead, successor));
    assert_empty(&registry);
}

/// Whoever hears of a death can have the name.
pub(super) fn removal_event_after_name_is_free<B: Backend>() {
    let (observers, deaths) = RemovalNotifier::new();
    let builder = Registry::<u64, B, Queues>::builder().shards(1).probe(move |_| observers);
    let registry = builder.build().expect("one shard is valid");
    let lease = registry.register_server("s", Queue::new(1), ()).expect("the name is free");
    thread::scope(|scope| {
        scope.spawn(|| drop(lease));
        scope.spawn(|| {
            deaths.recv().expect("the death is told");
            let successor = registry.register_server("s", Queue::new(1), ());
            assert!(successor.is_ok(), "the death was told before the name was free");
        });
    });
}
