//! Laws of the trap: what would deadlock on some backend panics on all.

use std::convert::Infallible;
use std::ops::ControlFlow;

use super::{Backend, Calls, Fresh, hash, hold, panics};
use crate::shard::{Batch, ReadRequest, Shard};

/// A write to any shard inside the closure of a read of any shard, or inside the decision about a write, panics, and
/// afterwards all shards work.
pub fn a_write_inside_a_read_is_caught<B: Backend>() {
    hold::<B>(|fresh| {
        let [read, other] = shards(&fresh);
        for written in [&read, &other] {
            let writes: [&dyn Fn() -> bool; 3] =
                [&|| written.insert("new", 1).is_ok(), &|| written.insert("key", 1).is_ok(), &|| {
                    written.remove("key", |_| false)
                }];
            for write in writes {
                for call in reads(&read, write) {
                    assert!(panics(call), "not caught");
                    // The trap is open again, and nothing was written.
                    written.put("free", 2);
                    written.delete("free");
                    assert_eq!((written.len(), written.read("key", |value| *value)), (1, Some(1)));
                }
            }
        }
    });
}

/// A read of any shard inside the decision about a removal or an insertion panics, and afterwards all shards work.
///
/// In a build without debug assertions this may hang, and fails at last.
pub fn a_read_inside_a_removal_is_caught<B: Backend>() {
    hold::<B>(|fresh| {
        let [removed, other] = shards(&fresh);
        for read in [&removed, &other] {
            let visit = || {
                read.for_each(|_, _, _| ControlFlow::Continue(()));
                true
            };
            let many = || {
                let wanted = ["key", "absent"].map(|key| wanted(read, key));
                Shard::with_each(&wanted, |_, _: &Batch<'_, String, (), u64>| {});
                true
            };
            let reads: [&dyn Fn() -> bool; 4] = [&|| read.has("key"), &|| read.has("absent"), &visit, &many];
            for call in reads {
                assert!(panics(|| removed.remove("key", |_| call())), "not caught");
                assert!(panics(|| within_an_insertion(&removed, call)), "not caught");
                removed.put("free", 2);
                removed.delete("free");
                assert_eq!((removed.len(), removed.read("key", |value| *value)), (1, Some(1)));
            }
        }
    });
}

/// The drop of a shard inside the closure of a read of another one panics, and the other one works afterwards.
pub fn a_drop_inside_a_read_is_caught<B: Backend>() {
    hold::<B>(|fresh| {
        let [read, _] = shards(&fresh);
        let make_and_drop = || {
            drop(fresh.shard::<u64>());
            true
        };
        make_and_drop();
        for call in reads(&read, &make_and_drop) {
            assert!(panics(call), "not caught");
            read.put("free", 2);
            read.delete("free");
            assert_eq!(read.len(), 1);
        }
    });
}

/// Two shards with one entry each, under `key`.
fn shards<B: Backend>(fresh: &Fresh<B>) -> [B::Shard<String, (), u64>; 2] {
    [(), ()].map(|()| {
        let shard = fresh.shard();
        shard.put("key", 1);
        shard
    })
}

fn wanted<'a, T>(shard: &'a T, key: &'a str) -> ReadRequest<'a, T> {
    ReadRequest { shard, hash: hash(key), key: key.as_bytes() }
}

/// All ways to do something inside a read of a shard.
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
        Box::new(move || within_an_insertion(shard, call)),
        Box::new(move || within_many(&[wanted(shard, "key"), wanted(shard, "absent")], call)),
        // Nobody is shown, and yet it is a read.
        Box::new(move || within_many(&[wanted(shard, "absent")], call)),
    ]
}

fn within_an_insertion(shard: &impl Shard<String, (), u64>, call: &dyn Fn() -> bool) -> bool {
    let mut called = false;
    let inserted = shard.insert_new_with(hash("inserted"), "inserted".to_owned(), (), 3, |_| {
        called = call();
        Ok::<_, Infallible>(())
    });
    inserted.is_ok() && called
}

fn within_many<T: Shard<String, (), u64>>(wanted: &[ReadRequest<'_, T>], call: &dyn Fn() -> bool) -> bool {
    let mut called = false;
    Shard::with_each(wanted, |_, _: &Batch<'_, String, (), u64>| called = call());
    called
}
