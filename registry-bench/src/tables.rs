//! The tables of a document, described once: title, columns, rows and notes, rendered by [`report`](crate::report) for
//! the terminal and by [`page`](crate::page) as HTML.

use crate::target::Verdict;

pub(crate) mod best_backend;
pub(crate) mod comparison;
pub(crate) mod curves;
pub(crate) mod memory;
pub(crate) mod peers;
pub(crate) mod ratios;
pub(crate) mod tails;
pub(crate) mod targets;
pub(crate) mod workloads;

/// A table whose first column names the rows.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A name or a setting.
    Text(String),
    /// A figure, aligned to the right.
    Figure(String),
    /// A sentence, which may be wrapped.
    Prose(String),
    /// Sentences that many rows share; the terminal prints them once, below the tables.
    Notes(Vec<String>),
    /// Whether a target holds; `None` if it was not measured.
    Verdict(Option<Verdict>, String),
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { title: title.into(), columns, rows: rows.into_iter().collect() }
    }

    /// Returns whether a column holds figures.
    pub(crate) fn is_figure(&self, column: usize) -> bool {
        self.rows.first().is_some_and(|row| matches!(row.get(column), Some(Cell::Figure(_))))
    }
}

/// Returns a cell with a name.
pub(crate) fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

/// Returns a cell with a figure.
pub(crate) fn figure(text: impl Into<String>) -> Cell {
    Cell::Figure(text.into())
}

/// Returns a cell with a figure, empty if there is none.
pub(crate) fn optional(text: Option<String>) -> Cell {
    Cell::Figure(text.unwrap_or_default())
}

/// Returns the distinct values in the order of their first appearance.
pub(crate) fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}
