//! Key bindings.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::top::controls::{Controls, MAX_CHURN, MAX_THREADS};

/// The action of a key.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Exits the program.
    Quit,
    /// Selects the next metric of the shard map.
    NextMetric,
    /// Resets all statistics.
    Reset,
    /// Changes the load.
    Change(fn(&mut Controls)),
}

/// Returns the action of a key event, if it has one.
pub fn action(key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let change = |change: fn(&mut Controls)| Some(Action::Change(change));
    match key.code {
        // In raw mode the terminal does not turn Ctrl-C into a signal.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Action::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Action::Quit),
        KeyCode::Char('m') => Some(Action::NextMetric),
        KeyCode::Char('r') => Some(Action::Reset),
        KeyCode::Char('+' | '=') => change(|controls| controls.threads = (controls.threads + 1).min(MAX_THREADS)),
        KeyCode::Char('-') => change(|controls| controls.threads = (controls.threads - 1).max(1)),
        KeyCode::Char('C') => change(|controls| controls.churn = (controls.churn + 1).min(MAX_CHURN)),
        KeyCode::Char('c') => change(|controls| controls.churn = controls.churn.saturating_sub(1)),
        KeyCode::Char('h') => change(|controls| controls.hot = !controls.hot),
        KeyCode::Char('s') => change(|controls| controls.slow = controls.slow.next()),
        _ => None,
    }
}
