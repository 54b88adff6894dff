//! Forbidden nesting panics on every backend, though only some would deadlock.

use std::convert::Infallible;
use std::ops::ControlFlow;

use registry_core::{Backend, Batch, ReadRequest, Shard};

use crate::{Setup, ShardExt, hash, panics, run};

/// A write to any shard inside the closure of a read of any shard, or inside the predicate of a write, panics, and all
/// shards are usable afterwards.
pub fn write_inside_read_panics<B: Backend>() {
    run::<B>(|setup| {
        let [read, other] = shards(&setup);
        for written in [&read, &other] {
            let writes: [&dyn Fn() -> bool; 3] =
                [&|| written.insert("new", 1).is_ok(), &|| written.insert("key", 1).is_ok(), &|| {
                    written.remove("key", |_| false)
                }];
            for write in writes {
                for call in reads(&read, write) {
                    assert!(panics(call), "no panic");
                    // The guard is released, and nothing was written.
                    written.put("temporary", 2);
                    written.delete("temporary");
                    assert_eq!((written.len(), written.read("key", |value| *value)), (1, Some(1)));
                }
            }
        }
    });
}

/// A read of any shard inside the predicate of a removal or an insertion panics, and all shards are usable afterwards.
///
/// Without debug assertions this may deadlock, which fails the test at its time limit.
pub fn read_inside_predicate_panics<B: Backend>() {
    run::<B>(|setup| {
        let [removed, other] = shards(&setup);
        for read in [&removed, &other] {
            let for_each = || {
                read.for_each(|_, _, _| ControlFlow::Continue(()));
                true
            };
            let with_each = || {
                let requests = ["key", "absent"].map(|key| request(read, key));
                Shard::with_each(&requests, |_, _: &Batch<'_, String, (), u64>| {});
                true
            };
            let reads: [&dyn Fn() -> bool; 4] =
                [&|| read.contains("key"), &|| read.contains("absent"), &for_each, &with_each];
            for call in reads {
                assert!(panics(|| removed.remove("key", |_| call())), "no panic");
                assert!(panics(|| within_insertion(&removed, call)), "no panic");
                removed.put("temporary", 2);
                removed.delete("temporary");
                assert_eq!((removed.len(), removed.read("key", |value| *value)), (1, Some(1)));
            }
        }
    });
}

/// Dropping a shard inside the closure of a read of another one panics, and the other one is usable afterwards.
pub fn drop_inside_read_panics<B: Backend>() {
    run::<B>(|setup| {
        let [read, _] = shards(&setup);
        let make_and_drop = || {
            drop(setup.shard::<u64>());
            true
        };
        make_and_drop();
        for call in reads(&read, &make_and_drop) {
            assert!(panics(call), "no panic");
            read.put("temporary", 2);
            read.delete("temporary");
            assert_eq!(read.len(), 1);
        }
    });
}

/// Makes two shards with one entry each, under `key`.
fn shards<B: Backend>(setup: &Setup<B>) -> [B::Shard<String, (), u64>; 2] {
    [(), ()].map(|()| {
        let shard = setup.shard();
        shard.put("key", 1);
        shard
    })
}

fn request<'a, T>(shard: &'a T, key: &'a str) -> ReadRequest<'a, T> {
    ReadRequest { shard, hash: hash(key), key: key.as_bytes() }
}

/// Returns every way to run a closure inside a read of a shard.
fn reads<'a>(
    shard: &'a impl Shard<String, (), u64>,
    call: &'a dyn Fn() -> bool,
) -> [Box<dyn FnOnce() -> bool + 'a>; 6] {
    [
        Box::new(move || shard.read("key", |_| call()) == Some(true)),
        Box::new(move || {
            let mut called = false;
            shard.for_each(|_, _, _| {
                called = call();
                ControlFlow::Continue(())
            });
            called
        }),
        Box::new(move || shard.remove("key", |_| call())),
        Box::new(move || within_insertion(shard, call)),
        Box::new(move || within_with_each(&[request(shard, "key"), request(shard, "absent")], call)),
        // No entry is found, but this is a read as well.
        Box::new(move || within_with_each(&[request(shard, "absent")], call)),
    ]
}

fn within_insertion(shard: &impl Shard<String, (), u64>, call: &dyn Fn() -> bool) -> bool {
    let mut called = false;
    let inserted = shard.insert_new_with(hash("inserted"), "inserted".to_owned(), (), 3, |_| {
        called = call();
        Ok::<_, Infallible>(())
    });
    inserted.is_ok() && called
}

fn within_with_each<T: Shard<String, (), u64>>(requests: &[ReadRequest<'_, T>], call: &dyn Fn() -> bool) -> bool {
    let mut called = false;
    Shard::with_each(requests, |_, _: &Batch<'_, String, (), u64>| called = call());
    called
}
