//! Bytes of an entry and of a binding, without mailboxes.
//!
//! Ids and mailboxes are made before the allocator is read, and every entry gets a clone of an existing mailbox, so
//! only the tables, records and one pointer are counted. Tables grow as they are filled, on both sides, as for a user
//! without a known capacity. The bytes are those asked of the allocator, which rounds them up. One subject exists at a
//! time, and the program is run once for each backend.

use anyhow::Result;

use crate::choose;
use crate::fixture::{Counts, Fixture};
use crate::record::{Line, Memory, Point, Ratio};
use crate::registry::Layout;
use crate::spread::Spread;

/// The number of transports bound to one server when bindings are counted.
const TRANSPORTS_PER_SERVER: usize = 10;

/// The seed of the ids.
const SEED: u64 = 1;

/// Measures the registry and the bare map. `live` returns the number of bytes allocated at present.
///
/// # Errors
///
/// If there is no such backend, or the number of shards is invalid.
pub fn measure(backend: &str, shards: usize, entries: usize, live: &dyn Fn() -> usize) -> Result<Vec<Memory>> {
    let fixture = Fixture::new(Counts { servers: entries, absent_ids: 0, claims: 0, transports: 0 }, SEED);
    let layout = Layout { shards, servers: 0, transports: 0 };
    let memory = |subject: &str, shards, bytes_per_entry, bytes_per_binding| Memory {
        subject: subject.to_owned(),
        backend: backend.to_owned(),
        shards,
        entries,
        bytes_per_entry,
        bytes_per_binding,
    };
    let per_entry = |bytes: usize| bytes as f64 / entries as f64;

    let before = live();
    let registry = choose::unchecked_registry(backend, layout)?;
    registry.fill(&fixture);
    let bytes_per_entry = per_entry(live().saturating_sub(before));
    drop(registry);
    let mut all = vec![memory("registry", shards, bytes_per_entry, Some(per_binding(backend, layout, entries, live)?))];

    let before = live();
    if let Some(bare) = choose::bare(backend, layout) {
        bare.fill(&fixture);
        all.push(memory("bare", 1, per_entry(live().saturating_sub(before)), None));
    }
    Ok(all)
}

/// Returns the lines to print: the bytes, and for a curve also its points and the ratio `memory_vs_bare`.
#[must_use]
pub fn lines(all: Vec<Memory>, curve: bool) -> Vec<Line> {
    let figure = |figure| Spread { median: figure, min: figure, max: figure };
    let mut lines: Vec<Line> = Vec::new();
    if let (true, [registry, bare]) = (curve, &all[..]) {
        lines.push(Line::Ratio(Ratio {
            name: "memory_vs_bare".to_owned(),
            operation: "memory".to_owned(),
            backend: registry.backend.clone(),
            shards: registry.shards,
            threads: 1,
            entries: registry.entries,
            spread: figure(registry.bytes_per_entry / bare.bytes_per_entry),
            q1: None,
            q3: None,
            subject_ns: None,
            bare_ns: None,
            rounds: 1,
            operations: None,
            seed: SEED,
        }));
    }
    lines.extend(all.iter().filter(|_| curve).map(|memory| {
        Line::Point(Point {
            along: "entries".to_owned(),
            at: memory.entries,
            figure: "memory".to_owned(),
            subject: memory.subject.clone(),
            backend: memory.backend.clone(),
            shards: memory.shards,
            threads: 1,
            entries: memory.entries,
            rounds: 1,
            seed: SEED,
            spread: figure(memory.bytes_per_entry),
        })
    }));
    lines.extend(all.into_iter().map(Line::Memory));
    lines
}

fn per_binding(backend: &str, layout: Layout, transports: usize, live: &dyn Fn() -> usize) -> Result<f64> {
    let servers = transports.div_ceil(TRANSPORTS_PER_SERVER);
    let fixture = Fixture::new(Counts { servers, absent_ids: 0, claims: 0, transports }, 2);
    let registry = choose::unchecked_registry(backend, layout)?;
    registry.fill(&fixture);
    let before = live();
    registry.bind_all(&fixture);
    Ok(live().saturating_sub(before) as f64 / transports as f64)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_curve_has_a_ratio_and_points() {
        let memory = |subject: &str, shards, bytes_per_entry| Memory {
            subject: subject.to_owned(),
            backend: "papaya".to_owned(),
            shards,
            entries: 1_000,
            bytes_per_entry,
            bytes_per_binding: None,
        };
        let both = vec![memory("registry", 64, 150.0), memory("bare", 1, 100.0)];
        let lines = super::lines(both.clone(), true);
        let [Line::Ratio(ratio), Line::Point(ours), Line::Point(bare), Line::Memory(first), Line::Memory(second)] =
            &lines[..]
        else {
            panic!("{lines:?}")
        };
        assert_eq!((ratio.name.as_str(), ratio.spread.median, ratio.rounds), ("memory_vs_bare", 1.5, 1));
        assert_eq!((ours.at, ours.shards, ours.spread.median), (1_000, 64, 150.0));
        assert_eq!((bare.subject.as_str(), bare.spread.median), ("bare", 100.0));
        assert_eq!([first, second], [&both[0], &both[1]]);
        assert_eq!(super::lines(both[..1].to_vec(), true).len(), 2, "nothing to compare with");
        assert_eq!(super::lines(both, false).len(), 2, "no curve");
    }

    #[test]
    fn bytes_allocated_before_are_not_counted() {
        // An allocator that reports 1,000 bytes more each time.
        let live = Cell::new(5_000_000);
        let all = measure("papaya", 4, 100, &|| {
            live.set(live.get() + 1_000);
            live.get()
        });
        let bytes: Vec<_> =
            all.unwrap().iter().map(|memory| (memory.bytes_per_entry, memory.bytes_per_binding)).collect();
        assert_eq!(bytes, [(10.0, Some(10.0)), (10.0, None)]);
    }
}
