//! A terminal view of a registry under a load that is changed with keys: where it is hot, how fast it is, who is refused
//! and why.
//!
//! The load is real: threads that look servers up, route messages and register transports. With keys, one id becomes hot,
//! shards become slow, and more transports come than the caps allow; the view shows what the registry says of it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a person")]

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Parser;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use registry_demos::top::controls::{Controls, MOST_CHURN, MOST_THREADS, Slow};
use registry_demos::top::keys::Action;
use registry_demos::top::load::Load;
use registry_demos::top::signals::Told;
use registry_demos::top::state::State;
use registry_demos::top::{keys, view};

/// Between two looks at the registry; its health is checked at each.
const PERIOD: Duration = Duration::from_millis(500);

/// Shows a registry under load in the terminal: shards, throughput, latencies, alarms, admission and hot ids.
///
/// It needs a terminal of at least 80 columns and 24 rows. Keys change the load; the last two rows tell which.
#[derive(Debug, Parser)]
#[command(after_help = view::KEYS_HELP)]
struct Options {
    /// How many shards: a power of two, up to the 64 that there is room to show.
    #[arg(long, default_value_t = 64, value_parser = shards)]
    shards: usize,
    /// How many threads make load at first, from 1 to 8.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=MOST_THREADS as u64))]
    threads: u64,
    /// How many transports come and go at first, from 0 to 8.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=MOST_CHURN as u64))]
    churn: u64,
    /// Let every second lookup be for one id.
    #[arg(long)]
    hot: bool,
    /// Which shards are slow at first.
    #[arg(long, value_enum, default_value_t = Slow::Off)]
    slow: Slow,
    /// Print one frame of 80 x 24 as plain text and exit.
    #[arg(long)]
    snapshot: bool,
    /// For how many seconds the load runs before a snapshot is taken, up to an hour.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600), requires = "snapshot")]
    seconds: u64,
    /// Panic after a second, to see what becomes of the terminal.
    #[arg(long, hide = true)]
    panic: bool,
}

fn shards(given: &str) -> Result<usize, String> {
    match given.parse() {
        Ok(shards @ 1..=64) if usize::is_power_of_two(shards) => Ok(shards),
        _ => Err("it must be 1, 2, 4, 8, 16, 32 or 64".to_owned()),
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let interactive = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !options.snapshot && !interactive {
        eprintln!("top draws on a terminal and reads keys, and this is none.");
        eprintln!("Run it in a terminal, or give --snapshot to print one frame as text.");
        return Ok(ExitCode::from(2));
    }
    let controls = Controls {
        threads: options.threads as usize,
        churn: options.churn as usize,
        hot: options.hot,
        slow: options.slow,
    };
    let load = Load::start(options.shards, controls)?;
    let mut state = load.state();
    if options.snapshot {
        snapshot(&load, &mut state, Duration::from_secs(options.seconds))?;
    } else {
        // From here on the terminal is ours; a panic gives it back too, in whichever thread it is.
        let told = Told::listen()?;
        let mut terminal = ratatui::init();
        let outcome = watch(&mut terminal, &load, &mut state, &told, options.panic);
        // Some terminals keep lines of a screen that is left after it has grown; so nothing is left on it.
        let cleared = terminal.clear();
        ratatui::restore();
        outcome?;
        cleared?;
    }
    load.stop()?;
    Ok(ExitCode::SUCCESS)
}

/// Draws until the user has had enough, or the process is told to end.
fn watch(
    terminal: &mut DefaultTerminal,
    load: &Load,
    state: &mut State,
    told: &Told,
    panic: bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut due = began;
    loop {
        let now = Instant::now();
        if now >= due {
            load.look(state, now);
            due = now + PERIOD;
        }
        if load.has_failed() {
            bail!("a thread of the load has panicked");
        }
        assert!(!panic || began.elapsed() < Duration::from_secs(1), "as it was asked to");
        if told.to_end() {
            return Ok(());
        }
        terminal.draw(|frame| view::draw(frame, state))?;
        if !event::poll(due.saturating_duration_since(Instant::now()))? {
            continue;
        }
        // Whatever else comes, a change of size for one, is a reason to draw again.
        let Event::Key(key) = event::read()? else { continue };
        match keys::action(key) {
            Some(Action::Quit) => return Ok(()),
            Some(Action::Reset) => load.reset(state),
            Some(Action::AlarmMetric) => state.metric = state.metric.next(),
            Some(Action::Change(change)) => {
                change(&mut state.controls);
                load.set(state.controls);
            }
            None => {}
        }
    }
}

/// Lets the load run, and prints what a person would see then.
fn snapshot(load: &Load, state: &mut State, runs: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + runs;
    while Instant::now() < end {
        std::thread::sleep(PERIOD.min(end.saturating_duration_since(Instant::now())));
        load.look(state, Instant::now());
    }
    println!("{}", view::text(state, 80, 24)?);
    Ok(())
}
