//! A program that is run to its end: its input and its output.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{PATIENCE, within};

/// A run of a program, to be.
#[derive(Debug)]
pub struct Program {
    name: OsString,
    args: Vec<OsString>,
    feed: Feed,
    output: Option<File>,
    errors: Option<File>,
    envs: Vec<(OsString, OsString)>,
}

/// What a program finds on its standard input.
#[derive(Debug)]
pub enum Feed {
    /// Nothing: `/dev/null`.
    Nothing,
    /// A pipe with these bytes, then its end.
    Pipe(Vec<u8>),
    /// A pipe that stays open and silent until the program has ended.
    Silence,
    /// A file.
    File(File),
}

/// How a program ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; `None` when a signal killed it.
    pub code: Option<i32>,
    /// What it wrote to standard output, unless that went to a file.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Program {
    /// The program called `name`, with no arguments and nothing on its standard input.
    pub fn new(name: impl AsRef<OsStr>) -> Self {
        let name = name.as_ref().to_owned();
        Self {
            name,
            args: Vec::new(),
            feed: Feed::Nothing,
            output: None,
            errors: None,
            envs: Vec::new(),
        }
    }

    /// One argument more.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments, separated by spaces.
    #[must_use]
    pub fn words(mut self, words: &str) -> Self {
        self.args.extend(words.split_whitespace().map(OsString::from));
        self
    }

    /// What it finds on its standard input.
    #[must_use]
    pub fn feed(mut self, feed: Feed) -> Self {
        self.feed = feed;
        self
    }

    /// Standard output goes to this file.
    #[must_use]
    pub fn output(mut self, file: File) -> Self {
        self.output = Some(file);
        self
    }

    /// Standard error goes to this file.
    #[must_use]
    pub fn errors(mut self, file: File) -> Self {
        self.errors = Some(file);
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The servers of a test are asked directly, whatever the environment says.
    fn command(&self) -> Command {
        crate::ignored::reset();
        let mut command = Command::new(&self.name);
        for variable in ["http_proxy", "all_proxy", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        command.args(&self.args).envs(self.envs.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Outcome {
        let mut command = self.command();
        command.stderr(self.errors.map_or_else(Stdio::piped, Stdio::from));
        command.stdout(self.output.map_or_else(Stdio::piped, Stdio::from));
        let (stdin, feed, silent) = match self.feed {
            Feed::Nothing => (Stdio::null(), None, false),
            Feed::Pipe(bytes) => (Stdio::piped(), Some(bytes), false),
            Feed::Silence => (Stdio::piped(), None, true),
            Feed::File(file) => (file.into(), None, false),
        };
        let child = command.stdin(stdin).spawn();
        let child = child.unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let mut running = Running(child);
        let child = &mut running.0;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(|pipe| thread::spawn(|| all_of(pipe)));
        let stderr = child.stderr.take().map(|pipe| thread::spawn(|| all_of(pipe)));
        let held = if silent { stdin } else { spawn_feeder(stdin, feed) };
        let mut status = None;
        within(PATIENCE, &format!("{command:?} ends"), || {
            status = running.0.try_wait().expect("wait");
            status.is_some()
        });
        drop(held);
        let collect = |thread: Option<thread::JoinHandle<Vec<u8>>>| {
            thread.map(|thread| thread.join().expect("a reader")).unwrap_or_default()
        };
        Outcome {
            code: status.and_then(|status| status.code()),
            stdout: collect(stdout),
            stderr: String::from_utf8_lossy(&collect(stderr)).into_owned(),
        }
    }

    /// Starts it, for as long as the value lives. Its input is a file or nothing; what it prints
    /// goes to the file of [`output`](Self::output) or nowhere.
    #[track_caller]
    pub fn start(self) -> Running {
        let mut command = self.command();
        command.stderr(self.errors.map_or_else(Stdio::null, Stdio::from));
        command.stdout(self.output.map_or_else(Stdio::null, Stdio::from));
        let child = match self.feed {
            Feed::File(file) => command.stdin(file).spawn(),
            Feed::Nothing | Feed::Pipe(_) | Feed::Silence => command.stdin(Stdio::null()).spawn(),
        };
        Running(child.unwrap_or_else(|error| panic!("start {command:?}: {error}")))
    }
}

impl Outcome {
    /// It is to have ended with `code`, with nothing on standard output and one line on standard
    /// error that contains every one of `words`.
    #[track_caller]
    pub fn fails_with(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(self.stdout.is_empty(), "{self}");
        assert_eq!(self.stderr.lines().count(), 1, "not one line: {self}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {:?}", self.stderr);
        }
    }

    /// It is to have ended with 0 and without a word on standard error.
    #[track_caller]
    pub fn succeeds(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self}");
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.stdout.len();
        write!(f, "exit {:?}, {bytes} bytes of output, {:?}", self.code, self.stderr)
    }
}

/// A program in the background. It is ended when it is dropped.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid")
    }

    /// Sends it a signal, and waits for its end: the exit code, `None` when a signal killed it.
    #[track_caller]
    pub fn end_by(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.pid()), signal).expect("kill");
        self.wait()
    }

    /// Waits for its end: the exit code, `None` when a signal killed it.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        within(PATIENCE, "it ends", || self.has_ended());
        self.0.wait().expect("wait").code()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("wait").is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn_feeder<T: Write + Send + 'static>(pipe: Option<T>, bytes: Option<Vec<u8>>) -> Option<T> {
    if let (Some(mut pipe), Some(bytes)) = (pipe, bytes) {
        // A program that ends early leaves the rest unread, and that is its right.
        thread::spawn(move || drop(pipe.write_all(&bytes)));
    }
    None
}

fn all_of(mut pipe: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).expect("read a pipe");
    bytes
}
