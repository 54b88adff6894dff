//! The shard map: a bar, a value, and an alarm mark for each shard.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::top::state::State;
use crate::top::view::block;

/// The width of the shortest bar, four characters, and a mark.
const CELL_WIDTH: usize = 6;

/// The width of the index of the first shard of a row.
const LABEL_WIDTH: usize = 4;

/// Vertical bars, one character wide.
const VERTICAL: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The end of a horizontal bar.
const HORIZONTAL: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// From the lowest value to the highest.
const COLORS: [Color; 4] = [Color::Blue, Color::Cyan, Color::Green, Color::Yellow];

/// Draws the shard map.
pub(crate) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let legend = Line::from(" ! in alarm ").right_aligned();
    let block = block(format!(" Shards: {} ", state.metric.name())).title_top(legend);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let mut lines = if state.stats.is_empty() { vec![Line::from(" waiting for data")] } else { rows(inner, state) };
    if !state.stats.is_empty() {
        lines.resize(usize::from(inner.height.saturating_sub(1)).max(lines.len()), Line::default());
        lines.push(summary(state));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn rows(inner: Rect, state: &State) -> Vec<Line<'static>> {
    let available = usize::from(inner.width).saturating_sub(LABEL_WIDTH);
    // A power of two, so that a shard is easily found by its index.
    let columns = if available >= 16 * CELL_WIDTH { 16 } else { 8 };
    let bar = (available / columns).max(CELL_WIDTH) - CELL_WIDTH + 1;
    let max = (0..state.stats.len()).map(|shard| state.metric_of(shard)).fold(0.0, f64::max);
    let shards: Vec<usize> = (0..state.stats.len()).collect();
    let row = |row: &[usize]| {
        let label = Span::styled(format!("{:>3} ", row[0]), Style::new().fg(Color::DarkGray));
        let cells = row.iter().flat_map(|&shard| cell(state, shard, max, bar));
        Line::from_iter(std::iter::once(label).chain(cells))
    };
    shards.chunks(columns).map(row).collect()
}

fn cell(state: &State, shard: usize, max: f64, width: usize) -> [Span<'static>; 2] {
    let value = state.metric_of(shard);
    let level = if max > 0.0 { value / max } else { 0.0 };
    let alarm = state.stats[shard].alarm;
    let color = if alarm { Color::Red } else { COLORS[step(level, COLORS.len())] };
    let bar = if width == 1 { VERTICAL[step(level, VERTICAL.len())].to_owned() } else { horizontal(level, width) };
    let text = format!("{:>4}{}", state.metric.format(value), if alarm { '!' } else { ' ' });
    let style = if alarm { Style::new().fg(Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() };
    [Span::styled(bar, Style::new().fg(color)), Span::styled(text, style)]
}

/// Returns the index of a level from 0 to 1 on a scale of `steps`.
fn step(level: f64, steps: usize) -> usize {
    ((level * steps as f64) as usize).min(steps - 1)
}

fn horizontal(level: f64, width: usize) -> String {
    let eighths = (level * (width * 8) as f64).round() as usize;
    let (full, rest) = (eighths / 8, HORIZONTAL[eighths % 8]);
    let bar = "█".repeat(full) + rest;
    let space = width.saturating_sub(bar.chars().count());
    bar + &" ".repeat(space)
}

fn summary(state: &State) -> Line<'static> {
    let mut values: Vec<(f64, usize)> = (0..state.stats.len()).map(|shard| (state.metric_of(shard), shard)).collect();
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (min, median) = (values[0].0, values[values.len() / 2].0);
    let (max, shard) = values[values.len() - 1];
    let [min, median, max] = [min, median, max].map(|value| state.metric.format(value));
    Line::from(format!(" min {min}  median {median}  max {max}, in shard {shard}"))
}
