//! Which key does what.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::top::controls::{Controls, MOST_CHURN, MOST_THREADS};

/// What a key asks for.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    Quit,
    /// Another figure in the map of the shards.
    AlarmMetric,
    /// All figures from zero.
    Reset,
    /// Another load.
    Change(fn(&mut Controls)),
}

/// What a key asks for, if anything.
pub fn action(key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let change = |change: fn(&mut Controls)| Some(Action::Change(change));
    match key.code {
        // A terminal that gives every key to the program gives it this one too.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Action::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Action::Quit),
        KeyCode::Char('m') => Some(Action::AlarmMetric),
        KeyCode::Char('r') => Some(Action::Reset),
        KeyCode::Char('+' | '=') => change(|controls| controls.threads = (controls.threads + 1).min(MOST_THREADS)),
        KeyCode::Char('-') => change(|controls| controls.threads = (controls.threads - 1).max(1)),
        KeyCode::Char('C') => change(|controls| controls.churn = (controls.churn + 1).min(MOST_CHURN)),
        KeyCode::Char('c') => change(|controls| controls.churn = controls.churn.saturating_sub(1)),
        KeyCode::Char('h') => change(|controls| controls.hot = !controls.hot),
        KeyCode::Char('s') => change(|controls| controls.slow = controls.slow.next()),
        _ => None,
    }
}
