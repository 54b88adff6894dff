//! Counts bytes: what an entry and a binding take, mailboxes apart.
//!
//! Ids and mailboxes are made before the first look at the allocator, and every entry gets another sending end of a
//! mailbox that is there already, so what is counted is the registry's own: tables, records, and one pointer.
//! Tables grow as they are filled, on both sides, as they do for whoever does not know the number beforehand.
//! What is counted is what was asked for; an allocator rounds that up.

use anyhow::Result;

use crate::choose;
use crate::record::Memory;
use crate::registry::Layout;
use crate::world::{Counts, World};

/// How many transports are bound to one server when bindings are counted.
const TRANSPORTS_PER_SERVER: usize = 10;

/// Measures the registry and the bare map. `live` is how many bytes are allocated at present.
///
/// # Errors
///
/// If there is no such backend, or the registry does not like the number of shards.
pub fn measure(backend: &str, shards: usize, entries: usize, live: &dyn Fn() -> usize) -> Result<Vec<Memory>> {
    let world = World::new(Counts { servers: entries, strangers: 0, claims: 0, transports: 0 }, 1);
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
    let registry = choose::registry(backend, layout)?;
    registry.fill(&world);
    let bytes_per_entry = per_entry(live().saturating_sub(before));
    drop(registry);
    let mut all = vec![memory("registry", shards, bytes_per_entry, Some(per_binding(backend, layout, entries, live)?))];

    let before = live();
    if let Some(bare) = choose::bare(backend, layout) {
        bare.fill(&world);
        all.push(memory("bare", 1, per_entry(live().saturating_sub(before)), None));
    }
    Ok(all)
}

fn per_binding(backend: &str, layout: Layout, transports: usize, live: &dyn Fn() -> usize) -> Result<f64> {
    let servers = transports.div_ceil(TRANSPORTS_PER_SERVER);
    let world = World::new(Counts { servers, strangers: 0, claims: 0, transports }, 2);
    let registry = choose::registry(backend, layout)?;
    registry.fill(&world);
    let before = live();
    registry.bind_all(&world);
    Ok(live().saturating_sub(before) as f64 / transports as f64)
}
