//! Curves: a table for everything that grows, with a column for each size.

use super::{Cell, Table, distinct, figure, optional, text};
use crate::record::{Document, Point};
use crate::units;

/// Returns a table for entries, shards and tasks each, as far as they were measured.
pub(crate) fn tables(document: &Document) -> Vec<Table> {
    distinct(document.points.iter().map(|point| point.along.as_str()))
        .into_iter()
        .map(|along| table(document, along))
        .collect()
}

fn table(document: &Document, along: &str) -> Table {
    let points: Vec<&Point> = document.points.iter().filter(|point| point.along == along).collect();
    let mut sizes: Vec<usize> = points.iter().map(|point| point.at).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let header: Vec<String> = sizes.iter().map(|&size| units::count(size)).collect();
    let columns: Vec<&str> =
        ["figure", "backend", "subject", "threads"].into_iter().chain(header.iter().map(String::as_str)).collect();
    let row = |line: &Point| -> Vec<Cell> {
        let cell = |&size: &usize| {
            let point = points.iter().find(|point| point.at == size && is_same_line(point, line));
            optional(point.map(|point| unit(&point.figure)(point.spread.median)))
        };
        let mut cells = vec![
            text(line.figure.as_str()),
            text(line.backend.as_str()),
            text(line.subject.as_str()),
            figure(line.threads.to_string()),
        ];
        cells.extend(sizes.iter().map(cell));
        cells
    };
    let title = format!("Cost as {along} grow: medians per operation and thread; memory per entry");
    Table::new(title, &columns, lines(&points).into_iter().map(row))
}

/// Returns the unit of a figure.
pub(crate) fn unit(figure: &str) -> fn(f64) -> String {
    if figure == "memory" { units::bytes } else { units::time }
}

/// Returns the first point of each line in the order of appearance, grouped by figure.
fn lines<'a>(points: &[&'a Point]) -> Vec<&'a Point> {
    let mut lines: Vec<&Point> = Vec::new();
    for point in points {
        if !lines.iter().any(|line| is_same_line(point, line)) {
            lines.push(point);
        }
    }
    let place = |figure: &str| ["lookup", "route", "register", "memory"].iter().position(|&name| name == figure);
    lines.sort_by_key(|line| place(&line.figure));
    lines
}

/// Returns whether two points are of one line. The number of shards tells lines apart unless it is what grows.
fn is_same_line(a: &Point, b: &Point) -> bool {
    (&a.figure, &a.backend, &a.subject, a.threads) == (&b.figure, &b.backend, &b.subject, b.threads)
        && (a.along == "shards" || a.shards == b.shards)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Host, Line};
    use crate::spread::Spread;

    #[test]
    fn a_curve_is_a_row() {
        let point = |along: &str, figure: &str, subject: &str, at, median| {
            Line::Point(Point {
                along: along.to_owned(),
                at,
                figure: figure.to_owned(),
                subject: subject.to_owned(),
                backend: "a".to_owned(),
                shards: if along == "shards" { at } else { 64 },
                threads: 1,
                entries: 100,
                rounds: 3,
                seed: 1,
                spread: Spread { median, min: median, max: median },
            })
        };
        let lines = vec![
            point("entries", "memory", "bare", 1_000, 88.0),
            point("entries", "lookup", "registry", 1_000, 20.04),
            point("entries", "lookup", "registry", 10_000, 30.0),
            point("entries", "lookup", "limit", 10_000, 12.0),
            point("shards", "lookup", "registry", 1, 25.0),
            point("shards", "lookup", "registry", 64, 26.0),
        ];
        let cell = |cell: &Cell| match cell {
            Cell::Text(text) | Cell::Figure(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        let mut rows = Vec::new();
        for table in tables(&Document::of(Host::default(), lines)) {
            rows.push(table.columns.join("|"));
            rows.extend(table.rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join("|")));
        }
        let expected = [
            "figure|backend|subject|threads|1,000|10,000",
            "lookup|a|registry|1|20 ns|30 ns",
            "lookup|a|limit|1||12 ns",
            "memory|a|bare|1|88 B|",
            "figure|backend|subject|threads|1|64",
            "lookup|a|registry|1|25 ns|26 ns",
        ];
        assert_eq!(rows, expected);
        assert!(tables(&Document::of(Host::default(), Vec::new())).is_empty());
    }
}
