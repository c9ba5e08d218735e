//! Two servers behind haproxy or nginx, with the configurations of docs/BALANCER.md, while they are upgraded and
//! restarted one after the other: no download fails.
//!
//! - 500 long downloads through haproxy, which asks the monitor and the agent; the same through nginx.
//! - Transfers through nginx, with one port at each server.
//! - Requests over connections that are kept: a server that drains says `Connection: close`, also while it waits
//!   before it stops.
//! - The client is the one behind the balancer, in the access log and for limits.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_core::transfer::tftp::Offer;
use windlass_tests::transfer::get;
use windlass_tests::{
    Balancer, Client, Model, PATIENCE, Random, Site, Supervised, every_model, meanwhile, models,
    proc, supervise, web, within,
};

models!(downloads_outlive_upgrades_and_restarts_behind_haproxy: epoll Epoll, fork Fork, prefork Prefork);
models!(downloads_outlive_upgrades_and_restarts_behind_nginx: reactor Reactor, thread Thread);
models!(requests_outlive_upgrades_and_restarts_behind_haproxy: epoll_et EpollEt, pool_static PoolStatic);
every_model!(a_server_that_stops_ends_each_connection_with_an_answer);

/// The client that the balancer is asked by. A balancer's own connections come from 127.0.0.1.
const CLIENT: [u8; 4] = [127, 0, 0, 2];

/// A server of the site: the process that serves now, and those before it.
struct Host<'s> {
    site: &'s Site,
    name: &'static str,
    text: String,
    running: Supervised,
    pid: i32,
}

impl<'s> Host<'s> {
    fn start(site: &'s Site, name: &'static str, model: Model, more: &str) -> Self {
        let listener = format!(
            "proxy-from = '127.0.0.1'\nmodel = '{}'\naccess-log = '{}'\n{more}",
            model.name(),
            log_of(site, name).display()
        );
        let pools = match model {
            Model::Prefork => "max-workers = 100\n",
            Model::PoolStatic => "workers = 20\n",
            _ => "",
        };
        let changes = [
            ("proxy-from = \"192.0.2.1\"\n", &*(listener + pools)),
            ("max-per-client = 20", "max-per-client = 1000"),
            ("stop-delay = 3", "stop-delay = 1"),
        ];
        let text = site.block("toml", 0, &changes);
        let text = text.replace(&site.host("192.0.2.11").to_string(), &site.host(name).to_string());
        let (running, _) = supervise!(&text).serving(2);
        Self { site, name, text, pid: running.pid(), running }
    }

    /// The next binary takes over, and the one before drains.
    fn upgrade(&mut self) {
        self.running.signal(Signal::SIGUSR2);
        self.running.until_logged("the new binary has taken over", 1);
        self.pid = self.running.successors()[0];
    }

    fn terminate(&self) {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM).expect("it runs");
    }

    /// When it has ended, it is started anew.
    fn restart(&mut self) {
        within(PATIENCE, "it ends", || !proc::runs(self.pid));
        assert_eq!(self.running.wait(), Some(0), "{}", self.running.stderr());
        (self.running, _) = supervise!(&self.text).serving(2);
        self.pid = self.running.pid();
    }

    /// The lines of its access log.
    fn log(&self) -> String {
        fs::read_to_string(log_of(self.site, self.name)).unwrap_or_default()
    }
}

/// Both servers of the page, with this in the listener of `http`.
fn both<'s>(site: &'s Site, model: Model, more: &str) -> [Host<'s>; 2] {
    ["192.0.2.11", "192.0.2.12"].map(|name| Host::start(site, name, model, more))
}

fn log_of(site: &Site, name: &str) -> PathBuf {
    site.root().join(format!("access-{}", site.host(name)))
}

/// Downloads through a balancer, many at a time.
struct Downloads<'a> {
    front: String,
    file: &'a [u8],
    asked: AtomicUsize,
    /// Those that got the first byte.
    begun: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

impl<'a> Downloads<'a> {
    fn of(site: &Site, file: &'a [u8]) -> Self {
        Self {
            front: site.front(),
            file,
            asked: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            failed: Mutex::default(),
        }
    }

    fn begin<'s>(&'s self, scope: &'s Scope<'s, '_>, count: usize) {
        self.asked.fetch_add(count, Ordering::Relaxed);
        let all: Vec<ScopedJoinHandle<'_, ()>> =
            (0..count).map(|_| scope.spawn(|| self.download())).collect();
        drop(all);
    }

    fn download(&self) {
        let mut client = Client::connect_from(CLIENT, &self.front);
        let request = b"GET /file HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let mut first = [0; 12];
        let begun = client.try_send(request).and_then(|()| client.try_read(&mut first));
        self.begun.fetch_add(1, Ordering::Relaxed);
        let rest = client.whatever_comes();
        if begun.is_err() || first != *b"HTTP/1.1 200" || !rest.ends_with(self.file) {
            let head = rest[..rest.len().min(100)].escape_ascii().to_string();
            let why = format!("{begun:?} {} {} bytes {head}", first.escape_ascii(), rest.len());
            self.failed.lock().expect("no panic").push(why);
        }
    }

    #[track_caller]
    fn until_begun(&self) {
        let asked = self.asked.load(Ordering::Relaxed);
        within(PATIENCE, "all have begun", || self.begun.load(Ordering::Relaxed) == asked);
    }

    /// When all have ended: none has failed, and the logs have each of them with its client.
    #[track_caller]
    fn succeed(self, hosts: [&Host<'_>; 2]) {
        let failed = self.failed.into_inner().expect("no panic");
        let asked = self.asked.into_inner();
        assert!(failed.is_empty(), "{} of {asked} failed: {failed:#?}", failed.len());
        let mut lines = [0; 2];
        within(PATIENCE, "each has its line", || {
            let is_it = |line: &&str| line.starts_with("127.0.0.2 ") && line.contains("\" 200 ");
            lines = hosts.map(|host| host.log().lines().filter(is_it).count());
            lines[0] + lines[1] >= asked
        });
        assert_eq!(lines[0] + lines[1], asked);
        assert!(lines.iter().all(|&count| count > 0), "each server has some: {lines:?}");
    }
}

/// Waits until haproxy sends clients to a server, or does not.
#[track_caller]
fn until_up(haproxy: &Balancer, server: &str, is_up: bool) {
    let mut status = String::new();
    within(PATIENCE, &format!("{server}: is it up? {is_up}"), || {
        status = haproxy.status(server);
        status.starts_with("UP") == is_up
    });
}

/// A file that takes about two and a half seconds at the rate of its connection.
fn long_file(site: &Site) -> (Vec<u8>, &'static str) {
    let file = Random::new(500).bytes(512 << 10);
    fs::write(site.root().join("file"), &file).expect("write");
    (file, "rate = 200000\n")
}

fn downloads_outlive_upgrades_and_restarts_behind_haproxy(model: Model) {
    let site = Site::new();
    let (file, rate) = long_file(&site);
    let [mut one, mut two] = both(&site, model, rate);
    let Some(haproxy) = site.haproxy("") else { return };
    // A process for each of them takes its time.
    let many = if model == Model::Epoll { 100 } else { 15 };
    let downloads = Downloads::of(&site, &file);
    std::thread::scope(|scope| {
        downloads.begin(scope, many);
        downloads.until_begun();
        one.upgrade();
        downloads.begin(scope, many);
        downloads.until_begun();
        two.upgrade();
        one.terminate();
        downloads.begin(scope, many);
        until_up(&haproxy, "one", false);
        downloads.begin(scope, many);
        downloads.until_begun();
        one.restart();
        until_up(&haproxy, "one", true);
        two.terminate();
        downloads.begin(scope, many);
        until_up(&haproxy, "two", false);
        two.restart();
        until_up(&haproxy, "two", true);
    });
    downloads.succeed([&one, &two]);
}

fn downloads_outlive_upgrades_and_restarts_behind_nginx(model: Model) {
    let site = Site::new();
    let (file, rate) = long_file(&site);
    let [mut one, mut two] = both(&site, model, rate);
    let Some(_nginx) = site.nginx() else { return };
    let many = if model == Model::Reactor { 100 } else { 15 };
    let downloads = Downloads::of(&site, &file);
    std::thread::scope(|scope| {
        downloads.begin(scope, many);
        downloads.until_begun();
        one.upgrade();
        downloads.begin(scope, many);
        two.upgrade();
        downloads.begin(scope, many);
        downloads.until_begun();
        for host in [&mut one, &mut two] {
            // nginx asks no agent: it goes on until connections are refused, and then takes the other server.
            host.terminate();
            downloads.begin(scope, many);
            host.restart();
        }
    });
    downloads.succeed([&one, &two]);
}

/// Both servers have one port for all transfers. They are upgraded and not restarted: nginx hears nothing of a stop, and
/// reads no more from a server that once was down when it was asked.
#[test]
fn transfers_outlive_upgrades_behind_nginx() {
    let site = Site::new();
    let file = Random::new(501).bytes(60_000);
    fs::write(site.root().join("file"), &file).expect("write");
    let [mut one, mut two] = both(&site, Model::Epoll, "");
    let Some(_nginx) = site.nginx() else { return };
    let (front, begun) = (format!("udp:{}", site.front_of_datagrams()), AtomicUsize::new(0));
    // A window of one block: each block needs a datagram of its client.
    let offer = Offer { window: Some(1), ..Offer::NONE };
    let downloads = || {
        begun.fetch_add(1, Ordering::Relaxed);
        get(&front, "file", offer).came(&file);
    };
    let until_more = || {
        let before = begun.load(Ordering::Relaxed);
        within(PATIENCE, "others begin", || begun.load(Ordering::Relaxed) >= before + 8);
    };
    meanwhile(4, downloads, || {
        for host in [&mut one, &mut two] {
            until_more();
            host.upgrade();
        }
        until_more();
    });
}

fn requests_outlive_upgrades_and_restarts_behind_haproxy(model: Model) {
    let site = Site::new();
    fs::write(site.root().join("file"), b"small").expect("write");
    let [mut one, mut two] = both(&site, model, "idle-timeout = 1\n");
    // Connections that are kept without a request are the server's to end.
    let Some(haproxy) = site.haproxy(&site.block("haproxy", 1, &[])) else { return };
    let asks = || {
        let mut client = Client::connect_from(CLIENT, &site.front());
        for _ in 0..10 {
            let answer = web::ask(&mut client, "GET", "/file", &[]);
            assert_eq!((answer.status, &*answer.body), (200, &b"small"[..]));
        }
    };
    meanwhile(4, asks, || {
        one.upgrade();
        two.upgrade();
        for (host, name) in [(&mut one, "one"), (&mut two, "two")] {
            host.terminate();
            until_up(&haproxy, name, false);
            host.restart();
            until_up(&haproxy, name, true);
        }
    });
    asks();
}

fn a_server_that_stops_ends_each_connection_with_an_answer(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), b"content").expect("write");
    let log = folder.path().join("access");
    let text = format!(
        "[[listener]]\nservice = 'http'\nmodel = '{}'\nlisten = 'tcp:127.0.0.1:0'\nroot = '{}'\naccess-log = '{}'\n",
        model.name(),
        folder.path().display(),
        log.display()
    );
    // With a delay the server goes on for longer than this test, until a second signal ends it.
    let delay = format!("stop-delay = 300\nagent = 'unix:{}/agent'\n", folder.path().display());
    for (signal, delay) in
        [(Signal::SIGUSR2, ""), (Signal::SIGTERM, ""), (Signal::SIGQUIT, &*delay)]
    {
        let (mut running, members) = supervise!(&format!("{delay}{text}")).serving(1);
        let mut client = Client::connect(&members[0].address);
        let answer = web::ask(&mut client, "GET", "/file", &[]);
        assert_eq!((answer.status, answer.field("Connection")), (200, None));
        running.signal(signal);
        if signal == Signal::SIGUSR2 {
            running.until_logged("the new binary has taken over", 1);
        }
        if !delay.is_empty() {
            running.until_logged("for this time clients are still taken", 1);
        }
        // Each process of the server hears of it in its own time.
        let mut asked = 2;
        let mut last = web::ask(&mut client, "GET", "/file", &[]);
        within(PATIENCE, "it says that it ends", || {
            let says = last.field("Connection") == Some("close");
            if !says {
                last = web::ask(&mut client, "GET", "/file", &[]);
                asked += 1;
            }
            says
        });
        assert_eq!(last.body, b"content");
        assert_eq!(client.rest(), b"");
        if !delay.is_empty() {
            // Another client is still taken, and hears it with its first answer.
            let mut client = Client::connect(&members[0].address);
            let answer = web::ask(&mut client, "GET", "/file", &[]);
            assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
            asked += 1;
            running.signal(Signal::SIGTERM);
        }
        assert_eq!(running.wait(), Some(0));
        let lines = || fs::read_to_string(&log).unwrap_or_default().lines().count();
        within(PATIENCE, "each answer has its line, the last one too", || lines() == asked);
        fs::remove_file(&log).expect("remove");
    }
}
