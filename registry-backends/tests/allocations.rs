//! A read does not allocate, once its thread has read the shard before. Counting takes a global allocator, so this
//! requirement of `Shard` has a program of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use registry_backends::{Visitor, for_each};
use registry_core::{Backend, Shard};

#[test]
fn reads_do_not_allocate_after_the_first() {
    struct Reads;

    impl Visitor for Reads {
        fn visit<B: Backend>(&mut self) {
            let shard = B::default().shard::<String, (), u64>(0);
            for i in 0..1_000 {
                assert!(shard.insert_new(hash(i), i.to_string(), (), i).is_ok());
            }
            let keys: Vec<_> = (0..2_000).map(|i| i.to_string()).collect();
            let read_all = || {
                for (i, key) in (0..).zip(&keys) {
                    let state = shard.with(hash(i), key.as_bytes(), |_, _, state| *state);
                    assert_eq!(state, (i < 1_000).then_some(i));
                }
            };
            read_all();
            let before = ALLOCATIONS.get();
            read_all();
            assert_eq!(ALLOCATIONS.get() - before, 0, "allocations of {}", B::NAME);
        }
    }

    for_each(&mut Reads);
    assert!(ALLOCATIONS.get() > 0, "allocations are counted");
}

fn hash(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system allocator, with a count of the allocations of each thread.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is forwarded unchanged; the counter is a const-initialised thread-local without a destructor, so
// counting does not allocate.
#[expect(unsafe_code, reason = "the trait is unsafe to implement")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's guarantees about `layout` are forwarded.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller guarantees that the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}
