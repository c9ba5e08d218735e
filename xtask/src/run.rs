//! Runs other programs; an error names the program and the cause.

use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

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

/// Runs `work`, which waits for something of `child`, and kills the child if that takes longer than `limit`.
/// Returns also whether it did. `work` does not reap the child, so the pid stays its own.
pub(crate) fn within<T>(limit: Duration, child: &Child, work: impl FnOnce() -> T) -> (T, bool) {
    let pid = pid_of(child);
    let (ended, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let hung = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            hung && kill(pid, Signal::SIGKILL).is_ok()
        });
        let done = work();
        drop(ended);
        (done, watch.join().unwrap_or(false))
    })
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Waits for the end of a child, and does not reap it.
fn until_ended(child: &Child) {
    let (pid, ends) = (pid_of(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    while waitid(Id::Pid(pid), ends) == Err(Errno::EINTR) {}
}

/// Runs a program to its end, and returns what it printed; no status if it took longer than `limit` and was
/// killed. It prints to a file: a pipe would not end while a process that the program left behind has it open.
pub(crate) fn captured(
    command: &mut Command,
    limit: Duration,
) -> io::Result<(String, Option<ExitStatus>)> {
    let mut file = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file.try_clone()?);
    let mut child = command.spawn()?;
    let ((), hung) = within(limit, &child, || until_ended(&child));
    let status = child.wait()?;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    if hung {
        writeln!(bytes, "\nit did not end within {} s", limit.as_secs())?;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((text, (!hung).then_some(status)))
}

/// Builds the program `windlass` with the profile `dev` or `release`, and returns its path.
pub(crate) fn build_windlass(profile: &str) -> Result<PathBuf> {
    run(cargo().args(["build", "--profile", profile, "--package", "windlass"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(root().join(target).join(folder).join("windlass"))
}

/// How long `windlass talk` may take.
const TALK_MAX: Duration = Duration::from_secs(60);

/// Sends `text` through `windlass talk`, and returns as many bytes of the answer. The input ends
/// only then: a UART has no half-close, and QEMU closes the connection on one. No bytes may follow
/// the answer.
pub(crate) fn talk(windlass: &Path, address: &str, text: &[u8]) -> Result<Vec<u8>> {
    let fail = |error: io::Error| format!("windlass talk {address}: {error}");
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
    let converse = || {
        thread::scope(|scope| {
            // Writes and reads at once, because a file does not fit in a pipe.
            let sender = scope.spawn(move || stdin.write_all(text).map(|()| stdin));
            let received = stdout.read_exact(&mut answer);
            let stdin = sender.join().map_err(|_| io::Error::other("the sender panicked"))?;
            drop(stdin?);
            received?;
            stdout.read_to_end(&mut answer)?;
            until_ended(&client);
            Ok(())
        })
    };
    let (conversed, hung) = within(TALK_MAX, &client, converse);
    let ended = client.wait().map_err(fail)?;
    if hung {
        return Err(format!("windlass talk {address}: no answer within {} s", TALK_MAX.as_secs()));
    }
    conversed.map_err(fail)?;
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
