//! A `windlass score listen`, `cast listen` or `serve` of one's own, run by any program.

use std::fs::{File, read_to_string};

use nix::sys::signal::Signal;

use crate::program::{Program, Running};
use crate::{PATIENCE, within};

/// A program that listens for datagrams, and where. It is ended when it is dropped.
#[derive(Debug)]
pub struct Listening {
    running: Running,
    folder: tempfile::TempDir,
    address: String,
}

impl Listening {
    /// Starts it, and waits until it says that it listens.
    #[track_caller]
    pub fn start(program: Program) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| File::create(folder.path().join(name)).expect("create");
        let running = program.output(file("stdout")).errors(file("stderr")).start();
        let mut listening = Self { running, folder, address: String::new() };
        within(PATIENCE, "it listens", || {
            let said = listening.read("stdout") + &listening.read("stderr");
            // The whole line, with its line feed.
            let mut lines = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let line = lines.find_map(|line| line.strip_prefix("listening "));
            let address = line.and_then(|line| line.trim_end().split([',', ' ']).next());
            address.unwrap_or_default().clone_into(&mut listening.address);
            !listening.address.is_empty()
        });
        listening
    }

    /// The address, with the real port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The port.
    #[track_caller]
    pub fn port(&self) -> &str {
        self.address.rsplit_once(':').expect("a port").1
    }

    /// The port on 127.0.0.1, as an address of the standard library.
    #[track_caller]
    pub fn at(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Waits until it has printed `words`, on standard output or standard error.
    #[track_caller]
    pub fn until_said(&self, words: &str) {
        within(PATIENCE, words, || {
            self.read("stdout").contains(words) || self.read("stderr").contains(words)
        });
    }

    /// What it has printed, and said on standard error, once it has ended by itself without a failure.
    #[track_caller]
    pub fn ends(mut self) -> (String, String) {
        let code = self.running.wait();
        let said = (self.read("stdout"), self.read("stderr"));
        assert_eq!(code, Some(0), "{}", said.1);
        said
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        self.read("stdout")
    }

    /// What it has said on standard error so far.
    pub fn logged(&self) -> String {
        self.read("stderr")
    }

    /// Sends it a signal, and waits for its end: the exit code, `None` when the signal killed it.
    #[track_caller]
    pub fn end_by(self, signal: Signal) -> Option<i32> {
        self.running.end_by(signal)
    }

    fn read(&self, name: &str) -> String {
        read_to_string(self.folder.path().join(name)).expect("read")
    }
}
