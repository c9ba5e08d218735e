//! The monitor of a server: what it answers, what may keep it busy, and how it moves.
//!
//! - `/metrics` is clean for `promtool`, and Debian's `prometheus` scrapes it; a pool gives one true answer.
//! - `/readyz` is false from the moment a drain begins, under every model, and true when every listener serves.
//! - The format is the one that is accepted, and no metric has a word of a client.
//! - Slow clients, many scrapes, an address that is taken on a reload, and the next binary.

mod faults;
mod page;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{
    Client, Model, PATIENCE, Server, Supervised, every_model, serve, skipped, supervise, web,
    within,
};

every_model!(a_scrape_counts_all_processes, a_server_that_drains_is_not_ready_and_healthy);

/// A server with a monitor on a socket file.
struct Monitored {
    server: Server,
    at: String,
    _folder: tempfile::TempDir,
}

impl Monitored {
    fn start(service: &'static str, model: Model, args: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = format!("unix:{}", folder.path().join("monitor").display());
        let server = serve!(service, model).args(&format!("--monitor {at} {args}")).start();
        Self { server, at, _folder: folder }
    }

    fn get(&self, path: &str) -> (u16, String) {
        get(&self.at, path)
    }
}

/// The status and the content of an answer; 0 if there is none.
fn get(at: &str, path: &str) -> (u16, String) {
    let Ok(mut client) = Client::try_connect(at) else { return (0, String::new()) };
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    if client.try_send(request.as_bytes()).is_err() {
        return (0, String::new());
    }
    let answer = String::from_utf8(client.rest()).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0), body.to_owned())
}

/// The sum of all lines of a metric, of which each is a whole number.
fn sum(document: &str, metric: &str) -> u64 {
    let is_it =
        |line: &&str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with([' ', '{']));
    let value = |line: &str| line.rsplit(' ').next()?.trim_end_matches(".0").parse::<u64>().ok();
    document.lines().filter(is_it).filter_map(value).sum()
}

fn until_ready(at: &str, code: u16) {
    within(PATIENCE, "/readyz says so", || get(at, "/readyz").0 == code);
}

fn a_scrape_counts_all_processes(model: Model) {
    let monitored = Monitored::start("upper", model, "");
    until_ready(&monitored.at, 200);
    for _ in 0..10 {
        monitored.server.connect().converse(b"hello");
    }
    let mut document = String::new();
    within(PATIENCE, "all have ended", || {
        document = monitored.get("/metrics").1;
        sum(&document, "windlass_clients_ended_total") >= 10
    });
    assert_eq!(sum(&document, "windlass_clients_accepted_total"), 10, "{document}");
    assert_eq!(sum(&document, "windlass_received_bytes_total"), 50);
    assert_eq!(sum(&document, "windlass_client_duration_seconds_count"), 10);
    assert_eq!(monitored.get("/healthz"), (200, "ok\n".to_owned()));
    let (code, state) = monitored.get("/status.json");
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    assert_eq!((code, &state["ready"]), (200, &true.into()));
    assert_eq!(state["listeners"][0]["totals"]["accepted"], 10);
    assert_eq!(state["listeners"][0]["model"], model.name());
    assert_eq!(monitored.get("/metrics/").0, 404);
    assert_eq!(monitored.get("/../etc/passwd").0, 400);
    assert_eq!(monitored.server.stop().code, Some(0));
}

fn a_server_that_drains_is_not_ready_and_healthy(model: Model) {
    for (signal, delay) in
        [(Signal::SIGTERM, ""), (Signal::SIGQUIT, ""), (Signal::SIGTERM, "--stop-delay 300")]
    {
        let args = format!("--grace 300 --drain 300 {delay}");
        let monitored = Monitored::start("upper", model, &args);
        until_ready(&monitored.at, 200);
        let mut client = monitored.server.connect();
        client.upper(b"hello");
        monitored.server.signal(signal);
        until_ready(&monitored.at, 503);
        assert_eq!(monitored.get("/healthz").0, 200);
        let document = monitored.get("/metrics").1;
        assert_eq!((sum(&document, "windlass_ready"), sum(&document, "windlass_clients")), (0, 1));
        // A closed socket has no address any more: the label is what it was.
        let listener = format!("listener=\"{}\"", monitored.server.address());
        assert!(document.contains(&listener), "{listener}: {document}");
        client.upper(b"still served");
        client.ends_with(b"");
        if !delay.is_empty() {
            // Clients still come, and it stays so.
            monitored.server.connect().converse(b"hello");
            assert_eq!(monitored.get("/readyz").0, 503);
            monitored.server.signal(signal);
        }
        assert_eq!(monitored.server.wait().code, Some(0));
    }
}

#[test]
fn no_metric_has_a_word_of_a_client() {
    let root = tempfile::tempdir().expect("a folder");
    let args = format!("--root {} --access-log stderr", root.path().display());
    let monitored = Monitored::start("http", Model::Prefork, &args);
    until_ready(&monitored.at, 200);
    let request =
        b"GET /secret HTTP/1.1\r\nHost: secret\r\nUser-Agent: secret\r\nConnection: close\r\n\r\n";
    for bytes in [&request[..], b"SECRET / HTTP/1.1\r\nHost: h\r\n\r\n", b"secret\r\n\r\n"] {
        let mut client = Client::connect_from([127, 0, 0, 9], monitored.server.address());
        client.send(bytes);
        client.finish();
        client.rest();
    }
    monitored.server.logs("SECRET");
    let mut document = String::new();
    within(PATIENCE, "all have ended", || {
        document = monitored.get("/metrics").1;
        sum(&document, "windlass_clients_ended_total") == 3
    });
    let words = document.to_lowercase();
    assert!(!words.contains("secret") && !words.contains("127.0.0.9"), "{document}");
}

#[test]
fn a_scrape_is_of_the_format_that_it_accepts() {
    let monitored = Monitored::start("upper", Model::Epoll, "");
    until_ready(&monitored.at, 200);
    for (accept, kind, end) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# EOF\n",
        ),
    ] {
        let mut client = Client::connect(&monitored.at);
        let accept = format!("Accept: {accept}");
        let answer = web::ask(&mut client, "GET", "/metrics", &[&accept]);
        assert_eq!((answer.status, answer.field("Content-Type")), (200, Some(kind)));
        assert!(answer.body.ends_with(end.as_bytes()), "{}", answer.body.escape_ascii());
        assert_eq!(answer.body.ends_with(b"# EOF\n"), end == "# EOF\n");
    }
}

#[test]
fn a_listener_without_a_process_is_not_ready() {
    let monitored = Monitored::start("upper", Model::Epoll, "");
    until_ready(&monitored.at, 200);
    kill(Pid::from_raw(monitored.server.pid()), Signal::SIGSTOP).expect("kill");
    kill(Pid::from_raw(monitored.server.pid()), Signal::SIGKILL).expect("kill");
    within(PATIENCE, "it serves again", || {
        let state = monitored.get("/status.json").1;
        let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
        let pid = state["listeners"][0]["workers"][0]["pid"].as_i64();
        state["ready"] == true && pid != Some(monitored.server.pid().into())
    });
    monitored.server.connect().converse(b"hello");
}

#[test]
fn slow_clients_and_many_scrapes_hurt_no_other() {
    let monitored = Monitored::start("upper", Model::Prefork, "");
    until_ready(&monitored.at, 200);
    let mut slow: Vec<_> = (0..1000)
        .map(|_| {
            let mut client = Client::connect(&monitored.at);
            // The server may have closed it already, in favour of one that came later.
            let _ = client.try_send(b"GET /metrics HTTP/1.1\r\n");
            client
        })
        .collect();
    for _ in 0..200 {
        assert_eq!(monitored.get("/healthz").0, 200);
        assert_eq!(monitored.get("/metrics").0, 200);
    }
    monitored.server.connect().converse(b"hello");
    let _ = slow[0].try_send(b"Host: h\r\n\r\n");
    assert_eq!(monitored.server.stop().code, Some(0));
}

fn config(monitor: &Path) -> String {
    format!(
        "monitor = 'unix:{}'\n[[listener]]\nservice = 'upper'\nlisten = 'tcp:127.0.0.1:0'\n",
        monitor.display()
    )
}

struct Moving {
    supervised: Supervised,
    folder: tempfile::TempDir,
}

impl Moving {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (supervised, _) = supervise!(&config(&folder.path().join("one"))).serving(1);
        Self { supervised, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }
}

#[test]
fn the_monitor_moves_with_the_configuration_if_it_can() {
    let moving = Moving::start();
    until_ready(&moving.at("one"), 200);
    let taken = std::os::unix::net::UnixListener::bind(moving.path("taken")).expect("bind");
    moving.supervised.reload(&config(&moving.path("taken")));
    moving.supervised.until_logged("not reloaded", 1);
    assert_eq!(get(&moving.at("one"), "/readyz").0, 200);
    drop(taken);
    moving.supervised.reload(&config(&moving.path("two")));
    until_ready(&moving.at("two"), 200);
    assert!(!moving.path("one").exists(), "the old socket file is there");
    moving.supervised.reload("[[listener]]\nservice = 'upper'\nlisten = 'tcp:127.0.0.1:0'\n");
    within(PATIENCE, "there is no monitor", || !moving.path("two").exists());
    moving.supervised.reload("monitor = 'udp:127.0.0.1:1'\n[[listener]]\nservice = 'upper'\nlisten = 'tcp:127.0.0.1:0'\n");
    moving.supervised.until_logged("it is asked by connections, at tcp:HOST:PORT or unix:PATH", 1);
}

#[test]
fn the_next_binary_has_the_monitor() {
    let mut moving = Moving::start();
    let at = moving.at("one");
    until_ready(&at, 200);
    let pid = |at: &str| {
        let state: Option<serde_json::Value> =
            serde_json::from_str(&get(at, "/status.json").1).ok();
        state.and_then(|state| state["pid"].as_i64())
    };
    let before = pid(&at);
    moving.supervised.signal(Signal::SIGUSR2);
    within(PATIENCE, "the next binary answers", || pid(&at).is_some_and(|pid| Some(pid) != before));
    assert_eq!(moving.supervised.wait(), Some(0));
    until_ready(&at, 200);
    assert_ne!(pid(&at), before);
}

/// Prometheus, ended when it is dropped.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prometheus_understands_it_and_scrapes_it() {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !has("promtool") || !has("prometheus") {
        skipped("prometheus is not installed");
        return;
    }
    let root = tempfile::tempdir().expect("a folder");
    let server = serve!("http", Model::Prefork)
        .listen("tcp:127.0.0.1:0")
        .listen(format!("unix:{}", root.path().join("a\"socket\"").display()))
        .args(&format!("--root {} --monitor tcp:127.0.0.1:0", root.path().display()))
        .start();
    let words = "the monitor listens address=tcp:";
    let mut at = String::new();
    within(PATIENCE, "it says where", || {
        let said = server.stderr();
        let said = said.split_once(words).and_then(|(_, rest)| rest.split_whitespace().next());
        at = said.unwrap_or_default().to_owned();
        !at.is_empty()
    });
    let document = get(&format!("tcp:{at}"), "/metrics").1;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    promtool.stdin.take().expect("piped").write_all(document.as_bytes()).expect("write");
    let said = promtool.wait_with_output().expect("promtool");
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && text.is_empty(), "{}", text.escape_ascii());

    // A port that is free now.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let own = free.expect("a port").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: windlass\n  static_configs:\n  - targets: ['{at}']\n"
    );
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, text).expect("write");
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={own}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus");
    let _prometheus = Prometheus(child);
    let query = "/api/v1/query?query=sum(windlass_workers)%20and%20sum(up==1)";
    let mut answer = String::new();
    within(PATIENCE, "it has scraped", || {
        answer = get(&format!("tcp:{own}"), query).1;
        answer.contains("\"success\"") && answer.contains("\"value\":[")
    });
    let open = format!("tcp:{own}");
    let targets = get(&open, "/api/v1/targets").1;
    assert!(targets.contains("\"lastError\":\"\""), "{targets}");
}
