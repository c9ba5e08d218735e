//! `windlass top`: a running server, live in the terminal.
//!
//! ```text
//! loop { ask the server when it is time ─▶ model ─▶ draw; keys and signals ─▶ model }
//! ```
//!
//! What is known and what is shown of it are a value ([`model`]), and drawing it is a function
//! ([`draw`]), so both are tested without a terminal. The loop is a plain one, and not the reactor's:
//! the terminal library reads keys and sizes by itself, in calls of its own.

mod draw;
mod model;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::Observer;
use crate::error::{Error, Result};
use crate::sys::signals::{SignalQueue, is_ignored};
use crate::sys::{Signal, clock};
use model::{Key, Model};

/// A server that does not answer within so many microseconds is as good as gone: keys wait meanwhile.
const ANSWER_US: u64 = 1_000_000;

/// Signals are looked for so often, in microseconds. Keys are heard at once.
const LOOK_EVERY_US: u64 = 100_000;

/// Shows the server whose control socket is at `path` until somebody quits, and asks it every
/// `interval_us`. It need not be there yet, and may go and come back. The signal that ended it, if one
/// did; the terminal is as it was before, also after a panic.
///
/// # Errors
/// Standard output is no terminal, or the terminal is gone.
pub fn top(path: &Path, interval_us: u64) -> Result<Option<Signal>> {
    if !std::io::stdout().is_terminal() {
        let cause = "it is no terminal; windlass status prints the same once";
        return Err(Error::new("draw on", "standard output", cause));
    }
    let mut signals = SignalQueue::new().map_err(Error::of("open", "a signalfd"))?;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        if !is_ignored(signal) {
            signals.add(signal).map_err(Error::of("catch", signal))?;
        }
    }
    let shown = ratatui::try_init()
        .map_err(Error::of("take over", "the terminal"))
        .and_then(|mut terminal| show(&mut terminal, &mut signals, path, interval_us));
    // Where it is gone, there is nothing to put in order.
    let _ = ratatui::try_restore();
    shown
}

fn show(
    terminal: &mut DefaultTerminal,
    signals: &mut SignalQueue,
    path: &Path,
    interval_us: u64,
) -> Result<Option<Signal>> {
    let failed = || Error::of("draw on", "the terminal");
    let mut observer = Observer::new(path);
    let mut model = Model::new();
    let mut ask_at = clock::now();
    loop {
        if ask_at <= clock::now() && !model.is_paused() {
            let answer = observer.ask(ANSWER_US).map(|(status, _)| status);
            model.take(clock::now(), answer.map_err(|error| error.to_string()));
            ask_at = clock::now().after(interval_us);
        }
        let now = clock::now();
        terminal.draw(|frame| draw::draw(frame, &mut model, now)).map_err(failed())?;
        // Until something is to be drawn that differs.
        loop {
            if let Some(caught) = signals.take() {
                return Ok(Some(caught.signal));
            }
            let now = clock::now();
            let rest = if model.is_paused() { LOOK_EVERY_US } else { ask_at.since(now) };
            let wait = Duration::from_micros(rest.min(LOOK_EVERY_US));
            if event::poll(wait).map_err(failed())? {
                match event::read().map_err(failed())? {
                    Event::Key(key) => match meaning(key) {
                        Some(Key::Quit) => return Ok(None),
                        Some(key) => model.press(key),
                        None => continue,
                    },
                    Event::Resize(..) => {}
                    Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => {
                        continue;
                    }
                }
                break;
            }
            if ask_at <= clock::now() && !model.is_paused() {
                break;
            }
        }
    }
}

/// What a key is for, if for anything.
fn meaning(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        // In raw mode the terminal makes no signal of it.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('p' | ' ') => Some(Key::Pause),
        KeyCode::Char('s') => Some(Key::Sort),
        KeyCode::Up | KeyCode::Char('k') => Some(Key::Up(1)),
        KeyCode::Down | KeyCode::Char('j') => Some(Key::Down(1)),
        KeyCode::PageUp => Some(Key::Up(10)),
        KeyCode::PageDown => Some(Key::Down(10)),
        KeyCode::Home => Some(Key::Up(usize::MAX)),
        KeyCode::End => Some(Key::Down(usize::MAX)),
        _ => None,
    }
}
