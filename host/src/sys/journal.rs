//! Whether standard error leads to the journal (systemd.exec(5), `JOURNAL_STREAM`).

use std::io::stderr;

/// Whether the service manager connected standard error to the journal, and no program has
/// connected it to something else since.
pub fn has_stderr() -> bool {
    let Some(said) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(is) = nix::sys::stat::fstat(stderr()) else { return false };
    said.to_str() == Some(&format!("{}:{}", is.st_dev, is.st_ino))
}
