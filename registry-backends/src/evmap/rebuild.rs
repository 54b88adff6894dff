//! Giving back room: evmap's tables keep their size, so the entries move into a new pair.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use registry_core::{Value, Key, State, reentrancy};

use super::{Entry, EvmapShard, Numbered, Stored, bin, build};

/// How often entries are copied anew because others came meanwhile, before the shard stays as it is.
const TRIES: usize = 16;

impl<K: Key, V: Value, S: State> EvmapShard<K, V, S> {
    /// Moves all entries into tables that are as large as they need, if others do not come faster than they are copied.
    pub(super) fn rebuild(&self) {
        let mut copies = HashMap::new();
        for _ in 0..TRIES {
            // Heads are cloned inside a read and with no lock held, for that is others' code.
            self.readers.through(|map| {
                let _reading = reentrancy::enter_read();
                for (known, values) in map.iter() {
                    let entry = values.get_one().and_then(|stored| stored.entry.as_ref());
                    if let Some(Entry { value, state, key }) = entry {
                        copies.entry(known.number).or_insert_with(|| {
                            let entry = Entry { value: value.clone(), state: Arc::clone(state), key: key.clone() };
                            (known.hash, entry)
                        });
                    }
                }
            });
            let mut writer = self.writer();
            let there: Vec<u64> = self.readers.through(|map| map.keys().map(|known| known.number).collect());
            if there.iter().any(|number| !copies.contains_key(number)) {
                continue;
            }
            let room = (2 * there.len()).max(self.least);
            let (mut handle, first) = build(room);
            for number in there {
                let Some((hash, entry)) = copies.remove(&number) else { continue };
                let key = Some(entry.key.clone());
                handle.insert(Numbered { hash, number, key }, Stored { entry: Some(entry), number });
            }
            // What is inserted before the first publish goes into one copy; the second publish makes the other.
            handle.publish();
            handle.publish();
            // What the write before this has left to do in the old tables.
            let mut let_go = writer.publish();
            let mut readers = self.readers.replace(first);
            // No write comes before all that read the old tables have left; whatever else is read is in the new ones.
            let bin = bin::open();
            drop(mem::replace(&mut writer.handle, handle));
            let_go.extend(bin.close());
            readers.extend(self.readers.replaced());
            self.room.store(room, Ordering::Relaxed);
            drop(writer);
            drop((let_go, readers));
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Barrier;
    use std::thread;

    use registry_core::{Backend, Batch, Shard, ReadRequest};

    use super::super::Evmap;

    /// The instant that the laws cannot wait for: the old tables are gone for all but those who are in them.
    #[test]
    fn reads_nest_while_the_tables_are_replaced() {
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
                    // Entering by the old handle is over.
                    while shard.readers.own().borrow().enter().is_some() {
                        thread::yield_now();
                    }
                    let nested = shard.with(1, b"key", |_, (), inner| (read(), *inner));
                    assert_eq!(nested, Some((Some(1), 1)));
                    let mut shown = Vec::new();
                    let wanted = ReadRequest { shard: &shard, hash: 1, key: b"key" };
                    Shard::with_each(&[wanted; 20], |first, batch: &Batch<'_, &str, (), u64>| {
                        assert_eq!(first, shown.len());
                        shown.extend(batch.iter().flatten().map(|(_, (), value)| **value));
                    });
                    assert_eq!(shown, [1; 20]);
                    shard.for_each(|_, (), value| {
                        assert_eq!(value, outer);
                        ControlFlow::Continue(())
                    });
                    // A first read does not wait either.
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
