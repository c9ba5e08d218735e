//! Standard output and standard error: writing lines, and whether it is a terminal.
//!
//! `println!` and `eprintln!` panic where a disk is full or a pipe has no reader. Here the first is an
//! error like any other, and of the second there is no place to report it.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::sys::output::write_all;

/// Writes to standard output, at once.
///
/// # Errors
/// The disk or pipe is full, or the pipe has no reader.
pub fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// As [`print()`], for bytes.
///
/// # Errors
/// As for [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = stdout().lock();
    // The line is one write, so that lines of several processes do not mix.
    let written = out.flush().and_then(|()| write_all(out.as_fd(), bytes));
    written.map_err(Error::of("write", "standard output"))
}

/// Writes to standard error, at once. If writing fails, there is no place to report it.
pub fn print_stderr(text: &str) {
    let _ = write_all(stderr().as_fd(), text.as_bytes());
}

/// Whether escape sequences may be written to it: it is a terminal that knows them
/// (`TERM`), and its user did not ask for none (`NO_COLOR`).
pub fn takes_escapes(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && has_escapes() && wants_color()
}

/// Whether the terminal, if there is one, knows how to move its cursor.
pub fn has_escapes() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether the user did not ask for a terminal without colors (<https://no-color.org>).
pub fn wants_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
