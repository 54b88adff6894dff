//! Bytes of an entry, of a binding and of an idle mailbox.

use super::{Table, figure, optional, text};
use crate::record::{Document, Idle, Memory};
use crate::units;

/// Returns the bytes of an entry beside those of the bare map; `None` if none were measured.
pub(crate) fn entries(document: &Document) -> Option<Table> {
    let ours = of_registry(document);
    let row = |bytes: &Memory| {
        let bare = of_bare(document, bytes);
        vec![
            text(bytes.backend.as_str()),
            figure(units::count(bytes.entries)),
            figure(bytes.shards.to_string()),
            figure(units::bytes(bytes.bytes_per_entry)),
            optional(bare.map(units::bytes)),
            optional(bare.map(|bare| units::ratio(bytes.bytes_per_entry / bare))),
            optional(bytes.bytes_per_binding.map(units::bytes)),
        ]
    };
    (!ours.is_empty()).then(|| {
        Table::new(
            "Bytes of an entry without its mailbox, and of a binding",
            &["backend", "entries", "shards", "registry", "bare map", "× bare", "a binding"],
            ours.into_iter().map(row),
        )
    })
}

/// Returns the memory of the registry.
pub(crate) fn of_registry(document: &Document) -> Vec<&Memory> {
    document.memory.iter().filter(|bytes| bytes.subject == "registry").collect()
}

/// Returns the bytes of an entry of the bare map of the same backend and size.
pub(crate) fn of_bare(document: &Document, ours: &Memory) -> Option<f64> {
    let is_same =
        |bare: &&Memory| bare.subject == "bare" && (&bare.backend, bare.entries) == (&ours.backend, ours.entries);
    document.memory.iter().find(is_same).map(|bare| bare.bytes_per_entry)
}

/// Returns the bytes of an idle mailbox; `None` if none were measured.
pub(crate) fn mailboxes(document: &Document) -> Option<Table> {
    const COLUMNS: [&str; 7] =
        ["mailbox", "capacity", "message", "unused", "used", "receiver waits", "send and receive"];
    let row = |idle: &Idle| {
        vec![
            text(idle.mailbox.as_str()),
            figure(units::count(idle.capacity)),
            figure(units::bytes(idle.message_bytes as f64)),
            figure(units::bytes(idle.empty_bytes)),
            figure(units::bytes(idle.used_bytes)),
            optional(idle.waiting_bytes.map(units::bytes)),
            optional(idle.send_ns.map(units::time)),
        ]
    };
    (!document.idle.is_empty()).then(|| {
        Table::new(
            "Bytes of an idle mailbox, both ends included: never used, after one message, and while its receiver waits",
            &COLUMNS,
            document.idle.iter().map(row),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Host, Line};

    #[test]
    fn figures_that_were_not_measured_are_empty() {
        let idle = Idle {
            mailbox: "tokio 1.2.3".to_owned(),
            capacity: 16,
            message_bytes: 48,
            mailboxes: 100,
            empty_bytes: 2_096.0,
            used_bytes: 2_097.4,
            waiting_bytes: None,
            send_ns: Some(99.96),
        };
        let table = mailboxes(&Document::of(Host::default(), vec![Line::Idle(idle)])).unwrap();
        let figures = ["16", "48 B", "2096 B", "2097 B", "", "100 ns"].map(figure);
        assert_eq!(table.rows, [[&[text("tokio 1.2.3")][..], &figures].concat()]);
        assert!(mailboxes(&Document::of(Host::default(), Vec::new())).is_none());
    }
}
