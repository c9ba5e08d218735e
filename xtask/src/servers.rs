//! Programs of this host that a board talks to.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::run::{Result, program, within};

/// How long a program may take to start.
const START_MAX: Duration = Duration::from_secs(60);

/// A program that is ended when it is dropped.
pub(crate) struct Program(Child);

impl Program {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null());
        command.spawn().map(Self).map_err(|error| format!("{command:?}: {error}"))
    }

    pub(crate) fn end(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }

    /// The first line that it prints to this pipe, which stays open.
    pub(crate) fn first_line<R: Read>(
        &mut self,
        pipe: impl Fn(&mut Child) -> &mut Option<R>,
    ) -> Result<String> {
        let mut line = Vec::new();
        let Some(mut from) = pipe(&mut self.0).take() else { return Err("no pipe".to_owned()) };
        let read = || {
            let mut byte = [0];
            while !line.ends_with(b"\n") && from.read(&mut byte)? == 1 {
                line.push(byte[0]);
            }
            std::io::Result::Ok(())
        };
        within(START_MAX, &self.0, read).0.map_err(|error| error.to_string())?;
        *pipe(&mut self.0) = Some(from);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts `windlass serve` with these words at a port of its own, `tcp` or `udp`. Returns it with its address.
pub(crate) fn serve(
    windlass: &Path,
    words: &[&str],
    root: Option<&Path>,
    kind: &str,
) -> Result<(Program, String)> {
    let mut command = program(windlass);
    command.arg("serve").args(words).args(["--listen", &format!("{kind}:127.0.0.1:0")]);
    if let Some(root) = root {
        command.arg("--root").arg(root);
    }
    let mut server = Program::start(command.stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let line = server.first_line(|child| &mut child.stdout)?;
    match line.split(' ').nth(1) {
        Some(address) => Ok((server, address.to_owned())),
        None => Err(format!("windlass serve {words:?}: no address, but {line:?}")),
    }
}
