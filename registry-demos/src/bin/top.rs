//! A terminal view of a registry under a load that is changed with keys.
//!
//! Threads look up servers, route messages and register transports. Keys make one id hot, slow down shards, or register
//! more transports than the limits allow; the view shows the statistics and the health that the registry reports.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Parser;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use registry_demos::top::controls::{Controls, MAX_CHURN, MAX_THREADS, SlowShards};
use registry_demos::top::keys::Action;
use registry_demos::top::load::Load;
use registry_demos::top::signals::Termination;
use registry_demos::top::state::State;
use registry_demos::top::{keys, view};

/// The interval between samples; each one includes a health check.
const PERIOD: Duration = Duration::from_millis(500);

/// Shows a registry under load in the terminal: shards, throughput, latencies, alarms, admission and hot ids.
///
/// Needs a terminal of at least 80 columns and 24 rows. Keys change the load; the last two rows list them.
#[derive(Debug, Parser)]
#[command(after_help = view::KEYS_HELP)]
struct Options {
    /// Number of shards: a power of two, at most 64.
    #[arg(long, default_value_t = 64, value_parser = shards)]
    shards: usize,
    /// Initial number of load threads, from 1 to 8.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=MAX_THREADS as u64))]
    threads: u64,
    /// Initial churn of transports, from 0 to 8.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=MAX_CHURN as u64))]
    churn: u64,
    /// Send every second lookup to the same id.
    #[arg(long)]
    hot: bool,
    /// Initially slow shards.
    #[arg(long, value_enum, default_value_t = SlowShards::Off)]
    slow: SlowShards,
    /// Print one frame of 80 x 24 as plain text and exit.
    #[arg(long)]
    snapshot: bool,
    /// Seconds before the snapshot is taken, up to an hour.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600), requires = "snapshot")]
    seconds: u64,
    /// Panic after a second, to check that the terminal is restored.
    #[arg(long, hide = true)]
    panic: bool,
}

fn shards(given: &str) -> Result<usize, String> {
    match given.parse() {
        Ok(shards @ 1..=64) if usize::is_power_of_two(shards) => Ok(shards),
        _ => Err("must be 1, 2, 4, 8, 16, 32 or 64".to_owned()),
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let interactive = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !options.snapshot && !interactive {
        eprintln!("top needs a terminal.");
        eprintln!("Run it in one, or use --snapshot to print one frame as text.");
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
        // `init` also installs a panic hook that restores the terminal, for panics on any thread.
        let termination = Termination::listen()?;
        let mut terminal = ratatui::init();
        let outcome = watch(&mut terminal, &load, &mut state, &termination, options.panic);
        // Some terminals keep lines of the alternate screen after it has grown; clear it first.
        let cleared = terminal.clear();
        ratatui::restore();
        outcome?;
        cleared?;
    }
    load.stop()?;
    Ok(ExitCode::SUCCESS)
}

/// Draws until the user quits or the process is told to terminate.
fn watch(
    terminal: &mut DefaultTerminal,
    load: &Load,
    state: &mut State,
    termination: &Termination,
    panic: bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut due = began;
    loop {
        let now = Instant::now();
        if now >= due {
            load.sample(state, now);
            due = now + PERIOD;
        }
        if load.has_failed() {
            bail!("a load thread has panicked");
        }
        assert!(!panic || began.elapsed() < Duration::from_secs(1), "requested by --panic");
        if termination.is_requested() {
            return Ok(());
        }
        terminal.draw(|frame| view::draw(frame, state))?;
        if !event::poll(due.saturating_duration_since(Instant::now()))? {
            continue;
        }
        // Every other event, such as a resize, redraws.
        let Event::Key(key) = event::read()? else { continue };
        match keys::action(key) {
            Some(Action::Quit) => return Ok(()),
            Some(Action::Reset) => load.reset(state),
            Some(Action::NextMetric) => state.metric = state.metric.next(),
            Some(Action::Change(change)) => {
                change(&mut state.controls);
                load.set(state.controls);
            }
            None => {}
        }
    }
}

/// Runs the load for a while, then prints one frame.
fn snapshot(load: &Load, state: &mut State, duration: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        std::thread::sleep(PERIOD.min(end.saturating_duration_since(Instant::now())));
        load.sample(state, Instant::now());
    }
    println!("{}", view::text(state, 80, 24)?);
    Ok(())
}
