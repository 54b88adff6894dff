//! Single operations: time on the registry over time on what it is compared with.

use super::{Table, figure, optional, text};
use crate::record::{Document, Ratio};
use crate::{target, units};

/// Returns the ratios of single operations, which are those with times.
pub(crate) fn of_operations(document: &Document) -> Vec<&Ratio> {
    document.ratios.iter().filter(|ratio| ratio.subject_ns.is_some()).collect()
}

/// Returns the table; `None` if no ratio was measured.
pub(crate) fn table(document: &Document) -> Option<Table> {
    const COLUMNS: [&str; 8] =
        ["ratio", "backend", "entries", "threads", "median", "range", "registry", "compared with"];
    let ratios = of_operations(document);
    let row = |ratio: &Ratio| {
        vec![
            text(target::display_name(ratio)),
            text(ratio.backend.as_str()),
            figure(units::count(ratio.entries)),
            figure(ratio.threads.to_string()),
            figure(units::ratio(ratio.spread.median)),
            figure(units::range(&ratio.spread, units::ratio)),
            optional(ratio.subject_ns.map(units::time)),
            optional(ratio.bare_ns.map(units::time)),
        ]
    };
    (!ratios.is_empty()).then(|| {
        Table::new(
            "Time of a single operation on the registry over that on what it is compared with, of all rounds",
            &COLUMNS,
            ratios.into_iter().map(row),
        )
    })
}
