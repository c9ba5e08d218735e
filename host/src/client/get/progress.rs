//! The progress of a transfer, on the terminal.

use std::io::stderr;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::standard;
use crate::sys::signals::stop_process;

/// How often it is drawn.
pub(in crate::client) const PERIOD: Duration = Duration::from_millis(100);

const BAR: &str = "{bytes} of {total_bytes} [{wide_bar:.cyan/blue}] {bytes_per_sec}, {eta} left";
/// The final line, however many bytes were expected.
const DONE: &str = "{bytes} in {elapsed}, {bytes_per_sec}";
const SPINNER: &str = "{spinner} {bytes} in {elapsed}, {bytes_per_sec}";

/// A line on standard error, if that is a terminal which takes escape sequences.
pub(in crate::client) struct Progress(Option<(ProgressBar, u64)>);

impl Progress {
    /// No progress.
    pub(in crate::client) fn hidden() -> Self {
        Self(None)
    }

    /// Shows how much of `length`, or how much alone if the length is unknown; `before` bytes of it
    /// were there before, and do not count for the rate.
    pub(in crate::client) fn show(length: Option<u64>, before: u64) -> Self {
        if !standard::takes_escapes(&stderr()) {
            return Self::hidden();
        }
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        bar.set_style(style(if length.is_some() { BAR } else { SPINNER }));
        let bar = bar.with_position(before);
        bar.reset_eta();
        Self(Some((bar, before)))
    }

    pub(in crate::client) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Notes that `received` bytes have arrived.
    pub(in crate::client) fn draw(&self, received: u64) {
        if let Some((bar, _)) = &self.0 {
            bar.set_position(received);
            // Also without new bytes: the time advances.
            bar.tick();
        }
    }

    /// All bytes have arrived: the line stays.
    pub(in crate::client) fn finish(&self, received: u64) {
        if let Some((bar, before)) = &self.0 {
            bar.set_length(received - before);
            bar.set_position(received - before);
            bar.set_style(style(DONE));
            bar.finish();
            // The bar leaves the cursor behind it.
            standard::print_stderr("\n");
        }
    }

    /// Stops this process as SIGTSTP does, and leaves the line to the shell; after it continues,
    /// the line is drawn again.
    pub(in crate::client) fn stop(&self) {
        let stop = || {
            let _ = stop_process(false);
        };
        match &self.0 {
            Some((bar, _)) => bar.suspend(stop),
            None => stop(),
        }
    }

    /// The transfer failed: removes the line, so that the reason can be printed.
    pub(in crate::client) fn clear(&self) {
        if let Some((bar, _)) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_good() {
        for template in [BAR, SPINNER, DONE] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
