//! The time between two binaries of an upgrade: the old one serves, the new one has its sockets and
//! is not ready.
//!
//! - However the new binary ends in this time, the old one goes on serving, on every socket and file.
//! - A descriptor that was handed over is identified by what it is, never by its number alone.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use windlass_tests::{Client, PATIENCE, Supervised, proc, supervise, windlass, within};

const ANY: &str = "tcp:127.0.0.1:0";

fn listener(model: &str, address: &str, more: &str) -> String {
    format!("[[listener]]\nservice = 'upper'\nmodel = '{model}'\nlisten = '{address}'\n{more}\n")
}

/// A new binary that waits in its first line of log, since the pipe for it is full. It has the sockets and
/// the configuration by then, and is deaf: what it is sent is noted by a handler, and is the first thing
/// that it hears when it goes on.
struct Held {
    pid: i32,
    full: File,
    pipe: PathBuf,
}

impl Held {
    /// Of a supervisor that was started by a link.
    fn start(supervised: &Supervised) -> Self {
        let pipe = supervised.folder().join("full");
        mkfifo(&pipe, Mode::S_IRWXU).expect("mkfifo");
        let mut options = OpenOptions::new();
        let full = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&pipe);
        let mut full = full.expect("open");
        let why = loop {
            if let Err(error) = full.write(&[b'\n'; 4096]) {
                break error;
            }
        };
        assert_eq!(why.kind(), ErrorKind::WouldBlock);
        let program = fs::canonicalize(env!("CARGO_BIN_EXE_windlass-under-test")).expect("program");
        let script = format!(
            "#!/bin/sh\nexec 2>'{}'\nexec '{}' \"$@\"\n",
            pipe.display(),
            program.display()
        );
        // By a process of its own: while a process has it open for writing it cannot be executed.
        let write = "rm \"$0\" && printf %s \"$1\" >\"$0\" && chmod 755 \"$0\"";
        let mut command = Command::new("sh");
        command.args(["-c", write]).arg(supervised.folder().join("program")).arg(script);
        assert!(command.status().expect("sh").success());
        supervised.signal(Signal::SIGUSR2);
        supervised.until_logged("the new binary was started", 1);
        let pid = supervised.successors()[0];
        within(PATIENCE, "it has read the configuration, and waits for signals", || {
            // The last of those that a server catches; a shell has nothing to do with it.
            proc::catches(pid, Signal::SIGUSR2)
        });
        Self { pid, full, pipe }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).expect("it runs");
    }

    /// It goes on. What it logs, once it has ended.
    fn go_on(self) -> JoinHandle<String> {
        let mut pipe = File::open(&self.pipe).expect("open");
        drop(self.full);
        thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).expect("read");
            text
        })
    }
}

/// Listeners of every kind, one of them with a control socket.
fn everything(folder: &Path) -> String {
    let [unix, control] = ["socket", "control"].map(|name| folder.join(name).display().to_string());
    let control = format!("control = '{control}'");
    listener("epoll", ANY, "")
        + &listener("prefork", ANY, &control)
        + &listener("poll", &format!("unix:{unix}"), "")
}

#[test]
fn a_new_binary_that_is_stopped_before_it_is_ready_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = supervise!(&everything(folder.path())).by_link();
    let (supervised, members) = start.serving(3);
    let held = Held::start(&supervised);
    let new = held.pid;
    held.signal(Signal::SIGTERM);
    let log = held.go_on();
    supervised.until_logged("before it was ready; the old one goes on", 1);
    within(PATIENCE, "it is gone", || !proc::runs(new));
    let log = log.join().expect("its log");
    assert!(log.contains("serving") && !log.contains("taking over"), "{log}");
    for member in &members {
        Client::connect(&member.address).upper(b"hello");
    }
    windlass!("status", folder.path().join("control")).run().succeeds();
    assert_eq!(supervised.stop(), Some(0));
    assert_eq!(folder.path().read_dir().expect("list").count(), 0);
}

/// What it was to let go is the old one's to close.
#[test]
fn a_new_binary_takes_no_configuration_before_it_is_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = everything(folder.path());
    let (mut supervised, members) = supervise!(&text).by_link().serving(3);
    let held = Held::start(&supervised);
    let new = held.pid;
    fs::write(supervised.config(), listener("epoll", ANY, "")).expect("write");
    held.signal(Signal::SIGHUP);
    let log = held.go_on();
    assert_eq!(supervised.wait(), Some(0), "it has handed over");
    for member in &members {
        Client::connect(&member.address).upper(b"hello");
    }
    windlass!("status", folder.path().join("control")).run().succeeds();
    kill(Pid::from_raw(new), Signal::SIGTERM).expect("it runs");
    within(PATIENCE, "it is gone", || !proc::runs(new));
    let log = log.join().expect("its log");
    assert!(log.contains("an upgrade is under way"), "{log}");
    assert_eq!(folder.path().read_dir().expect("list").count(), 0);
}

/// One socket would be served as two.
#[test]
fn a_number_is_not_taken_for_a_socket_that_is_another_listeners() {
    let address = format!("unix:@{}", windlass_tests::unique("number"));
    let text = listener("epoll", &address, "");
    let (supervised, members) = supervise!(&text).serving(1);
    // Each of its descriptors, the listening socket among them.
    let open = fs::read_dir(format!("/proc/{}/fd", supervised.pid())).expect("it runs");
    let open = open.map(|entry| entry.expect("list").file_name().into_string().expect("a number"));
    let numbers: Vec<u32> = open.map(|number| number.parse().expect("a number")).collect();
    let numbers: Vec<_> = numbers.into_iter().filter(|&number| number > 2).collect();
    for (n, number) in (1..).zip(&numbers) {
        let more = text.clone() + &listener("poll", &format!("fd:{number}"), "");
        fs::write(supervised.config(), more).expect("write");
        supervised.signal(Signal::SIGUSR2);
        supervised.until_logged("before it was ready; the old one goes on", n);
        Client::connect(&members[0].address).upper(b"hello");
    }
    let refused = supervised.logged("a descriptor is inherited at the start, and not by the next");
    assert_eq!(refused, numbers.len());
    assert_eq!(supervised.stop(), Some(0));
}

#[test]
fn a_number_is_not_taken_for_a_socket_that_was_claimed_by_name() {
    let text = listener("epoll", ANY, "name = 'web'") + &listener("poll", "fd:3", "");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let start = supervise!(&text).env("LISTEN_FDNAMES", "web").activate(socket);
    let mut supervised = start.start();
    assert_eq!(supervised.wait(), Some(1));
    supervised.until_logged("inherit fd:3: it was passed, and another listener has it", 1);
}
