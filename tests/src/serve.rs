//! Starts a `windlass serve` for a test.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, setrlimit};
use windlass::server::Model;

use crate::PATIENCE;
use crate::pipes::{Stderr, lines_of};
use crate::server::{Member, Server};
use crate::storm::Pelting;

/// A server, to be.
#[derive(Debug)]
pub struct Serve {
    program: OsString,
    service: &'static str,
    model: Model,
    listen: Vec<String>,
    args: Vec<String>,
    nofile: Option<u64>,
    uid: Option<u32>,
    inherited: Option<OwnedFd>,
    storm: bool,
    wrapper: Vec<String>,
}

/// The services on streams, with the options that they need to serve the files of `root`.
pub fn services(root: &Path) -> [(&'static str, String); 5] {
    let root = format!("--root {}", root.display());
    let none = String::new;
    [("time", none()), ("upper", none()), ("echo", none()), ("files", root.clone()), ("http", root)]
}

impl Serve {
    /// `service` under `model` by `program`, on a TCP port of 127.0.0.1. See [`serve!`].
    ///
    /// [`serve!`]: crate::serve!
    pub fn new(program: &str, service: &'static str, model: Model) -> Self {
        Self {
            program: program.into(),
            service,
            model,
            listen: Vec::new(),
            args: Vec::new(),
            nofile: None,
            uid: None,
            inherited: None,
            storm: false,
            wrapper: Vec::new(),
        }
    }

    /// Listens here instead; the second call and later ones add a listener.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// More options, separated by spaces.
    #[must_use]
    pub fn args(mut self, words: &str) -> Self {
        self.args.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// May open so many descriptors: the soft limit and the hard one.
    #[must_use]
    pub fn nofile(mut self, limit: u64) -> Self {
        self.nofile = Some(limit);
        self
    }

    /// Runs as this user; only root can do that.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// Inherits this listening socket and serves on it.
    #[must_use]
    pub fn inherit(mut self, listener: impl Into<OwnedFd>) -> Self {
        let listener = listener.into();
        self.listen.push(format!("fd:{}", listener.as_raw_fd()));
        self.inherited = Some(listener);
        self
    }

    /// Runs in a storm of signals: every thread is interrupted about a thousand times a second.
    #[must_use]
    pub fn storm(mut self) -> Self {
        self.storm = true;
        self
    }

    /// Runs as the last arguments of another command, `strace` say.
    #[must_use]
    pub fn under(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts it, and waits until it says that it listens.
    #[track_caller]
    pub fn start(self) -> Server {
        let expected = self.listen.len().max(1);
        let storm = self.storm;
        let mut child = self.spawn();
        let stderr = Stderr::of(&mut child);
        let lines = lines_of(child.stdout.take().expect("piped"), usize::MAX);
        // From here on a failure ends the process.
        let pid = i32::try_from(child.id()).expect("a pid");
        let mut server = Server { child, pid, members: Vec::new(), stderr, pelting: None };
        for _ in 0..expected {
            let Ok(line) = lines.recv_timeout(PATIENCE) else {
                panic!("it does not listen: {:?}", server.end_now());
            };
            server.members.push(Member::parse(&line));
        }
        if storm {
            server.pelting = Some(Pelting::of(server.pid));
        }
        server
    }

    fn spawn(self) -> Child {
        let mut words = self.wrapper.iter().map(OsString::from).collect::<Vec<_>>();
        words.push(self.program);
        crate::ignored::reset();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["serve", self.service, "--model", self.model.name()]);
        let default = || vec!["tcp:127.0.0.1:0".to_owned()];
        let listen = if self.listen.is_empty() { default() } else { self.listen };
        for address in &listen {
            command.args(["--listen", address]);
        }
        // A pool serves as many clients at once as it has workers.
        let enough = match self.model {
            Model::PoolStatic => Some(["--workers", "40"]),
            Model::Prefork => Some(["--max-workers", "60"]),
            _ => None,
        };
        if let Some([option, number]) = enough
            && !self.args.iter().any(|given| given == option)
        {
            command.args([option, number]);
        }
        command.args(&self.args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, as a shell gives it: a test can do what a terminal does.
        command.process_group(0);
        if let Some(uid) = self.uid {
            command.uid(uid);
        }
        if self.storm {
            command.env("WINDLASS_TEST_STORM", "1");
        }
        let (nofile, inherited) = (self.nofile, self.inherited);
        let prepare = move || -> io::Result<()> {
            close_others_on_exec();
            if let Some(listener) = &inherited {
                fcntl(listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            if let Some(limit) = nofile {
                setrlimit(Resource::RLIMIT_NOFILE, limit, limit)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec it makes three system calls and allocates nothing.
        unsafe { command.pre_exec(prepare) };
        command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"))
    }
}

/// Descriptors that the tests inherited are not for the server: it would count
/// against its limit.
fn close_others_on_exec() {
    // SAFETY: it only marks descriptors (close_range(2)); kernels before 5.11 refuse, harmlessly.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}
