//! Signals: they end a transfer, the file is not left behind, and the shell sees which signal it was.

use std::ffi::OsStr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};

use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use windlass_tests::{PATIENCE, Pty, proc, within};

use crate::folder::Folder;
use crate::server::Server;

/// A transfer that has begun, and goes on when it is told to.
struct Transfer {
    child: Child,
    folder: Folder,
    go_on: Sender<()>,
}

impl Transfer {
    /// `how` it minds `of` when it starts, as its parent left it.
    fn begin(of: Signal, how: SigHandler) -> Self {
        let (go_on, may_go_on) = channel();
        let server = Server::start(move |client, _| {
            client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            if may_go_on.recv().is_ok() {
                client.say(b"world");
            }
        });
        let folder = Folder::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-under-test"));
        command.args(["get", &server.url("/"), "-o"]).arg(folder.at("file"));
        command.stderr(Stdio::piped());
        // SAFETY: signal(2) may be called between fork and exec, and no handler is installed.
        unsafe { command.pre_exec(move || Ok(signal(of, how).map(drop)?)) };
        let child = command.spawn().expect("start");
        within(PATIENCE, "a temporary file appears", || {
            folder.names().iter().any(|name| name.starts_with(".windlass-"))
        });
        Self { child, folder, go_on }
    }

    fn kill(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("kill");
    }

    fn end(&mut self) -> ExitStatus {
        let mut status = None;
        within(PATIENCE, "it ends", || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_ends_a_transfer_and_leaves_nothing_behind() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let mut transfer = Transfer::begin(signal, SigHandler::SigDfl);
        transfer.kill(signal);
        let status = transfer.end();
        // What a shell calls 128 + its number.
        assert_eq!(status.signal(), Some(signal as i32), "{status}");
        transfer.folder.is_empty();
    }
}

/// As `nohup` does, and a shell without job control to what runs in the background.
#[test]
fn an_ignored_signal_stays_ignored() {
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        let mut transfer = Transfer::begin(signal, SigHandler::SigIgn);
        for _ in 0..3 {
            transfer.kill(signal);
        }
        transfer.go_on.send(()).expect("the server waits");
        let status = transfer.end();
        assert!(status.success(), "{status}");
        transfer.folder.has_only("file", b"helloworld");
    }
}

#[test]
fn a_shell_sees_128_and_the_signals_number() {
    let folder = Folder::new();
    let server = Server::start(|client, _| {
        client.say(b"HTTP/1.1 200 OK\r\n\r\nhello");
        client.hold();
    });
    let program = env!("CARGO_BIN_EXE_windlass-under-test");
    let file = folder.at("file");
    // The shell's `wait` gives the code as `$?` does.
    let script = format!(
        "{program} get {} -o {} & \
         while [ -z \"$(ls -A {})\" ]; do sleep 0.01; done; kill -TERM $!; wait $!; echo $?",
        server.url("/"),
        file.display(),
        folder.path().display(),
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("run");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "143\n", "{output:?}");
    folder.is_empty();
}

/// In a shell with job control the line of the progress makes room for the shell's, and is there again after
/// `fg`.
#[test]
fn a_transfer_is_stopped_and_goes_on() {
    let (go_on, may_go_on) = channel::<()>();
    let server = Server::start(move |client, _| {
        client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        if may_go_on.recv().is_ok() {
            client.say(b"world");
        }
    });
    let folder = Folder::new();
    let script = "set -m; \"$0\" get \"$1\" -o \"$2\"; read line; fg; echo over $?";
    let (program, file) = (env!("CARGO_BIN_EXE_windlass-under-test"), folder.at("file"));
    let url = server.url("/");
    let args = ["-c", script, program, &url].map(OsStr::new).into_iter().chain([file.as_os_str()]);
    let mut shell = Pty::start("sh", &args.collect::<Vec<_>>(), 24, 80);
    let bar = "5 B of 10 B";
    shell.until(bar);
    let [pid] = proc::children(shell.pid())[..] else { panic!("one child") };
    // A key would be echoed, behind the end of the line.
    kill(Pid::from_raw(pid), Signal::SIGTSTP).expect("it runs");
    within(PATIENCE, "it is stopped", || proc::is_stopped(pid));
    within(PATIENCE, "its line is gone", || !shell.shown().contains(bar));
    shell.press(b"\n");
    shell.until(bar);
    go_on.send(()).expect("the server waits");
    shell.until("over 0");
    assert_eq!(shell.wait(), Ok(0));
    assert_eq!(std::fs::read(&file).expect("it is there"), b"helloworld");
}
