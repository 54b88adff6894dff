//! The panels beside and below the shard map: throughput, latency, admission, alarms, hot ids and health changes.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};
use registry_router::{AdmissionState, Alarm, LatencyStats};

use crate::top::format;
use crate::top::state::State;
use crate::top::view::{admission_span, block, bold};

/// Draws rates per second, and a sparkline of the lookups.
pub(crate) fn throughput(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let block = block(" Per second ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let line = |name: &str, figure: String| Line::from(format!(" {name:<14}{figure:>7}"));
    let refused = state.rate(|shard| shard.refused);
    let mut lines = vec![
        line("lookups", format::count(state.rate(|shard| shard.lookups))),
        line("hit rate", format::percent(state.hit_rate())),
        line("messages", format::count(state.rate(|shard| shard.routes))),
        line("registered", format::count(state.rate(|shard| shard.registrations))),
        line("removed", format::count(state.rate(|shard| shard.removals))),
        line("refused", format::count(refused)).style(if refused > 0.0 { bold(Color::Red) } else { Style::new() }),
    ];
    if let Some(kind) = state.contention_kind() {
        let contention = state.rate(|shard| shard.contention.map_or(0, |contention| contention.count));
        lines.push(line(&kind.name().replace('_', " "), format::count(contention)));
    }
    let height = Constraint::Length(lines.len() as u16);
    let [text, title, sparkline] = Layout::vertical([height, Constraint::Length(1), Constraint::Min(1)]).areas(inner);
    frame.render_widget(Paragraph::new(lines), text);
    let skipped = state.history.len().saturating_sub(usize::from(sparkline.width));
    let history: Vec<u64> = state.history.iter().skip(skipped).copied().collect();
    let max = format::count(history.iter().copied().max().unwrap_or(0) as f64);
    let note = Style::new().fg(Color::DarkGray);
    frame.render_widget(Line::styled(format!(" lookups, max {max}"), note), title);
    frame.render_widget(Sparkline::default().style(Style::new().fg(Color::Cyan)).data(&history), sparkline);
}

/// Draws the latency percentiles of the slowest shard.
pub(crate) fn latency(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let row = |name: &str, cells: [String; 6]| {
        let [p50, p95, p99, p999, max, shard] = cells;
        Line::from(format!(" {name:<7}{p50:>6}{p95:>6}{p99:>6}{p999:>6}{max:>6}{shard:>6}"))
    };
    let latencies = |name: &str, slowest: Option<(usize, &LatencyStats)>| {
        let none = || ["-"; 6].map(str::to_owned);
        let cells = slowest.map_or_else(none, |(shard, latency)| {
            let LatencyStats { p50_ns, p95_ns, p99_ns, p999_ns, max_ns, .. } = *latency;
            let [p50, p95, p99, p999, max] = [p50_ns, p95_ns, p99_ns, p999_ns, max_ns].map(format::latency);
            [p50, p95, p99, p999, max, shard.to_string()]
        });
        row(name, cells)
    };
    let names = ["p50", "p95", "p99", "p99.9", "max", "shard"].map(str::to_owned);
    let lines = vec![
        row("", names).style(Style::new().fg(Color::DarkGray)),
        latencies("reads", state.slowest(|shard| &shard.reads)),
        latencies("writes", state.slowest(|shard| &shard.writes)),
    ];
    frame.render_widget(Paragraph::new(lines).block(block(" Latency of the slowest shard ")), area);
}

/// Draws the admission state and the usage of the limits.
pub(crate) fn admission(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let alarmed = state.stats.iter().filter(|shard| shard.alarm).count();
    let reason = match state.admission {
        AdmissionState::Open => format!(" {alarmed} in alarm, closes at {}", state.close_at),
        AdmissionState::Closed => format!(" {alarmed} in alarm, opens at {}", state.reopen_at),
    };
    let mut lines = vec![Line::from(vec![Span::raw(" "), admission_span(state.admission), Span::raw(reason)])];
    for (name, max) in &state.limits {
        let used =
            if *name == "servers" { state.sum(|shard| shard.servers) } else { state.sum(|shard| shard.transports) };
        let mut line =
            vec![Span::raw(format!(" {name:<11}{:>5} of {:<5}", format::grouped(used), format::grouped(*max)))];
        if state.limit_reached(name) {
            line.push(Span::styled("  FULL", bold(Color::Red)));
        }
        lines.push(Line::from(line));
    }
    frame.render_widget(Paragraph::new(lines).block(block(" Admission and limits ")), area);
}

/// Draws the shards in alarm, with how many of their recent operations were slow, and imbalances.
pub(crate) fn alarms(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let alarm = |alarm: &Alarm| {
        let Alarm { shard, operation, threshold, .. } = alarm;
        let threshold = format::latency(threshold.as_nanos() as u64);
        let details = state.slow_ops(*shard, *operation).map_or_else(String::new, |slow_ops| {
            let [slow, all] = [slow_ops.slow, slow_ops.count].map(|count| format::count(count as f64));
            format!(" {slow} of {all} {operation}s >{threshold}")
        });
        Line::styled(format!(" shard {shard:<3} ALARM:{details}"), bold(Color::Red))
    };
    let mut lines: Vec<Line<'_>> = state.alarms.iter().map(alarm).collect();
    lines.extend(state.imbalances.iter().map(|imbalance| {
        let (kind, shard, entries, mean) = (imbalance.kind, imbalance.shard, imbalance.entries, imbalance.mean);
        Line::styled(format!(" SKEW: {entries} {kind}s in shard {shard}, mean {mean:.0}"), bold(Color::Yellow))
    }));
    list(frame, area, format!(" Alarms: {} ", state.alarms.len()), lines, " no alarms, no skew");
}

/// Draws the ids that receive a large share of the lookups.
pub(crate) fn hot(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let lines = state.hot_ids.iter().map(|hot| {
        let name: String = hot.id.chars().take(14).collect();
        let share = format::percent(hot.share);
        Line::styled(format!(" {name:<14} {share:>5}, shard {}", hot.shard), bold(Color::Yellow))
    });
    list(frame, area, format!(" Hot ids: {} ", state.hot_ids.len()), lines.collect(), " no hot ids");
}

/// Draws the health changes, the newest first.
pub(crate) fn changes(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let lines = state.changes.iter().map(|(elapsed, change)| {
        let time =
            Span::styled(format!(" {:>6} ", format::minutes_seconds(*elapsed)), Style::new().fg(Color::DarkGray));
        Line::from(vec![time, Span::raw(change.clone())])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block(" Health changes ")), area);
}

/// Draws a list; entries that do not fit are counted in the last line.
fn list(frame: &mut Frame<'_>, area: Rect, title: String, mut lines: Vec<Line<'_>>, empty: &'static str) {
    let height = usize::from(area.height.saturating_sub(2));
    if lines.is_empty() {
        lines.push(Line::styled(empty, Style::new().fg(Color::Green)));
    } else if lines.len() > height {
        let more = lines.len() - height + 1;
        lines.truncate(height - 1);
        lines.push(Line::styled(format!(" and {more} more"), bold(Color::Red)));
    }
    frame.render_widget(Paragraph::new(lines).block(block(title)), area);
}
