//! The process that writes an access log to its file.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tracing::{error, info, warn};

use crate::error::{Error, Result};
use crate::printable::printable;
use crate::role;
use crate::sys::file::open_to_append;
use crate::sys::process::{self, Child, SingleThreaded};
use crate::sys::spool::{Asked, SpoolReader, lines_in};
use crate::sys::user::User;

/// Starts the process that writes what `reader` has to `file`, which is at `path`. It ends when the last process
/// that has the other end has ended, and no signal but SIGKILL ends it earlier: no line is lost.
///
/// # Errors
/// No process is left.
pub(super) fn start(
    path: &Path,
    file: File,
    reader: SpoolReader,
    user: Option<&User>,
    alone: &SingleThreaded,
) -> Result<Child> {
    process::spawn_to_outlive(alone, || {
        process::leave_terminal_group();
        process::close_others(&[reader.as_fd(), file.as_fd()]);
        role::take_part("access log");
        // The file is open; to open it again, this user needs the right.
        if let Some(Err(error)) = user.map(User::assume) {
            error!("{error}");
            return 1;
        }
        // A copy would keep the file, and its place on the disk, after a rotation.
        Logger::new(path, file).live(reader)
    })
    .map_err(Error::of("start", "the process of the access log"))
}

/// Opens the file.
///
/// # Errors
/// That of `open(2)`.
pub(super) fn open(path: &Path) -> Result<File> {
    open_to_append(path).map_err(Error::of("open the access log", printable(path)))
}

/// Whether the process before this one was killed while it wrote a line.
fn ends_within_a_line(path: &Path, file: &File) -> bool {
    let last = || -> std::io::Result<u8> {
        let mut last = [b'\n'];
        let about = file.metadata()?;
        // Another file may block.
        if about.is_file() && about.len() > 0 {
            File::open(path)?.read_exact_at(&mut last, about.len() - 1)?;
        }
        Ok(last[0])
    };
    last().is_ok_and(|last| last != b'\n')
}

struct Logger {
    path: PathBuf,
    file: File,
    /// The last write failed, and that was logged.
    is_failing: bool,
    /// The last line in the file may have no end.
    is_torn: bool,
    lost: u64,
}

impl Logger {
    fn new(path: &Path, file: File) -> Self {
        let is_torn = ends_within_a_line(path, &file);
        Self { path: path.to_owned(), file, is_failing: false, is_torn, lost: 0 }
    }

    fn live(mut self, mut reader: SpoolReader) -> i32 {
        loop {
            let asked = reader.next(|lines| self.write(lines));
            match reader.dropped() {
                0 => {}
                lost => warn!(lost, "lines of the access log were dropped: the disk is too slow"),
            }
            match asked {
                Asked::Nothing => {}
                Asked::Reopen => self.reopen(),
                Asked::End => return 0,
            }
        }
    }

    fn reopen(&mut self) {
        match open(&self.path) {
            Ok(file) => {
                self.is_torn = ends_within_a_line(&self.path, &file);
                self.file = file;
                info!("the access log was opened again: {}", printable(&self.path));
            }
            Err(error) => error!("{error}; it is written to the file that was open before"),
        }
    }

    fn write(&mut self, mut lines: &[u8]) {
        if self.is_torn {
            self.is_torn = self.file.write_all(b"\n").is_err();
        }
        while !lines.is_empty() {
            match self.file.write(lines) {
                Ok(count @ 1..) => {
                    self.is_torn = lines[count - 1] != b'\n';
                    lines = &lines[count..];
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                failed => {
                    self.lost += lines_in(lines);
                    if !std::mem::replace(&mut self.is_failing, true) {
                        let why = failed.err().unwrap_or(std::io::ErrorKind::WriteZero.into());
                        let error = Error::new("write the access log", printable(&self.path), why);
                        error!("{error}; clients are served, and lines are lost");
                    }
                    return;
                }
            }
        }
        if std::mem::take(&mut self.is_failing) {
            let lost = std::mem::take(&mut self.lost);
            warn!(lost, "the access log is written again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_ended_in_its_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("old"));
        let mut logger = Logger::new(&path, open(&path).unwrap());
        logger.write(b"whole\ntorn");
        logger.write(b"next\ntorn");
        std::fs::rename(&path, &old).unwrap();
        logger.reopen();
        logger.write(b"first\n");
        assert_eq!(std::fs::read(&old).unwrap(), b"whole\ntorn\nnext\ntorn");
        assert_eq!(std::fs::read(&path).unwrap(), b"first\n");
        // The process that writes is another one, after the one before was killed within a line.
        std::fs::write(&path, b"torn").unwrap();
        Logger::new(&path, open(&path).unwrap()).write(b"next\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"torn\nnext\n");
    }
}
