//! The panels beside and below the map: throughput, latencies, admission, alarms, hot ids, and what has changed.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};
use registry_router::{AdmissionState, Alarm, LatencyStats};

use crate::top::format;
use crate::top::state::State;
use crate::top::view::{block, strong, word};

/// What is done per second, and a curve of the lookups.
pub(crate) fn throughput(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let block = block(" Per second ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let line = |name: &str, figure: String| Line::from(format!(" {name:<14}{figure:>7}"));
    let refused = state.rate(|shard| shard.refused);
    let mut lines = vec![
        line("lookups", format::count(state.rate(|shard| shard.lookups))),
        line("  that found", format::share(state.found())),
        line("messages", format::count(state.rate(|shard| shard.routes))),
        line("registered", format::count(state.rate(|shard| shard.registrations))),
        line("ended", format::count(state.rate(|shard| shard.removals))),
        line("refused", format::count(refused)).style(if refused > 0.0 { strong(Color::Red) } else { Style::new() }),
    ];
    if let Some(kind) = state.kind() {
        let met = state.rate(|shard| shard.contention.map_or(0, |contention| contention.count));
        lines.push(line(&kind.name().replace('_', " "), format::count(met)));
    }
    let height = Constraint::Length(lines.len() as u16);
    let [text, title, curve] = Layout::vertical([height, Constraint::Length(1), Constraint::Min(1)]).areas(inner);
    frame.render_widget(Paragraph::new(lines), text);
    let newest = state.history.len().saturating_sub(usize::from(curve.width));
    let history: Vec<u64> = state.history.iter().skip(newest).copied().collect();
    let most = format::count(history.iter().copied().max().unwrap_or(0) as f64);
    let note = Style::new().fg(Color::DarkGray);
    frame.render_widget(Line::styled(format!(" lookups, up to {most}"), note), title);
    frame.render_widget(Sparkline::default().style(Style::new().fg(Color::Cyan)).data(&history), curve);
}

/// The percentiles of the worst shard.
pub(crate) fn latency(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let row = |name: &str, cells: [String; 6]| {
        let [p50, p95, p99, p999, max, shard] = cells;
        Line::from(format!(" {name:<7}{p50:>6}{p95:>6}{p99:>6}{p999:>6}{max:>6}{shard:>6}"))
    };
    let timed = |name: &str, worst: Option<(usize, &LatencyStats)>| {
        let none = || ["-"; 6].map(str::to_owned);
        let cells = worst.map_or_else(none, |(shard, timed)| {
            let LatencyStats { p50_ns, p95_ns, p99_ns, p999_ns, max_ns, .. } = *timed;
            let [p50, p95, p99, p999, max] = [p50_ns, p95_ns, p99_ns, p999_ns, max_ns].map(format::latency);
            [p50, p95, p99, p999, max, shard.to_string()]
        });
        row(name, cells)
    };
    let names = ["p50", "p95", "p99", "p99.9", "max", "shard"].map(str::to_owned);
    let lines = vec![
        row("", names).style(Style::new().fg(Color::DarkGray)),
        timed("reads", state.worst(|shard| &shard.reads)),
        timed("writes", state.worst(|shard| &shard.writes)),
    ];
    frame.render_widget(Paragraph::new(lines).block(block(" Latency in the worst shard ")), area);
}

/// Whether new registrations are taken, and what is left of the caps.
pub(crate) fn admission(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let alarmed = state.stats.iter().filter(|shard| shard.alarm).count();
    let why = match state.admission {
        AdmissionState::Open => format!(" {alarmed} in alarm, closes at {}", state.closes_at),
        AdmissionState::Closed => format!(" {alarmed} in alarm, opens at {}", state.opens_at),
    };
    let mut lines = vec![Line::from(vec![Span::raw(" "), word(state.admission), Span::raw(why)])];
    for (name, max) in &state.limits {
        let used =
            if *name == "servers" { state.sum(|shard| shard.servers) } else { state.sum(|shard| shard.transports) };
        let mut line = vec![Span::raw(format!(" {name:<11}{:>5} of {:<5}", format::exact(used), format::exact(*max)))];
        if state.turned_away(name) {
            line.push(Span::styled("  FULL", strong(Color::Red)));
        }
        lines.push(Line::from(line));
    }
    frame.render_widget(Paragraph::new(lines).block(block(" Admission and caps ")), area);
}

/// Which shards are in alarm, and how many of their last operations were slow; and whether entries lie unevenly.
pub(crate) fn alarms(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let alarm = |alarm: &Alarm| {
        let Alarm { shard, operation, threshold, .. } = alarm;
        let threshold = format::latency(threshold.as_nanos() as u64);
        let why = state.pace(*shard, *operation).map_or_else(String::new, |pace| {
            let [slow, all] = [pace.slow, pace.count].map(|count| format::count(count as f64));
            format!(" {slow} of {all} {operation}s >{threshold}")
        });
        Line::styled(format!(" shard {shard:<3} ALARM:{why}"), strong(Color::Red))
    };
    let mut lines: Vec<Line<'_>> = state.alarms.iter().map(alarm).collect();
    lines.extend(state.uneven.iter().map(|uneven| {
        let (kind, shard, entries, mean) = (uneven.kind, uneven.shard, uneven.entries, uneven.mean);
        Line::styled(format!(" UNEVEN: {entries} {kind}s in shard {shard}, mean {mean:.0}"), strong(Color::Yellow))
    }));
    listed(frame, area, format!(" Alarms: {} ", state.alarms.len()), lines, " no shard is slow, entries lie evenly");
}

/// Which ids get a large share of the lookups.
pub(crate) fn hot(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let lines = state.hot.iter().map(|hot| {
        let name: String = hot.id.chars().take(14).collect();
        let share = format::share(hot.share);
        Line::styled(format!(" {name:<14} {share:>5}, shard {}", hot.shard), strong(Color::Yellow))
    });
    listed(frame, area, format!(" Hot ids: {} ", state.hot.len()), lines.collect(), " no id stands out");
}

/// What has changed, the newest first.
pub(crate) fn changes(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let lines = state.changes.iter().map(|(when, what)| {
        let when = Span::styled(format!(" {:>6} ", format::clock(*when)), Style::new().fg(Color::DarkGray));
        Line::from(vec![when, Span::raw(what.clone())])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block(" What has changed ")), area);
}

/// A list of which the end is counted if it does not fit.
fn listed(frame: &mut Frame<'_>, area: Rect, title: String, mut lines: Vec<Line<'_>>, nothing: &'static str) {
    let fit = usize::from(area.height.saturating_sub(2));
    if lines.is_empty() {
        lines.push(Line::styled(nothing, Style::new().fg(Color::Green)));
    } else if lines.len() > fit {
        let more = lines.len() - fit + 1;
        lines.truncate(fit - 1);
        lines.push(Line::styled(format!(" and {more} more"), strong(Color::Red)));
    }
    frame.render_widget(Paragraph::new(lines).block(block(title)), area);
}
