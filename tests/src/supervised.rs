//! A `windlass serve --config` of a test: a supervisor, and the lines that it prints.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::pipes::{Stderr, lines_of};
use crate::server::Member;
use crate::{PATIENCE, proc, within};

/// A supervisor, to be. See [`supervise!`](crate::supervise!).
#[derive(Debug)]
pub struct Supervise {
    program: OsString,
    folder: TempDir,
    env: Vec<(&'static str, OsString)>,
    passed: Vec<OwnedFd>,
    is_deaf: bool,
    under: Vec<OsString>,
    never_runs_what_it_wrote: bool,
}

/// A running supervisor. When it is dropped, it, its successors and every process of theirs are ended.
#[derive(Debug)]
pub struct Supervised {
    folder: TempDir,
    child: Child,
    lines: Receiver<String>,
    stderr: Stderr,
}

impl Supervise {
    /// With the configuration `text`.
    pub fn new(program: impl Into<OsString>, text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config"), text).expect("write");
        Self {
            program: program.into(),
            folder,
            env: Vec::new(),
            passed: Vec::new(),
            is_deaf: false,
            under: Vec::new(),
            never_runs_what_it_wrote: false,
        }
    }

    /// Runs as the last arguments of another command, which leaves it its pid: `strace -D` does.
    #[must_use]
    pub fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(OsString::from).collect();
        self
    }

    /// Memory that could be written to cannot be executed (`MemoryDenyWriteExecute=`), where the kernel can
    /// refuse that: from Linux 6.3 on.
    #[must_use]
    pub fn never_runs_what_it_wrote(mut self) -> Self {
        self.never_runs_what_it_wrote = true;
        self
    }

    /// The program is found under another name: a link in the folder, which can lead elsewhere later.
    #[must_use]
    pub fn by_link(mut self) -> Self {
        let link = self.folder.path().join("program");
        std::os::unix::fs::symlink(&self.program, &link).expect("symlink");
        self.program = link.into();
        self
    }

    /// The first line that it prints is read, and then its standard output is closed.
    #[must_use]
    pub fn deaf(mut self) -> Self {
        self.is_deaf = true;
        self
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// A service manager listens: what it is told comes to the socket.
    #[must_use]
    pub fn notify(self) -> (Self, UnixDatagram) {
        let path = self.folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bind");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        (self.env("NOTIFY_SOCKET", path), socket)
    }

    /// Passes a socket, or another descriptor, as service managers do: from number 3 on.
    #[must_use]
    pub fn activate(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.passed.push(descriptor.into());
        self
    }

    /// Starts it. Its `listening` lines are for [`Supervised::listening`] to take.
    pub fn start(self) -> Supervised {
        let Self { program, folder, env, passed, is_deaf, under, never_runs_what_it_wrote } = self;
        // LISTEN_PID is not known before.
        let count = passed.len();
        let activate = format!("export LISTEN_PID=$$ LISTEN_FDS={count}; exec \"$0\" \"$@\"");
        let plain = "exec \"$0\" \"$@\"".to_owned();
        crate::ignored::reset();
        let mut command = Command::new("sh");
        command.args(["-c", if count > 0 { &activate } else { &plain }]);
        command.args(under).arg(program);
        command.args(["serve", "--config"]).arg(folder.path().join("config")).envs(env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        let pass = move || -> io::Result<()> {
            if never_runs_what_it_wrote {
                let refuse = libc::c_ulong::from(libc::PR_MDWE_REFUSE_EXEC_GAIN);
                // SAFETY: it takes numbers. An older kernel says EINVAL.
                unsafe { libc::prctl(libc::PR_SET_MDWE, refuse, 0, 0, 0) };
            }
            // Out of the way first, then each to its place; what others have open is closed on exec.
            let mut high = [0; 8];
            for (place, socket) in high.iter_mut().zip(&passed) {
                // SAFETY: it takes numbers.
                *place = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 500) };
            }
            // SAFETY: it only marks descriptors.
            unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
            for (number, from) in (3..).zip(&high[..passed.len()]) {
                // SAFETY: it takes numbers; what was there is marked to be closed, and not ours to use.
                unsafe { libc::dup2(*from, number) };
            }
            Ok(())
        };
        // SAFETY: between fork and exec it makes system calls, and allocates nothing. (The pipe by which
        // a failed exec would be told may be overwritten: `sh` is there.)
        unsafe { command.pre_exec(pass) };
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let stderr = Stderr::of(&mut child);
        let lines =
            lines_of(child.stdout.take().expect("piped"), if is_deaf { 1 } else { usize::MAX });
        Supervised { folder, child, lines, stderr }
    }

    /// Starts it, and takes `count` listeners, in the order of their addresses as configured by port or
    /// path, which is any.
    #[track_caller]
    pub fn serving(self, count: usize) -> (Supervised, Vec<Member>) {
        let supervised = self.start();
        let members = (0..count).map(|_| supervised.listening()).collect();
        (supervised, members)
    }
}

impl Supervised {
    /// The next `listening` line.
    #[track_caller]
    pub fn listening(&self) -> Member {
        let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
            panic!("no line comes: {}", self.stderr());
        };
        Member::parse(&line)
    }

    /// Whether a line waits.
    pub fn says_more(&self) -> bool {
        self.lines.try_recv().is_ok()
    }

    /// The process that was started.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// What was logged so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// How many lines of the log have these words.
    pub fn logged(&self, words: &str) -> usize {
        self.stderr().lines().filter(|line| line.contains(words)).count()
    }

    /// Waits until so many lines of the log have these words.
    #[track_caller]
    pub fn until_logged(&self, words: &str, count: usize) {
        within(PATIENCE, &format!("{count} × {words:?}"), || self.logged(words) >= count);
    }

    /// Sends a signal to the process that was started.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is ours and not reaped");
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the configuration is.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Writes a new configuration, and has it read. The last line of the log that says what came of it.
    #[track_caller]
    pub fn reload(&self, text: &str) -> String {
        std::fs::write(self.config(), text).expect("write");
        let before = self.logged("reloaded");
        self.signal(Signal::SIGHUP);
        self.until_logged("reloaded", before + 1);
        let log = self.stderr();
        log.lines().rfind(|line| line.contains("reloaded")).expect("it was logged").to_owned()
    }

    /// The processes that took over from the first, by what was logged.
    pub fn successors(&self) -> Vec<i32> {
        let log = self.stderr();
        let started = log.lines().filter(|line| line.contains("the new binary was started"));
        started.filter_map(|line| line.rsplit_once("pid=")?.1.trim().parse().ok()).collect()
    }

    /// Waits for the end of the process that was started: its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        within(PATIENCE, "the supervisor ends", || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// SIGTERM, and its end: no process that it started is left.
    #[track_caller]
    pub fn stop(mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let code = self.wait();
        assert!(self.stderr.has_ended(), "a process that it started outlives it");
        code
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        for pid in self.successors() {
            // The number is its own while it runs; when it does not, it was so a moment ago.
            if proc::runs(pid) && proc::command(pid).contains("windlass") {
                proc::end_tree(pid);
            }
        }
        if let Ok(None) = self.child.try_wait() {
            proc::end_tree(self.pid());
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the supervisor's standard error:\n{}---", self.stderr());
        }
    }
}
