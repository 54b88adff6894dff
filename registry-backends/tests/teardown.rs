//! Shards in the destructors of thread-locals: whatever a thread has used before, and in whatever order.

#![cfg(all(feature = "papaya", any(feature = "evmap", feature = "left-right")))]

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use registry_backends::{Visitor, for_each};
use registry_core::{Backend, Batch, ReadRequest, Shard};

/// What a thread does last: in the destructor of a thread-local.
#[derive(Default)]
struct Last(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            act();
        }
    }
}

thread_local! {
    static LAST: Last = Last::default();
}

fn at_the_end(act: impl FnOnce() + 'static) {
    LAST.with(|last| *last.0.borrow_mut() = Some(Box::new(act)));
}

/// What a thread has used before its end. Destructors run in the reverse order of first uses.
#[derive(Clone, Copy, Debug)]
enum Used {
    /// The thread-local, then the shard.
    ShardLast,
    /// The shard, then the thread-local.
    ShardFirst,
    /// The thread-local only.
    NoShard,
    /// The thread-local, then what the map uses, but not from here.
    TheSameByOthers,
}

/// Makes a thread that does something to a shard at its end, and returns when it has ended.
fn ends_with<S: Send + Sync + 'static>(used: Used, shard: S, touch: impl FnOnce(&S), act: impl FnOnce(S) + 'static) {
    if matches!(used, Used::ShardFirst) {
        touch(&shard);
        at_the_end(move || act(shard));
    } else {
        at_the_end(|| ());
        match used {
            Used::ShardLast => touch(&shard),
            Used::TheSameByOthers => {
                drop(seize::Collector::new().enter());
                thread_local::ThreadLocal::new().get_or(|| ());
            }
            Used::NoShard | Used::ShardFirst => {}
        }
        at_the_end(move || act(shard));
    }
}

fn hash(key: &str) -> u64 {
    key.bytes().fold(7, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
}

fn insert(shard: &impl Shard<String, (), u64>, key: &str, value: u64) -> bool {
    shard.insert_new(hash(key), key.to_owned(), (), value).is_ok()
}

fn read(shard: &impl Shard<String, (), u64>, key: &str) -> Option<u64> {
    shard.with(hash(key), key.as_bytes(), |_, (), value| *value)
}

fn remove(shard: &impl Shard<String, (), u64>, key: &str, value: u64) -> bool {
    shard.remove_if(hash(key), key.as_bytes(), |_, (), found| *found == value)
}

/// All that a shard can do, in one go.
fn do_all<T: Shard<String, (), u64>>(shard: &T) {
    assert_eq!((read(shard, "there"), read(shard, "absent")), (Some(1), None));
    let nested = shard.with(hash("there"), b"there", |_, (), value| (*value, read(shard, "there")));
    assert_eq!(nested, Some((1, Some(1))));
    let wanted = ["there", "absent"].map(|key| ReadRequest { shard, hash: hash(key), key: key.as_bytes() });
    let mut shown = Vec::new();
    T::with_each(&wanted, |_, batch: &Batch<'_, String, (), u64>| {
        shown.extend(batch.iter().map(|seen| seen.map(|(_, (), value)| *value)));
    });
    assert_eq!(shown, [Some(1), None]);
    assert!(insert(shard, "new", 2) && !insert(shard, "new", 3) && !insert(shard, "there", 3));
    let declined = shard.insert_new_with(hash("declined"), "declined".to_owned(), (), 4, |_| Err(()));
    assert!(declined.is_err());
    let mut visited = 0;
    shard.for_each(|_, (), _| {
        visited += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((visited, shard.len()), (2, 2));
    assert!(!remove(shard, "new", 3) && remove(shard, "new", 2) && !remove(shard, "new", 2));
    assert_eq!(read(shard, "new"), None);
    // Many, so that what is removed is also dropped.
    for i in 0..100 {
        assert!(insert(shard, "again", i) && remove(shard, "again", i));
    }
    assert!(remove(shard, "there", 1));
}

#[test]
fn a_thread_may_use_a_shard_to_its_very_end() {
    struct Endings;

    impl Visitor for Endings {
        fn visit<B: Backend>(&mut self) {
            for used in [Used::ShardLast, Used::ShardFirst, Used::NoShard, Used::TheSameByOthers] {
                for _ in 0..3 {
                    one::<B>(used);
                }
            }
        }
    }

    fn one<B: Backend>(used: Used) {
        let (ended, wait) = mpsc::channel();
        let shard = Arc::new(B::default().shard::<String, (), u64>(0));
        assert!(insert(&*shard, "there", 1));
        let ours = Arc::clone(&shard);
        let thread = thread::spawn(move || {
            let touch = |shard: &Arc<_>| assert_eq!(read(&**shard, "there"), Some(1));
            ends_with(used, ours, touch, move |shard| {
                do_all(&*shard);
                drop(shard);
                ended.send(()).expect("the test waits");
            });
        });
        let end = wait.recv_timeout(Duration::from_secs(60));
        assert!(end.is_ok(), "{}, {used:?}: the thread did not come to its end", B::NAME);
        thread.join().expect("it does not panic");
        assert!(shard.is_empty());
        assert!(insert(&*shard, "there", 5) && read(&*shard, "there") == Some(5));
        // The last handle goes with a thread too.
        let thread = thread::spawn(move || {
            let touch = |shard: &Arc<_>| assert_eq!(read(&**shard, "there"), Some(5));
            ends_with(used, shard, touch, drop);
        });
        thread.join().expect("it does not panic");
    }

    for_each(&mut Endings);
}
