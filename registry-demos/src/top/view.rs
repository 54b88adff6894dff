//! Renders a state: a pure function of the state and the size of the terminal.

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};
use registry_router::AdmissionState;

use crate::top::controls::Controls;
use crate::top::state::State;
use crate::top::{format, panels, shard_map};

/// The minimum width and height.
const MIN_SIZE: (u16, u16) = (80, 24);

/// The description of the keys in the output of `--help`.
pub const KEYS_HELP: &str = "\
Keys:
  + -   more or fewer load threads
  C c   more or less churn of transports; high churn reaches the limits
  h     every second lookup is for the same id: on or off
  s     slow shards: off, one, or most, which closes admission
  m     metric of the shard map: lookups, p99, entries
  r     reset statistics; alarms and registrations stay
  q     quit; so do Esc and Ctrl-C

For each shard the map shows the value, a bar scaled to the maximum, and `!` if the shard is in alarm. Latencies cover
the last ten seconds, in n(ano), µ (micro) and m(illi)seconds.";

/// Draws a state.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    if area.width < MIN_SIZE.0 || area.height < MIN_SIZE.1 {
        return too_small(frame, area);
    }
    // Rows beyond the minimum show the health changes, if there are at least three.
    let changes = area.height - MIN_SIZE.1;
    let changes = if changes < 3 { 0 } else { changes };
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(11),
        Constraint::Length(5),
        Constraint::Min(5),
        Constraint::Length(changes),
        Constraint::Length(2),
    ]);
    let [title, top, middle, bottom, changed, keys] = rows.areas(area);
    frame.render_widget(title_line(state), title);
    let [shards, throughput] = Layout::horizontal([Constraint::Min(54), Constraint::Length(26)]).areas(top);
    shard_map::draw(frame, shards, state);
    panels::throughput(frame, throughput, state);
    let halves = Layout::horizontal([Constraint::Min(46), Constraint::Length(34)]);
    let [latency, admission] = halves.areas(middle);
    panels::latency(frame, latency, state);
    panels::admission(frame, admission, state);
    let [alarms, hot] = halves.areas(bottom);
    panels::alarms(frame, alarms, state);
    panels::hot(frame, hot, state);
    if changes > 0 {
        panels::changes(frame, changed, state);
    }
    frame.render_widget(keys_lines(&state.controls), keys);
}

/// Renders a state as plain text, without trailing spaces.
///
/// # Errors
///
/// An error of the terminal backend.
pub fn text(state: &State, width: u16, height: u16) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| draw(frame, state))?;
    let buffer = terminal.backend().buffer();
    let line = |row| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    let lines: Vec<String> = (0..height).map(|row| line(row).trim_end().to_owned()).collect();
    Ok(lines.join("\n"))
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let needed = format!(
        "This program needs {} x {}, the terminal has {} x {}.",
        MIN_SIZE.0, MIN_SIZE.1, area.width, area.height
    );
    let lines = vec![Line::from(needed), Line::from("Enlarge the terminal, or press q to quit.")];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
}

fn title_line(state: &State) -> Line<'static> {
    let State { backend, shards, .. } = state;
    let count = |gauge: fn(&registry_router::ShardStats) -> usize| format::grouped(state.sum(gauge));
    let shards = if *shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") };
    let (servers, transports) = (count(|shard| shard.servers), count(|shard| shard.transports));
    let bound = count(|shard| shard.bindings);
    Line::from(vec![
        Span::styled(" Registry ", Style::new().add_modifier(Modifier::REVERSED)),
        Span::raw(format!(" {}  {backend}, {shards}", format::minutes_seconds(state.elapsed))),
        Span::raw(format!("  {servers} servers  {transports} transports  {bound} bound")),
    ])
}

fn keys_lines(controls: &Controls) -> Paragraph<'static> {
    let Controls { threads, churn, hot, slow } = controls;
    let key = |keys: &'static str, label: String| {
        [
            Span::styled(format!(" {keys} "), Style::new().add_modifier(Modifier::REVERSED)),
            Span::raw(format!(" {label}  ")),
        ]
    };
    let hot = if *hot { "on" } else { "off" };
    let load = [
        key("+ -", format!("{threads} threads")),
        key("C c", format!("churn {churn}")),
        key("h", format!("hot id {hot}")),
        key("s", format!("slow shards: {}", slow.name())),
    ];
    let view =
        [key("m", "map metric".to_owned()), key("r", "reset statistics".to_owned()), key("q", "quit".to_owned())];
    Paragraph::new(vec![Line::from(load.concat()), Line::from(view.concat())])
}

pub(crate) fn block(title: impl Into<Line<'static>>) -> Block<'static> {
    Block::bordered().border_style(Style::new().fg(Color::DarkGray)).title(title)
}

pub(crate) fn bold(color: Color) -> Style {
    Style::new().fg(color).add_modifier(Modifier::BOLD)
}

/// The admission state.
pub(crate) fn admission_span(admission: AdmissionState) -> Span<'static> {
    match admission {
        AdmissionState::Open => Span::styled("OPEN", bold(Color::Green)),
        AdmissionState::Closed => Span::styled("CLOSED", bold(Color::Red)),
    }
}
