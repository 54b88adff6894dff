//! Tables that scroll within themselves, so that the page never does sideways.

use maud::{Markup, html};

/// A cell.
pub(super) enum Cell {
    /// A name, a setting.
    Text(String),
    /// A figure, which stands to the right.
    Figure(String),
    /// A sentence, which may take several lines.
    Words(String),
    /// A verdict, in the colour of its class.
    Verdict(&'static str, String),
}

/// A table whose first column names the rows.
pub(super) fn table(caption: &str, head: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> Markup {
    let rows: Vec<Vec<Cell>> = rows.into_iter().collect();
    let is_figure = |column: usize| rows.first().is_some_and(|row| matches!(row.get(column), Some(Cell::Figure(_))));
    html! {
        div.scroll tabindex="0" {
            table {
                @if !caption.is_empty() { caption { (caption) } }
                thead { tr { @for (n, name) in head.iter().enumerate() {
                    th scope="col" class=[is_figure(n).then_some("n")] { (name) }
                } } }
                tbody { @for row in &rows { tr { @for (n, cell) in row.iter().enumerate() { (cell.show(n == 0)) } } } }
            }
        }
    }
}

impl Cell {
    fn show(&self, names_the_row: bool) -> Markup {
        match self {
            Self::Text(text) if names_the_row => html! { th scope="row" { (text) } },
            Self::Text(text) => html! { td { (text) } },
            Self::Figure(text) => html! { td.n { (text) } },
            Self::Words(text) => html! { td.words { (text) } },
            Self::Verdict(class, text) => html! { td class=(class) { (text) } },
        }
    }
}

/// A name in a cell.
pub(super) fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

/// A figure in a cell.
pub(super) fn figure(text: impl Into<String>) -> Cell {
    Cell::Figure(text.into())
}

/// A figure in a cell, or nothing where there is none.
pub(super) fn perhaps(text: Option<String>) -> Cell {
    Cell::Figure(text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_cells_is_escaped_and_figures_stand_to_the_right() {
        let row =
            vec![text("<b>"), figure("1"), Cell::Words("a & b".to_owned()), Cell::Verdict("holds", "yes".to_owned())];
        let table = table("of \"it\"", &["who", "how many", "why", "whether"], [row]).into_string();
        for part in [
            "<th scope=\"row\">&lt;b&gt;</th>",
            "<th scope=\"col\" class=\"n\">how many</th>",
            "<td class=\"n\">1</td>",
            "a &amp; b",
            "<td class=\"holds\">yes</td>",
            "of &quot;it&quot;",
        ] {
            assert!(table.contains(part), "no {part} in {table}");
        }
    }
}
