//! Shrinking: the tables of evmap keep their size, so the entries move into a new pair of tables.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use registry_core::{Key, State, Value, reentrancy};

use super::{Entry, EvmapShard, NumberedKey, StoredEntry, build, deferred_drop};
use crate::writer_lock::release_then_drop;

/// How many times the entries inserted meanwhile are copied before `shrink` gives up.
const MAX_ATTEMPTS: usize = 16;

impl<K: Key, V: Value, S: State> EvmapShard<K, V, S> {
    /// Moves all entries into tables of the size that they need, unless other threads insert faster than this copies.
    pub(super) fn rebuild(&self) {
        let mut copies = HashMap::new();
        for _ in 0..MAX_ATTEMPTS {
            // Values are cloned inside a read and with no lock held, because their clone is code of the user.
            self.readers.with_map(|map| {
                let _reading = reentrancy::enter_read();
                for (key, values) in map.iter() {
                    let entry = values.get_one().and_then(|stored| stored.entry.as_ref());
                    if let Some(Entry { value, state, key: user_key }) = entry {
                        copies.entry(key.number).or_insert_with(|| {
                            let entry = Entry { value: value.clone(), state: Arc::clone(state), key: user_key.clone() };
                            (key.hash, entry)
                        });
                    }
                }
            });
            let mut writer = self.writer.lock();
            let present: Vec<u64> = self.readers.with_map(|map| map.keys().map(|key| key.number).collect());
            if present.iter().any(|number| !copies.contains_key(number)) {
                continue;
            }
            let capacity = (2 * present.len()).max(self.initial_capacity);
            let (mut handle, prototype) = build(capacity);
            for number in present {
                let Some((hash, entry)) = copies.remove(&number) else { continue };
                let key = Some(entry.key.clone());
                handle.insert(NumberedKey { hash, number, key }, StoredEntry { entry: Some(entry), number });
            }
            // Insertions before the first publish go into one copy; the second publish fills the other one.
            handle.publish();
            handle.publish();
            // Completes the previous write in the old tables.
            let mut removed = writer.publish();
            let mut readers = self.readers.begin_replacement(prototype);
            // Waits until the reads in progress have left the old tables; no write runs before, and other reads use the
            // new tables.
            let scope = deferred_drop::scope();
            drop(mem::replace(&mut writer.handle, handle));
            removed.extend(scope.finish());
            readers.extend(self.readers.end_replacement());
            self.capacity.store(capacity, Ordering::Relaxed);
            release_then_drop(writer, (removed, readers));
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Barrier;
    use std::thread;

    use registry_core::{Backend, Batch, ReadRequest, Shard};

    use super::super::Evmap;

    /// The moment that the conformance suite cannot wait for: only reads in progress still use the old tables.
    #[test]
    fn reads_can_nest_while_the_tables_are_replaced() {
        let shard = Evmap.shard::<&str, (), u64>(0);
        shard.insert_new(1, "key", (), 1).unwrap();
        for _ in 0..3 {
            let inside = Barrier::new(2);
            let read = || shard.with(1, b"key", |_, (), value| *value);
            thread::scope(|scope| {
                scope.spawn(|| {
                    inside.wait();
                    shard.shrink();
                });
                let all = shard.with(1, b"key", |_, (), outer| {
                    inside.wait();
                    while !shard.readers.is_replacing() {
                        assert_eq!(read(), Some(1));
                        thread::yield_now();
                    }
                    // From here on the handle of the old tables cannot enter.
                    while shard.readers.current().borrow().enter().is_some() {
                        thread::yield_now();
                    }
                    let nested = shard.with(1, b"key", |_, (), inner| (read(), *inner));
                    assert_eq!(nested, Some((Some(1), 1)));
                    let mut seen = Vec::new();
                    let request = ReadRequest { shard: &shard, hash: 1, key: b"key" };
                    Shard::with_each(&[request; 20], |first, batch: &Batch<'_, &str, (), u64>| {
                        assert_eq!(first, seen.len());
                        seen.extend(batch.iter().flatten().map(|(_, (), value)| **value));
                    });
                    assert_eq!(seen, [1; 20]);
                    shard.for_each(|_, (), value| {
                        assert_eq!(value, outer);
                        ControlFlow::Continue(())
                    });
                    // The first read of a thread does not wait either.
                    assert_eq!(scope.spawn(read).join().unwrap(), Some(1));
                    shard.len()
                });
                assert_eq!(all, Some(1));
            });
            assert_eq!(read(), Some(1));
            assert!(shard.insert_new(1, "key", (), 2).is_err());
            shard.insert_new(2, "other", (), 2).unwrap();
            assert!(shard.remove_if(2, b"other", |_, (), _| true));
        }
    }
}
