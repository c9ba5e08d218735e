//! A board of the emulator that runs. Its log is decoded, and every wait has a limit: a board that hangs fails with
//! its log.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use defmt_decoder::{DecodeError, Table};

use crate::run::{Result, program};

/// A machine of the emulator.
pub(crate) struct Machine {
    pub(crate) qemu: &'static str,
    /// The Debian package with that program.
    pub(crate) package: &'static str,
    pub(crate) args: &'static [&'static str],
}

impl Machine {
    /// The command that runs an image with these arguments, without serial ports and network.
    pub(crate) fn command(&self, image: &Path, words: &[&str]) -> Command {
        let mut qemu = program(self.qemu);
        qemu.args(self.args).args(["-display", "none", "-monitor", "none"]);
        let words: String = words.iter().flat_map(|word| [",arg=", word]).collect();
        qemu.args(["-semihosting-config", &format!("enable=on,target=native,arg=image{words}")]);
        qemu.arg("-kernel").arg(image);
        qemu
    }
}

/// The time on the board is the number of its instructions, of 32 ns each.
pub(crate) const EXACT: [&str; 2] = ["-icount", "shift=5,sleep=off"];

/// A board that runs. It is switched off when this is dropped.
pub(crate) struct Emulator {
    child: Child,
    lines: Receiver<String>,
    pub(crate) log: String,
    /// What the emulator itself says.
    errors: File,
    /// When all has to be over.
    end: Instant,
}

impl Emulator {
    /// Starts a board, which has `limit` for all that it does. The image has the texts of its log.
    pub(crate) fn start(command: Command, image: &Path, limit: Duration) -> Result<Self> {
        Self::start_beside(command, Stdio::null(), image, limit)
    }

    /// The same with this standard input of the emulator, which can be a socket.
    pub(crate) fn start_beside(
        mut command: Command,
        stdin: Stdio,
        image: &Path,
        limit: Duration,
    ) -> Result<Self> {
        let fail = |why: String| format!("{}: {why}", command.get_program().display());
        let elf = fs::read(image).map_err(|error| format!("{}: {error}", image.display()))?;
        let table = Table::parse(&elf).ok().flatten();
        let table = table.ok_or_else(|| format!("{}: it has no log", image.display()))?;
        let errors = tempfile::tempfile().map_err(|error| fail(error.to_string()))?;
        let copy = errors.try_clone().map_err(|error| fail(error.to_string()))?;
        let child = command.stdin(stdin).stdout(Stdio::piped()).stderr(copy).spawn();
        let mut child = child.map_err(|error| format!("{command:?}: {error}"))?;
        let output = child.stdout.take().ok_or("no pipe")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || decode(&table, output, &sender));
        Ok(Self { child, lines, log: String::new(), errors, end: Instant::now() + limit })
    }

    /// Waits for the next line. `None`: the board has ended.
    fn line(&mut self) -> Result<Option<String>> {
        let left = self.end.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.log.push_str(&line);
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(self.fault("it hung")),
        }
    }

    /// Waits for the next line with `words`, and returns it.
    pub(crate) fn until(&mut self, words: &str) -> Result<String> {
        loop {
            match self.line()? {
                Some(line) if line.contains(words) => return Ok(line),
                Some(_) => {}
                None => return Err(self.fault(&format!("it did not print {words:?}"))),
            }
        }
    }

    /// Waits for the end of the board. Returns its log and its exit code.
    pub(crate) fn finish(mut self) -> Result<(String, Option<i32>)> {
        while self.line()?.is_some() {}
        let status = self.child.wait().map_err(|error| self.fault(&error.to_string()))?;
        if let Some(code) = status.code() {
            return Ok((std::mem::take(&mut self.log), Some(code)));
        }
        Err(self.fault(&status.to_string()))
    }

    /// The log of a board that ends with success.
    pub(crate) fn succeeds(mut self) -> Result<String> {
        while self.line()?.is_some() {}
        match self.child.wait() {
            Ok(status) if status.success() => Ok(std::mem::take(&mut self.log)),
            Ok(status) => Err(self.fault(&status.to_string())),
            Err(error) => Err(self.fault(&error.to_string())),
        }
    }

    /// Whether the time is over, or the board has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        Instant::now() > self.end || !matches!(self.child.try_wait(), Ok(None))
    }

    /// Switches the board off. Returns an error with its log.
    pub(crate) fn fault(&mut self, why: &str) -> String {
        let _ = (self.child.kill(), self.child.wait());
        self.log.extend(self.lines.iter());
        let mut errors = Vec::new();
        let _ = self.errors.rewind().and_then(|()| self.errors.read_to_end(&mut errors));
        format!("the board: {why}\n{}{}", self.log, String::from_utf8_lossy(&errors))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// Decodes the log to its end. A line begins with the time on the board, in seconds.
fn decode(table: &Table, mut output: ChildStdout, lines: &Sender<String>) {
    let mut decoder = table.new_stream_decoder();
    let mut bytes = [0; 1024];
    while let Ok(n @ 1..) = output.read(&mut bytes) {
        decoder.received(&bytes[..n]);
        loop {
            let mut line = String::new();
            let _ = match decoder.decode() {
                Ok(frame) => match frame.display_timestamp() {
                    Some(time) => writeln!(line, "{time:>12} {}", frame.display_message()),
                    None => writeln!(line, "{}", frame.display_message()),
                },
                Err(DecodeError::UnexpectedEof) => break,
                Err(DecodeError::Malformed) => writeln!(line, "(bytes that are no line of a log)"),
            };
            if lines.send(line).is_err() {
                return;
            }
        }
    }
}
