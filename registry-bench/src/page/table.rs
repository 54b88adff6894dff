//! Tables as HTML; each scrolls by itself, so that the page never scrolls sideways.

use maud::{Markup, html};

use crate::tables::{Cell, Table};
use crate::target::Verdict;

/// Renders a table with its title as the caption.
pub(super) fn table(table: &Table) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                caption { (table.title) }
                thead { tr { @for (n, name) in table.columns.iter().enumerate() {
                    th scope="col" class=[table.is_figure(n).then_some("n")] { (name) }
                } } }
                tbody { @for row in &table.rows { tr { @for (n, cell) in row.iter().enumerate() { (show(cell, n == 0)) } } } }
            }
        }
    }
}

fn show(cell: &Cell, names_the_row: bool) -> Markup {
    match cell {
        Cell::Text(text) if names_the_row => html! { th scope="row" { (text) } },
        Cell::Text(text) => html! { td { (text) } },
        Cell::Figure(text) => html! { td.n { (text) } },
        Cell::Prose(text) => html! { td.words { (text) } },
        Cell::Notes(notes) => html! { td.words { (notes.join("; ")) } },
        Cell::Verdict(verdict, text) => html! { td class=(class(*verdict)) { (text) } },
    }
}

fn class(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        None => "note",
        Some(Verdict::Holds) => "holds",
        Some(Verdict::Undecided) => "undecided",
        Some(Verdict::Misses) => "misses",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{figure, text};

    #[test]
    fn cells_are_escaped_and_figures_are_aligned_to_the_right() {
        let row = vec![
            text("<b>"),
            figure("1"),
            Cell::Prose("a & b".to_owned()),
            Cell::Verdict(Some(Verdict::Holds), "yes".to_owned()),
            Cell::Notes(vec!["one".to_owned(), "two".to_owned()]),
        ];
        let columns = ["who", "how many", "why", "whether", "notes"];
        let table = super::table(&Table::new("of \"it\"", &columns, [row])).into_string();
        for part in [
            "<th scope=\"row\">&lt;b&gt;</th>",
            "<th scope=\"col\" class=\"n\">how many</th>",
            "<td class=\"n\">1</td>",
            "a &amp; b",
            "<td class=\"holds\">yes</td>",
            "of &quot;it&quot;",
            "one; two",
        ] {
            assert!(table.contains(part), "no {part} in {table}");
        }
    }
}
