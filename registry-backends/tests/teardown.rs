//! Shards are usable in the destructors of thread-locals, whatever the thread has used before and in any order.

#![cfg(all(feature = "papaya", any(feature = "evmap", feature = "left-right")))]

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use registry_backends::{Visitor, for_each};
use registry_core::{Backend, Batch, ReadRequest, Shard};

/// A thread-local that runs a closure in its destructor.
#[derive(Default)]
struct OnTeardown(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for OnTeardown {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            act();
        }
    }
}

thread_local! {
    static ON_TEARDOWN: OnTeardown = OnTeardown::default();
}

fn on_teardown(act: impl FnOnce() + 'static) {
    ON_TEARDOWN.with(|slot| *slot.0.borrow_mut() = Some(Box::new(act)));
}

/// What a thread has initialised before its end. Destructors run in the reverse order of initialisation.
#[derive(Clone, Copy, Debug)]
enum Initialized {
    /// The thread-local, then the shard.
    ShardLast,
    /// The shard, then the thread-local.
    ShardFirst,
    /// The thread-local only.
    NoShard,
    /// The thread-local, then the dependencies of the backends, without this crate.
    DependenciesOnly,
}

/// Initialises what is to be initialised on the current thread, where `touch` is the first use of the shard, and arranges
/// that `act` is called with the shard during teardown.
fn arrange_teardown<S: Send + Sync + 'static>(
    initialized: Initialized,
    shard: S,
    touch: impl FnOnce(&S),
    act: impl FnOnce(S) + 'static,
) {
    if matches!(initialized, Initialized::ShardFirst) {
        touch(&shard);
        on_teardown(move || act(shard));
    } else {
        on_teardown(|| ());
        match initialized {
            Initialized::ShardLast => touch(&shard),
            Initialized::DependenciesOnly => {
                drop(seize::Collector::new().enter());
                thread_local::ThreadLocal::new().get_or(|| ());
            }
            Initialized::NoShard | Initialized::ShardFirst => {}
        }
        on_teardown(move || act(shard));
    }
}

fn hash(key: &str) -> u64 {
    key.bytes().fold(7, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
}

fn insert(shard: &impl Shard<String, (), u64>, key: &str, state: u64) -> bool {
    shard.insert_new(hash(key), key.to_owned(), (), state).is_ok()
}

fn read(shard: &impl Shard<String, (), u64>, key: &str) -> Option<u64> {
    shard.with(hash(key), key.as_bytes(), |_, (), state| *state)
}

fn remove(shard: &impl Shard<String, (), u64>, key: &str, state: u64) -> bool {
    shard.remove_if(hash(key), key.as_bytes(), |_, (), found| *found == state)
}

/// Calls every operation of a shard.
fn use_all_operations<T: Shard<String, (), u64>>(shard: &T) {
    assert_eq!((read(shard, "present"), read(shard, "absent")), (Some(1), None));
    let nested = shard.with(hash("present"), b"present", |_, (), state| (*state, read(shard, "present")));
    assert_eq!(nested, Some((1, Some(1))));
    let requests = ["present", "absent"].map(|key| ReadRequest { shard, hash: hash(key), key: key.as_bytes() });
    let mut states = Vec::new();
    T::with_each(&requests, |_, batch: &Batch<'_, String, (), u64>| {
        states.extend(batch.iter().map(|entry| entry.map(|(_, (), state)| *state)));
    });
    assert_eq!(states, [Some(1), None]);
    assert!(insert(shard, "new", 2) && !insert(shard, "new", 3) && !insert(shard, "present", 3));
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
    // Often enough that removed entries are dropped as well.
    for i in 0..100 {
        assert!(insert(shard, "repeated", i) && remove(shard, "repeated", i));
    }
    assert!(remove(shard, "present", 1));
}

#[test]
fn shards_are_usable_during_thread_teardown() {
    struct Teardowns;

    impl Visitor for Teardowns {
        fn visit<B: Backend>(&mut self) {
            for initialized in
                [Initialized::ShardLast, Initialized::ShardFirst, Initialized::NoShard, Initialized::DependenciesOnly]
            {
                for _ in 0..3 {
                    check::<B>(initialized);
                }
            }
        }
    }

    fn check<B: Backend>(initialized: Initialized) {
        let (done, wait) = mpsc::channel();
        let shard = Arc::new(B::default().shard::<String, (), u64>(0));
        assert!(insert(&*shard, "present", 1));
        let shared = Arc::clone(&shard);
        let thread = thread::spawn(move || {
            let touch = |shard: &Arc<_>| assert_eq!(read(&**shard, "present"), Some(1));
            arrange_teardown(initialized, shared, touch, move |shard| {
                use_all_operations(&*shard);
                drop(shard);
                done.send(()).expect("the test waits");
            });
        });
        let end = wait.recv_timeout(Duration::from_secs(60));
        assert!(end.is_ok(), "{}, {initialized:?}: the thread did not finish", B::NAME);
        thread.join().expect("the thread does not panic");
        assert!(shard.is_empty());
        assert!(insert(&*shard, "present", 5) && read(&*shard, "present") == Some(5));
        // The last handle of the shard is dropped during teardown as well.
        let thread = thread::spawn(move || {
            let touch = |shard: &Arc<_>| assert_eq!(read(&**shard, "present"), Some(5));
            arrange_teardown(initialized, shard, touch, drop);
        });
        thread.join().expect("the thread does not panic");
    }

    for_each(&mut Teardowns);
}
