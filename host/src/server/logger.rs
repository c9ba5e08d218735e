//! The process that writes an access log to its file.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use tracing::{error, info, warn};

use crate::error::{Error, Result};
use crate::printable::printable;
use crate::role;
use crate::sys::file::open_to_append;
use crate::sys::poll::wait_for_input;
use crate::sys::process::{self, SingleThreaded};
use crate::sys::spool::{REOPEN, Spool, SpoolReader, lines_in, spool};
use crate::sys::user::User;

/// How long lines gather while there are many, in microseconds: so their writers wake this process seldom.
const GATHER_US: u64 = 20_000;

/// Opens the file, and starts the process that writes to it. It ends when the last process that has the
/// other end of the pipe has ended, and no signal but SIGKILL ends it earlier: no line is lost.
///
/// # Errors
/// The file cannot be opened; no descriptor or process is left.
pub(super) fn start(path: &Path, user: Option<&User>, alone: &SingleThreaded) -> Result<Spool> {
    let file = open(path)?;
    let (spool, reader) = spool()?;
    let path = path.to_owned();
    process::spawn(alone, || {
        process::outlive_parent();
        process::leave_terminal_group();
        process::close_others(&[reader.as_fd(), file.as_fd()]);
        role::take_part("access log");
        // The file is open; to open it again, this user needs the right.
        if let Some(Err(error)) = user.map(User::assume) {
            error!("{error}");
            return 1;
        }
        Logger { path, file, is_failing: false, is_torn: false, lost: 0 }.live(reader)
    })
    .map_err(Error::of("start", "the process of the access log"))?;
    Ok(spool)
}

fn open(path: &Path) -> Result<File> {
    open_to_append(path).map_err(Error::of("open the access log", printable(path)))
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
    fn live(mut self, mut reader: SpoolReader) -> i32 {
        let mut buf = vec![0; 1 << 18];
        loop {
            let count = reader.read(&mut buf);
            if count == 0 {
                return 0;
            }
            for (nth, lines) in buf[..count].split(|&byte| byte == REOPEN).enumerate() {
                if nth > 0 {
                    self.reopen();
                }
                self.write(lines);
            }
            match reader.dropped() {
                0 => {}
                lost => warn!(lost, "lines of the access log were dropped: the disk is too slow"),
            }
            wait_for_input([None, None, None], Some(GATHER_US));
        }
    }

    fn reopen(&mut self) {
        match open(&self.path) {
            Ok(file) => {
                self.file = file;
                info!("the access log was opened again: {}", printable(&self.path));
            }
            Err(error) => error!("{error}; it is written to the file that was open before"),
        }
    }

    fn write(&mut self, mut lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
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
