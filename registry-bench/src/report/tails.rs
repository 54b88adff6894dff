//! Tails as a table.

use super::{align, rate, table, time};
use crate::record::{Document, Percentiles};

/// All tails of a document; nothing if it has none.
pub(super) fn tails(document: &Document) -> String {
    if document.tails.is_empty() {
        return String::new();
    }
    let mut table = table(&[
        "scenario",
        "of",
        "backend",
        "subject",
        "threads",
        "tasks",
        "offered/s",
        "done/s",
        "service p50",
        "p99",
        "p99.9",
        "max",
        "response p50",
        "p99",
        "p99.9",
        "max",
    ]);
    for tail in &document.tails {
        let of = |percentiles: Percentiles| {
            let Percentiles { p50_ns, p99_ns, p999_ns, max_ns, .. } = percentiles;
            [p50_ns, p99_ns, p999_ns, max_ns].map(time)
        };
        let mut row = vec![
            tail.scenario.clone(),
            tail.operation.clone(),
            tail.backend.clone(),
            tail.subject.clone(),
            tail.threads.to_string(),
            tail.tasks.to_string(),
            rate(tail.offered_per_s),
            rate(tail.achieved_per_s),
        ];
        row.extend(of(tail.service));
        row.extend(of(tail.response));
        table.add_row(row);
    }
    format!(
        "{}\nOpen-loop load: service is from the beginning of an operation to its end, response from when it was due;\n\
         the clock is read twice for each operation, and nothing is subtracted for that.\n\n",
        align(table, 4)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Host, Line, Tail};

    #[test]
    fn service_and_response_stand_side_by_side() {
        let tail = Tail {
            scenario: "mixed".to_owned(),
            operation: "all".to_owned(),
            subject: "registry".to_owned(),
            backend: "papaya".to_owned(),
            shards: 64,
            threads: 1,
            tasks: 100_000,
            entries: 100_000,
            saturated_per_s: 3e6,
            offered_per_s: 1.5e6,
            achieved_per_s: 1.49e6,
            seconds: 5.0,
            timed: 7_000_000,
            service: Percentiles { p50_ns: 150, p99_ns: 1_200, p999_ns: 2_500, max_ns: 10_000, ..Default::default() },
            response: Percentiles { p50_ns: 180, p99_ns: 3_300, p999_ns: 8_000, max_ns: 20_000, ..Default::default() },
            seed: 1,
        };
        let text = tails(&Document::of(Host::default(), vec![Line::Tail(tail)]));
        for cell in ["1.50M", "1.49M", "150 ns", "1.20 us", "2.50 us", "10.00 us", "3.30 us", "20.00 us"] {
            assert!(text.contains(cell), "no {cell:?} in\n{text}");
        }
        assert_eq!(tails(&Document::of(Host::default(), Vec::new())), "");
    }
}
