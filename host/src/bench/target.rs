//! A server under measurement: started, timed, stopped.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::question::Question;
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::server::{Model, Service};
use crate::sys::{account, clock, poll, process};

/// The server to measure.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Ours {
        model: Model,
        options: Vec<String>,
    },
    /// `windlass score listen`.
    Listener,
    Peer {
        name: String,
        command: String,
    },
}

/// The request to a server under [`Question::Connects`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// None: the server sends the time.
    Ours,
    /// `GET /` by HTTP/1.0: a web server has no service without a request.
    Http,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) speaks: Speaks,
    pid: i32,
    /// The process of the server, or of the strace around it.
    child: Child,
    /// The file with the counts of strace.
    trace: Option<PathBuf>,
}

impl Target {
    /// Starts it on a port of its choosing, and waits until it listens.
    pub(super) fn start(kind: &Kind, question: Question, folder: Option<&Path>) -> Result<Self> {
        let mut words = words(kind, question, folder)?;
        let trace = question.is_traced().then(|| {
            let name = format!("windlass-bench-{}.strace", std::process::id());
            std::env::temp_dir().join(name)
        });
        if let Some(trace) = &trace {
            let strace = ["strace", "-f", "-c", "-o"].map(OsString::from);
            words.splice(0..0, strace.into_iter().chain([trace.into()]));
        }
        let [program, args @ ..] = &words[..] else {
            return Err(Error::new("start", kind, "the command is empty"));
        };
        let mut command = Command::new(program);
        // The server also ends if this process is killed.
        account::end_with_us(&mut command);
        command.args(args).stdin(Stdio::null());
        if question == Question::Scores {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::null());
        }
        let mut child = command.spawn().map_err(Error::of("start", printable(program)))?;
        let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read>);
        let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read>);
        let mut line = String::new();
        let read = stdout.or(stderr).map(|pipe| BufReader::new(pipe).read_line(&mut line));
        let service = line.split_whitespace().nth(2);
        let speaks = if service == Some("http") { Speaks::Http } else { Speaks::Ours };
        let address = line.split_whitespace().nth(1).and_then(|text| text.parse().ok());
        let own_pid = || i32::try_from(child.id()).ok();
        let pid = line.split_whitespace().next_back().and_then(|text| text.parse().ok());
        let pid = pid.or_else(own_pid);
        let (Some(address), Some(pid)) = (address, pid) else {
            let _ = child.kill();
            let _ = child.wait();
            let silent = || Box::from("it printed no line `listening ADDR …`");
            let why: Cause = read.and_then(io::Result::err).map_or_else(silent, Cause::from);
            return Err(Error::new("start", kind, why));
        };
        Ok(Self { address, speaks, pid, child, trace })
    }

    pub(super) fn cpu_ns(&self) -> Result<u64> {
        account::cpu_ns(self.pid)
    }

    pub(super) fn private_bytes(&self) -> Result<u64> {
        account::private_bytes(self.pid)
    }

    /// Whether the server is a child of the process that was started.
    fn is_wrapped(&self) -> bool {
        i32::try_from(self.child.id()) != Ok(self.pid)
    }

    /// Ends the server. Returns how many system calls strace counted.
    pub(super) fn traced_calls(mut self) -> Result<u64> {
        let Some(trace) = self.trace.take() else { return Ok(0) };
        process::terminate(self.pid);
        let _ = self.child.wait();
        let counts =
            std::fs::read_to_string(&trace).map_err(Error::of("read", printable(&trace)))?;
        let _ = std::fs::remove_file(&trace);
        // The last line: `100.00  seconds  usecs/call  calls  [errors]  total`.
        let total = counts.lines().rev().find(|line| line.trim_end().ends_with("total"));
        let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
        calls.ok_or_else(|| Error::new("read", printable(&trace), "no total"))
    }
}

/// The command.
fn words(kind: &Kind, question: Question, folder: Option<&Path>) -> Result<Vec<OsString>> {
    let service = match question {
        Question::Connects => Service::Time,
        Question::Files => Service::Files,
        Question::Scores => Service::Score,
        Question::Messages
        | Question::Fairness
        | Question::Memory
        | Question::Syscalls
        | Question::Datagrams
        | Question::Latency
        | Question::Batches
        | Question::Flood => Service::Upper,
    };
    let address = if question.has_datagrams() { "udp:127.0.0.1:0" } else { "tcp:127.0.0.1:0" };
    let this = || std::env::current_exe().map_err(Error::of("find", "this program"));
    let of = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    match kind {
        Kind::Ours { model, options } => {
            let mut words = vec![this()?.into_os_string()];
            words.extend(of(&["serve", service.name(), "--listen", address]));
            words.extend(of(&["--model", model.name()]));
            words.extend(options.iter().map(OsString::from));
            if let Some(folder) = folder {
                words.extend(["--root".into(), folder.into()]);
            }
            Ok(words)
        }
        Kind::Listener => {
            let mut words = vec![this()?.into_os_string()];
            words.extend(of(&["score", "listen", address]));
            Ok(words)
        }
        Kind::Peer { command, .. } => {
            let word = |word: &str| match folder {
                Some(folder) if word == "FOLDER" => folder.into(),
                Some(_) | None => word.into(),
            };
            Ok(command.split_whitespace().map(word).collect())
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Twice: after the first signal the server would drain, which is not needed here.
        process::terminate(self.pid);
        process::terminate(self.pid);
        // A program that started the server may have to clean up after it.
        let deadline = clock::now().after(2_000_000);
        while self.is_wrapped()
            && matches!(self.child.try_wait(), Ok(None))
            && clock::now() < deadline
        {
            poll::wait_for_input([None, None, None], Some(1_000));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(trace) = &self.trace {
            let _ = std::fs::remove_file(trace);
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Ours { model, .. } => f.write_str(model.name()),
            Kind::Listener => f.write_str("score listen"),
            Kind::Peer { name, .. } => printable(name).fmt(f),
        }
    }
}
