//! The map of the shards: for each a bar, a figure, and a mark if it is in alarm.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::top::state::State;
use crate::top::view::block;

/// Room for the shortest bar, four characters, and a mark.
const CELL: usize = 6;

/// Room for the number of the first shard of a row.
const LABEL: usize = 4;

/// A bar that stands, where there is room for no more.
const STANDING: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The end of a bar that lies.
const LYING: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// From the least to the most.
const COLORS: [Color; 4] = [Color::Blue, Color::Cyan, Color::Green, Color::Yellow];

/// Draws the map.
pub(crate) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let legend = Line::from(" ! is in alarm ").right_aligned();
    let block = block(format!(" Shards: {} ", state.metric.name())).title_top(legend);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let mut lines = if state.stats.is_empty() { vec![Line::from(" measuring")] } else { rows(inner, state) };
    if !state.stats.is_empty() {
        lines.resize(usize::from(inner.height.saturating_sub(1)).max(lines.len()), Line::default());
        lines.push(summary(state));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn rows(inner: Rect, state: &State) -> Vec<Line<'static>> {
    let room = usize::from(inner.width).saturating_sub(LABEL);
    // A power of two, so that a shard is found by its number.
    let columns = if room >= 16 * CELL { 16 } else { 8 };
    let bar = (room / columns).max(CELL) - CELL + 1;
    let most = (0..state.stats.len()).map(|shard| state.measured(shard)).fold(0.0, f64::max);
    let shards: Vec<usize> = (0..state.stats.len()).collect();
    let row = |row: &[usize]| {
        let label = Span::styled(format!("{:>3} ", row[0]), Style::new().fg(Color::DarkGray));
        let cells = row.iter().flat_map(|&shard| cell(state, shard, most, bar));
        Line::from_iter(std::iter::once(label).chain(cells))
    };
    shards.chunks(columns).map(row).collect()
}

fn cell(state: &State, shard: usize, most: f64, width: usize) -> [Span<'static>; 2] {
    let value = state.measured(shard);
    let level = if most > 0.0 { value / most } else { 0.0 };
    let alarm = state.stats[shard].alarm;
    let color = if alarm { Color::Red } else { COLORS[step(level, COLORS.len())] };
    let bar = if width == 1 { STANDING[step(level, STANDING.len())].to_owned() } else { lying(level, width) };
    let text = format!("{:>4}{}", state.metric.figure(value), if alarm { '!' } else { ' ' });
    let style = if alarm { Style::new().fg(Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() };
    [Span::styled(bar, Style::new().fg(color)), Span::styled(text, style)]
}

/// Which of so many steps a level from 0 to 1 is on.
fn step(level: f64, steps: usize) -> usize {
    ((level * steps as f64) as usize).min(steps - 1)
}

fn lying(level: f64, width: usize) -> String {
    let eighths = (level * (width * 8) as f64).round() as usize;
    let (full, rest) = (eighths / 8, LYING[eighths % 8]);
    let bar = "█".repeat(full) + rest;
    let space = width.saturating_sub(bar.chars().count());
    bar + &" ".repeat(space)
}

fn summary(state: &State) -> Line<'static> {
    let mut values: Vec<(f64, usize)> = (0..state.stats.len()).map(|shard| (state.measured(shard), shard)).collect();
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (least, median) = (values[0].0, values[values.len() / 2].0);
    let (most, shard) = values[values.len() - 1];
    let [least, median, most] = [least, median, most].map(|value| state.metric.figure(value));
    Line::from(format!(" least {least}  median {median}  most {most}, in shard {shard}"))
}
