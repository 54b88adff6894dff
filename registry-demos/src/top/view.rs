//! A picture of a state: the same one for the same state and size, whatever it is drawn on.

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

/// What fits on less is not worth reading.
const LEAST: (u16, u16) = (80, 24);

/// What the keys do, for those who ask for help.
pub const KEYS_HELP: &str = "\
Keys:
  + -   more or fewer threads that make load
  C c   more or less coming and going of transports; much of it meets the caps
  h     every second lookup is for one id, or none is
  s     no shard is slow, one is, or most are, which closes admission
  m     what the map of the shards shows: lookups, p99, entries
  r     reset all figures; alarms and what is registered stay
  q     quit; so do Esc and Ctrl-C

Of the shards, each is told by its figure, by a bar that grows with its share of the most, and by a `!` if it is in
alarm. Latencies are those of the last ten seconds, in n(ano), µ (micro) and m(illi)seconds.";

/// Draws a state.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return too_small(frame, area);
    }
    // What is left when everything has its place goes to what has changed, if it is enough to be read.
    let changes = area.height - LEAST.1;
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

/// A frame of a state as plain text, without spaces at the ends of lines.
pub fn text(state: &State, width: u16, height: u16) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| draw(frame, state))?;
    let buffer = terminal.backend().buffer();
    let line = |row| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    let lines: Vec<String> = (0..height).map(|row| line(row).trim_end().to_owned()).collect();
    Ok(lines.join("\n"))
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let needed =
        format!("This view needs {} x {}, the terminal has {} x {}.", LEAST.0, LEAST.1, area.width, area.height);
    let lines = vec![Line::from(needed), Line::from("Make it larger, or press q to quit.")];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
}

fn title_line(state: &State) -> Line<'static> {
    let State { backend, shards, .. } = state;
    let count = |of: fn(&registry_router::ShardStats) -> usize| format::exact(state.sum(of));
    let shards = if *shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") };
    let (servers, transports) = (count(|shard| shard.servers), count(|shard| shard.transports));
    let bound = count(|shard| shard.bindings);
    Line::from(vec![
        Span::styled(" Registry ", Style::new().add_modifier(Modifier::REVERSED)),
        Span::raw(format!(" {}  {backend}, {shards}", format::clock(state.elapsed))),
        Span::raw(format!("  {servers} servers  {transports} transports  {bound} bound")),
    ])
}

fn keys_lines(controls: &Controls) -> Paragraph<'static> {
    let Controls { threads, churn, hot, slow } = controls;
    let key = |keys: &'static str, what: String| {
        [
            Span::styled(format!(" {keys} "), Style::new().add_modifier(Modifier::REVERSED)),
            Span::raw(format!(" {what}  ")),
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
        [key("m", "measure of the map".to_owned()), key("r", "reset figures".to_owned()), key("q", "quit".to_owned())];
    Paragraph::new(vec![Line::from(load.concat()), Line::from(view.concat())])
}

pub fn block(title: impl Into<Line<'static>>) -> Block<'static> {
    Block::bordered().border_style(Style::new().fg(Color::DarkGray)).title(title)
}

pub fn strong(color: Color) -> Style {
    Style::new().fg(color).add_modifier(Modifier::BOLD)
}

/// Whether new registrations are taken, in a word.
pub fn word(admission: AdmissionState) -> Span<'static> {
    match admission {
        AdmissionState::Open => Span::styled("OPEN", strong(Color::Green)),
        AdmissionState::Closed => Span::styled("CLOSED", strong(Color::Red)),
    }
}
