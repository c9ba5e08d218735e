//! Runs other programs; an error names the program and the cause.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The error of a command: one line.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A program that will run in the root of the workspace.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command, which has to succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

/// Runs a command and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", output.status))
    }
}

/// Builds the program `windlass`, and returns its path.
pub(crate) fn build_windlass() -> Result<PathBuf> {
    run(cargo().args(["build", "--release", "--package", "windlass"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    Ok(root().join(target).join("release/windlass"))
}

/// Sends `text` through `windlass talk`, and returns as many bytes of the answer. The input ends
/// only then: a UART has no half-close, and QEMU closes the connection on one. No bytes may follow
/// the answer.
pub(crate) fn talk(windlass: &Path, address: &str, text: &[u8]) -> Result<Vec<u8>> {
    let fail = |error: std::io::Error| format!("windlass talk {address}: {error}");
    let mut client = program(windlass)
        .args(["talk", address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let (Some(mut stdin), Some(mut stdout)) = (client.stdin.take(), client.stdout.take()) else {
        return Err(format!("windlass talk {address}: no pipes"));
    };
    let mut answer = vec![0; text.len()];
    std::thread::scope(|scope| {
        // Writes and reads at once, because a file does not fit in a pipe.
        let sender = scope.spawn(move || stdin.write_all(text).map(|()| stdin));
        let received = stdout.read_exact(&mut answer);
        let stdin = sender.join().map_err(|_| std::io::Error::other("the sender panicked"))?;
        drop(stdin?);
        received?;
        stdout.read_to_end(&mut answer)
    })
    .map_err(fail)?;
    let ended = client.wait().map_err(fail)?;
    if ended.success() { Ok(answer) } else { Err(format!("windlass talk {address}: {ended}")) }
}

/// Whether a program is installed.
pub(crate) fn has(name: &str) -> bool {
    let probe =
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok()
}

/// Reports a step without its tool. Under `CI=true` that is a failure.
pub(crate) fn skip(what: &str, why: &str) -> Result<()> {
    if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        return Err(format!("{what} cannot be skipped here: {why}"));
    }
    println!("skipped: {what}: {why}");
    Ok(())
}

/// Runs one step under a headline, and prints how long it took.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n== {name}");
    let begin = Instant::now();
    work().map_err(|why| format!("{name}: {why}"))?;
    println!("== {name}: {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}
