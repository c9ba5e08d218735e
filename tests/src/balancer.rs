//! haproxy and nginx with the configurations of docs/BALANCER.md.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;

use crate::program::{Program, Running};
use crate::{Client, PATIENCE, has, within};

const PAGE: &str = include_str!("../../docs/BALANCER.md");

/// The hosts of the page: the balancer, and two servers. Each is an address of this machine that no other test has, so
/// the ports can be those of the page, also while nothing listens there.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    hosts: [(&'static str, Ipv4Addr); 3],
}

/// A balancer. It is ended when it is dropped.
#[derive(Debug)]
pub struct Balancer {
    running: Running,
    folder: TempDir,
}

impl Site {
    /// Hosts for a test.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(2);
        let [.., high, low] = std::process::id().to_be_bytes();
        let host =
            |name| (name, Ipv4Addr::new(127, NEXT.fetch_add(1, Ordering::Relaxed), high, low));
        let hosts = ["192.0.2.11", "192.0.2.12", "192.0.2.1"].map(host);
        Self { folder: tempfile::tempdir().expect("a folder"), hosts }
    }

    /// The folder of the files.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The address of a host, by that of the page.
    #[track_caller]
    pub fn host(&self, name: &str) -> Ipv4Addr {
        self.hosts.iter().find(|(of, _)| *of == name).expect("a host of the page").1
    }

    /// A block of the page in this language, with the addresses of this site, and with other words in place of some.
    #[track_caller]
    pub fn block(&self, language: &str, nth: usize, changes: &[(&str, &str)]) -> String {
        let fence = format!("```{language}\n");
        let block = PAGE.split(&fence).nth(nth + 1).and_then(|rest| rest.split("```").next());
        let mut text =
            block.expect("a block").replace("/srv/www", &self.root().display().to_string());
        for (from, to) in changes {
            assert!(text.contains(from), "no {from:?} in {text}");
            text = text.replace(from, to);
        }
        for (name, address) in &self.hosts {
            text = text.replace(name, &address.to_string());
        }
        text
    }

    /// haproxy, with this behind its section of defaults. `None`, with a word: it is not installed.
    pub fn haproxy(&self, more: &str) -> Option<Balancer> {
        if !has("haproxy") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let quick = [("inter 1s", "inter 200ms"), ("fall 2", "fall 5 rise 1")];
        let text = self.block("haproxy", 0, &quick);
        let (defaults, rest) = text.split_once("\nbackend").expect("a backend");
        let text = format!("{defaults}\n{more}\nbackend{rest}");
        let stats = folder.path().join("stats");
        let text = format!("global\n    stats socket {} level admin\n{text}", stats.display());
        let path = folder.path().join("haproxy.cfg");
        fs::write(&path, text).expect("write");
        let errors = File::create(folder.path().join("errors")).expect("create");
        let program = Program::new("haproxy").arg("-db").arg("-f").arg(path).errors(errors);
        let balancer = Balancer { running: program.start(), folder };
        Some(balancer.listening(self))
    }

    /// nginx. `None`, with a word: it is not installed.
    pub fn nginx(&self) -> Option<Balancer> {
        if !has("nginx") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
        let text = format!(
            "daemon off; master_process off; pid pid; error_log errors; load_module {module};\nevents {{ worker_connections 4096; }}\n{}",
            self.block("nginx", 0, &[])
        );
        let path = folder.path().join("nginx.conf");
        fs::write(&path, text).expect("write");
        let errors = File::create(folder.path().join("errors")).expect("create");
        let program = Program::new("nginx").arg("-p").arg(folder.path()).arg("-c").arg(path);
        let balancer = Balancer { running: program.errors(errors).start(), folder };
        Some(balancer.listening(self))
    }

    /// Where the balancer listens, for connections.
    pub fn front(&self) -> String {
        format!("tcp:{}:8080", self.host("192.0.2.1"))
    }

    /// Where it listens for datagrams.
    pub fn front_of_datagrams(&self) -> SocketAddr {
        (self.host("192.0.2.1"), 6969).into()
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Balancer {
    #[track_caller]
    fn listening(mut self, site: &Site) -> Self {
        within(PATIENCE, "it listens", || {
            assert!(!self.running.has_ended(), "{}", self.errors());
            Client::try_connect(&site.front()).is_ok()
        });
        self
    }

    /// What it logged.
    pub fn errors(&self) -> String {
        fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default()
    }

    /// What haproxy thinks of a server: its status, such as `UP`, `DRAIN` or `DOWN`.
    #[track_caller]
    pub fn status(&self, server: &str) -> String {
        let mut socket =
            Client::connect(&format!("unix:{}", self.folder.path().join("stats").display()));
        socket.send(b"show stat\n");
        let table = String::from_utf8(socket.rest()).expect("text");
        let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let names = rows.next().expect("a head");
        let at = |name| names.iter().position(|it| *it == name).expect("a column");
        let (of, status) = (at("svname"), at("status"));
        rows.find(|row| row.get(of) == Some(&server)).expect("the server")[status].to_owned()
    }
}
