//! Tables and paragraphs as text, at most 120 characters wide.

use comfy_table::{CellAlignment, ContentArrangement, presets};

use crate::tables::{Cell, Table};

/// The greatest width of a line in characters.
pub(super) const WIDTH: usize = 120;

/// Notes that rows of several tables refer to by number.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<String>);

impl Notes {
    /// Returns the marks of some notes, and adds those that are new.
    fn marks(&mut self, notes: &[String]) -> String {
        let mark = |note: &String| {
            let place = self.0.iter().position(|known| known == note).unwrap_or_else(|| {
                self.0.push(note.clone());
                self.0.len() - 1
            });
            format!("[{}]", place + 1)
        };
        notes.iter().map(mark).collect::<Vec<_>>().join(" ")
    }

    /// Renders all notes with their numbers.
    pub(super) fn render(&self) -> String {
        self.0.iter().enumerate().map(|(n, note)| wrap(&format!("[{}] {note}", n + 1))).collect()
    }
}

/// Renders a table below its title, and an empty line.
pub(super) fn render(table: &Table, notes: &mut Notes) -> String {
    let mut text = comfy_table::Table::new();
    text.load_style(presets::ASCII_MARKDOWN).set_header(&table.columns);
    text.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH as u16);
    for row in &table.rows {
        text.add_row(row.iter().map(|cell| match cell {
            Cell::Text(text) | Cell::Figure(text) | Cell::Prose(text) | Cell::Verdict(_, text) => text.clone(),
            Cell::Notes(texts) => notes.marks(texts),
        }));
    }
    for (n, column) in text.column_iter_mut().enumerate() {
        if table.is_figure(n) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}{text}\n\n", wrap(&format!("{}:", table.title)))
}

/// Breaks a paragraph into lines of at most [`WIDTH`] characters.
pub(super) fn wrap(paragraph: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{figure, text};

    #[test]
    fn every_line_fits_the_width() {
        let long = "word ".repeat(60);
        let row = || vec![text("a name"), figure("1"), Cell::Prose(long.clone()), Cell::Notes(vec![long.clone()])];
        let mut notes = Notes::default();
        let table = render(&Table::new(&*long, &["name", "figure", "prose", "notes"], [row(), row()]), &mut notes);
        let all = table + &notes.render();
        assert!(all.lines().all(|line| line.chars().count() <= WIDTH), "{all}");
        assert_eq!(all.matches("[1]").count(), 3, "a note is printed once: {all}");
    }

    #[test]
    fn paragraphs_are_wrapped_between_words() {
        assert_eq!(wrap("one  two\nthree"), "one two three\n");
        let (half, rest) = ("x".repeat(60), "y".repeat(60));
        assert_eq!(wrap(&format!("{half} {rest}")), format!("{half}\n{rest}\n"));
    }
}
