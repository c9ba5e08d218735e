//! `windlass top`: shows a running server live in the terminal.
//!
//! ```text
//! loop { ask the server once each interval ─▶ model ─▶ draw; keys and signals ─▶ model }
//! ```
//!
//! The data and its view are a value ([`model`]), and drawing is a function
//! ([`draw`]), so both are tested without a terminal. The loop is a plain one, and not the reactor's:
//! to read keys without blocking would change the terminal for the shell too. Keys are read here, and
//! not by the terminal library, which reads the end of a terminal for ever and looks at no signal.

mod draw;
mod keys;
mod model;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::layout::{Rect, Size};
use ratatui::{DefaultTerminal, Frame, TerminalOptions, Viewport};

use super::Observer;
use crate::error::{Error, Result};
use crate::standard;
use crate::sys::poll::wait_for_input;
use crate::sys::signals::{SignalQueue, is_ignored, stop_process};
use crate::sys::{Signal, clock};
use keys::Keys;
use model::{Key, Model};

/// The time for an answer, in microseconds. Keys wait meanwhile.
const ANSWER_US: u64 = 1_000_000;

/// Bytes that follow an escape within this time, in microseconds, belong to it.
const ESCAPE_US: u64 = 50_000;

/// The largest area to draw on: a terminal may report a size beyond any screen, and every cell has some
/// tens of bytes.
const SIZE_MAX: Size = Size::new(1024, 512);

const KEYS: &str = "read keys from";

/// Shows the server with the control socket `path` until the user quits, and asks it every
/// `interval_us`. The server need not run yet, and may end and start again. Returns the signal that
/// ended `top`, if one did; the terminal is as it was before, also after a panic.
///
/// # Errors
/// Standard output is no terminal, or the terminal is gone.
pub fn top(path: &Path, interval_us: u64) -> Result<Option<Signal>> {
    if !io::stdout().is_terminal() {
        let cause = "it is no terminal; windlass status prints the same once";
        return Err(Error::new("draw on", "standard output", cause));
    }
    if !standard::has_escapes() {
        let cause = "its terminal cannot move the cursor (TERM is dumb or not set); windlass status prints the same once";
        return Err(Error::new("draw on", "standard output", cause));
    }
    let mut signals = SignalQueue::new().map_err(Error::of("catch", "signals"))?;
    // After these signals it draws again, also if they were ignored.
    let redraw = [Signal::SIGWINCH, Signal::SIGCONT];
    let ends = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
    let may_stop = !is_ignored(Signal::SIGTSTP);
    let minded = ends.into_iter().filter(|&signal| !is_ignored(signal)).chain(redraw);
    for signal in minded.chain(may_stop.then_some(Signal::SIGTSTP)) {
        signals.add(signal).map_err(Error::of("catch", signal))?;
    }
    let keyboard = keyboard().map_err(Error::of(KEYS, "the terminal"))?;
    let shown = take_over().map_err(Error::of("take over", "the terminal")).and_then(|terminal| {
        let keys = Keys::default();
        let mut top = Top { terminal, signals: &mut signals, keyboard, keys, may_stop };
        let shown = top.show(path, interval_us);
        if top.terminal.show_cursor().is_err() {
            // Dropping it would report that on standard error, and panic if that is closed too.
            std::mem::forget(top.terminal);
        }
        shown
    });
    // If the terminal is gone, there is nothing to restore.
    let _ = ratatui::try_restore();
    shown
}

/// The terminal of the library, and of the keys: standard input if it is a terminal.
fn keyboard() -> io::Result<File> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        Ok(File::from(stdin.as_fd().try_clone_to_owned()?))
    } else {
        File::open("/dev/tty")
    }
}

/// Takes over the terminal, as large as it is.
fn take_over() -> io::Result<DefaultTerminal> {
    let size = CrosstermBackend::new(io::stdout()).size()?;
    let viewport = Viewport::Fixed(drawn(size));
    let terminal = ratatui::try_init_with_options(TerminalOptions { viewport })?;
    execute!(io::stdout(), EnterAlternateScreen)?;
    Ok(terminal)
}

/// Takes the terminal over again after a stop: a shell has changed its settings meanwhile, whatever
/// the library believes.
fn take_over_again(terminal: &mut DefaultTerminal) -> io::Result<()> {
    disable_raw_mode()?;
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)?;
    // This also clears the terminal, and sends it no query, because the answer would arrive among
    // the keys.
    terminal.resize(drawn(terminal.size()?))
}

/// The area to draw on, for a terminal of that size.
fn drawn(size: Size) -> Rect {
    let (width, height) = (size.width.min(SIZE_MAX.width), size.height.min(SIZE_MAX.height));
    Rect::new(0, 0, width.max(1), height.max(1))
}

struct Top<'a> {
    terminal: DefaultTerminal,
    signals: &'a mut SignalQueue,
    keyboard: File,
    keys: Keys,
    /// Whether SIGTSTP is not ignored.
    may_stop: bool,
}

/// The next step.
enum Next {
    /// Draw: something changed, or it is time to ask.
    Draw,
    /// Wait.
    Wait,
    /// End, by this signal if there is one.
    End(Option<Signal>),
}

impl Top<'_> {
    fn show(&mut self, path: &Path, interval_us: u64) -> Result<Option<Signal>> {
        let mut observer = Observer::new(path);
        let mut model = Model::new();
        let mut ask_at = clock::now();
        loop {
            if ask_at <= clock::now() && !model.is_paused() {
                let answer = observer.ask(ANSWER_US).map(|(status, _)| status);
                model.take(clock::now(), answer.map_err(|error| error.to_string()));
                ask_at = clock::now().after(interval_us);
            }
            self.draw(&mut model).map_err(Error::of("draw on", "the terminal"))?;
            loop {
                let wait_us = (!model.is_paused()).then(|| ask_at.since(clock::now()));
                match self.wait(&mut model, wait_us)? {
                    Next::Draw => break,
                    Next::Wait => {}
                    Next::End(signal) => return Ok(signal),
                }
            }
        }
    }

    fn draw(&mut self, model: &mut Model) -> io::Result<()> {
        let area = drawn(self.terminal.size()?);
        if area != self.terminal.get_frame().area() {
            self.terminal.resize(area)?;
        }
        let now = clock::now();
        let draw = |frame: &mut Frame<'_>| {
            draw::draw(frame, model, now);
            if !standard::wants_color() {
                draw::without_colors(frame);
            }
        };
        self.terminal.draw(draw).map(drop)
    }

    /// Waits for a key or a signal for at most this time, and handles it. `None`: without a limit.
    fn wait(&mut self, model: &mut Model, wait_us: Option<u64>) -> Result<Next> {
        let open = self.keys.is_open();
        let fds = [Some(self.signals.as_fd()), Some(self.keyboard.as_fd()), None];
        let [signal, input, _] = wait_for_input(fds, if open { Some(ESCAPE_US) } else { wait_us });
        if signal && let Some(next) = self.hear()? {
            return Ok(next);
        }
        if input {
            return match self.read(model) {
                // A signal also reports the end of a terminal, and says more.
                Err(error) => self.hear()?.ok_or(error),
                next => next,
            };
        }
        if open && self.keys.close().is_some() {
            return Ok(Next::End(None));
        }
        Ok(Next::Draw)
    }

    /// The step that a signal asks for, if one came.
    fn hear(&mut self) -> Result<Option<Next>> {
        let mut next = None;
        while let Some(caught) = self.signals.take() {
            match caught.signal {
                Signal::SIGWINCH => {}
                Signal::SIGCONT => self.go_on()?,
                Signal::SIGTSTP => self.stop(false)?,
                signal => return Ok(Some(Next::End(Some(signal)))),
            }
            next = Some(Next::Draw);
        }
        Ok(next)
    }

    /// Stops, with the terminal as the shell had it, until it is continued; and the whole job with
    /// it if `job`.
    fn stop(&mut self, job: bool) -> Result<()> {
        if !self.may_stop {
            return Ok(());
        }
        let left = self.terminal.show_cursor().and_then(|()| ratatui::try_restore());
        left.map_err(Error::of("give back", "the terminal"))?;
        stop_process(job).map_err(Error::of("stop", "this process"))?;
        self.go_on()
    }

    fn go_on(&mut self) -> Result<()> {
        take_over_again(&mut self.terminal).map_err(Error::of("take over", "the terminal"))
    }

    /// Reads the available keys, and handles them.
    fn read(&mut self, model: &mut Model) -> Result<Next> {
        let mut buf = [0; 256];
        let failed = Error::of::<Box<dyn std::error::Error + Send + Sync>>(KEYS, "the terminal");
        let count = match self.keyboard.read(&mut buf) {
            Ok(0) => return Err(failed(Box::from("the terminal hung up"))),
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) =>
            {
                0
            }
            Err(error) => return Err(failed(error.into())),
        };
        let mut next = Next::Wait;
        for &byte in &buf[..count] {
            match self.keys.take(byte) {
                Some(Key::Quit) => return Ok(Next::End(None)),
                Some(Key::Stop) => {
                    self.stop(true)?;
                    next = Next::Draw;
                }
                Some(key) => {
                    model.press(key);
                    next = Next::Draw;
                }
                None => {}
            }
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_on_is_neither_nothing_nor_huge() {
        for (size, area) in [
            ((80, 24), (80, 24)),
            ((0, 0), (1, 1)),
            ((u16::MAX, 0), (1024, 1)),
            ((u16::MAX, u16::MAX), (1024, 512)),
        ] {
            assert_eq!(drawn(Size::from(size)), Rect::new(0, 0, area.0, area.1));
        }
    }
}
