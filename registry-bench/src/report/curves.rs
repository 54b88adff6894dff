//! Curves as tables: one for everything that grows, with a column for each size.

use std::fmt::Write;

use super::{align, table};
use crate::record::{Document, Point};

/// All curves of a document; nothing if it has none.
pub(super) fn curves(document: &Document) -> String {
    let mut text = String::new();
    for along in ["entries", "shards", "tasks"] {
        let points: Vec<&Point> = document.points.iter().filter(|point| point.along == along).collect();
        if points.is_empty() {
            continue;
        }
        let sizes = sizes(&points);
        let header: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        let mut columns = vec!["of", "backend", "subject", "threads"];
        columns.extend(header.iter().map(String::as_str));
        let mut table = table(&columns);
        for line in lines(&points) {
            let cell = |&size: &usize| {
                let there = points.iter().find(|point| point.at == size && same_line(point, line));
                there.map_or_else(String::new, |point| format!("{:.1}", point.spread.median))
            };
            let mut row =
                vec![line.figure.clone(), line.backend.clone(), line.subject.clone(), line.threads.to_string()];
            row.extend(sizes.iter().map(cell));
            table.add_row(row);
        }
        let _ = writeln!(text, "{}", align(table, 3));
        let _ = writeln!(
            text,
            "Along {along}: the median of rounds in turns, in nanoseconds per operation and thread; memory in bytes per \
             entry.\n",
        );
    }
    text
}

fn sizes(points: &[&Point]) -> Vec<usize> {
    let mut sizes: Vec<usize> = points.iter().map(|point| point.at).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The first point of each line, in the order of their appearance, figures together.
fn lines<'a>(points: &[&'a Point]) -> Vec<&'a Point> {
    let mut lines: Vec<&Point> = Vec::new();
    for point in points {
        if !lines.iter().any(|line| same_line(point, line)) {
            lines.push(point);
        }
    }
    let place = |figure: &str| ["lookup", "route", "register", "memory"].iter().position(|&name| name == figure);
    lines.sort_by_key(|line| place(&line.figure));
    lines
}

/// Along shards a registry's number of them is what grows, and elsewhere it tells lines apart.
fn same_line(a: &Point, b: &Point) -> bool {
    (&a.figure, &a.backend, &a.subject, a.threads) == (&b.figure, &b.backend, &b.subject, b.threads)
        && (a.along == "shards" || a.shards == b.shards)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Host, Line};
    use crate::spread::Spread;

    #[test]
    fn a_curve_is_a_line_of_the_table() {
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
        let text = curves(&Document::of(Host::default(), lines));
        let cells = |line: &str| -> Vec<String> {
            line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).map(ToOwned::to_owned).collect()
        };
        let rows: Vec<Vec<String>> = text.lines().filter(|line| line.starts_with("| ")).map(cells).collect();
        let expected = [
            "of backend subject threads 1000 10000",
            "lookup a registry 1 20.0 30.0",
            "lookup a limit 1 12.0",
            "memory a bare 1 88.0",
            "of backend subject threads 1 64",
            "lookup a registry 1 25.0 26.0",
        ];
        let rows: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
        assert_eq!(rows, expected, "{text}");
        assert_eq!(curves(&Document::of(Host::default(), Vec::new())), "");
    }
}
