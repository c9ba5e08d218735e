//! Counters and the access log while processes are killed under load, under every model.
//!
//! - Workers, the process of a listener (of a pool: the parent) and the process that writes the log: what was accepted is
//!   what ended in one way or another, and no client is counted twice or not at all.
//! - The monitor is scraped all the time, with slow clients at it, and its sums never shrink.
//! - The log goes on, and only lines of clients that a killed process had are missing.
//! - A supervisor that is killed leaves a whole log; after it counters begin at 0, with a new start time.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass::client::Observer;
use windlass::status::Status;
use windlass::totals::Totals;
use windlass_core::transfer::Timing;
use windlass_core::transfer::tftp::{Offer, TftpGet};
use windlass_tests::transfer::{Memory, transfer};
use windlass_tests::web::ask;
use windlass_tests::{
    Client, Model, PATIENCE, Random, Supervised, every_model, meanwhile, models, proc, serve,
    supervise, within,
};

every_model!(sums_are_exact_while_processes_are_killed, a_supervisor_that_is_killed_begins_anew);
models!(
    sums_of_transfers_are_exact_while_processes_are_killed:
    fork Fork, thread Thread, epoll Epoll, pool_static PoolStatic, prefork Prefork
);
models!(
    a_log_goes_on_when_its_process_is_killed:
    fork Fork, thread Thread, epoll Epoll, reactor Reactor, pool_static PoolStatic, prefork Prefork
);

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(place.path("root")).expect("mkdir");
        fs::write(place.path("root/file"), Random::new(5).bytes(3000)).expect("write");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self, service: &str, listen: &str, model: Model) -> String {
        let root = self.path("root").display().to_string();
        let root = if service == "upper" { String::new() } else { format!("root = '{root}'\n") };
        format!(
            "monitor = '{}'\n[[listener]]\nservice = '{service}'\nmodel = '{}'\nlisten = '{listen}'\ncontrol = '{}'\n\
             access-log = '{}'\n{root}",
            self.monitor(),
            model.name(),
            self.path("control").display(),
            self.path("access").display()
        )
    }

    /// The address of the monitor.
    fn monitor(&self) -> String {
        format!("unix:{}", self.path("monitor").display())
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("access")).unwrap_or_default();
        let text = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        text.lines().map(str::to_owned).collect()
    }
}

/// The process that writes the log.
fn log_writer(parent: i32) -> Option<i32> {
    let is_it = |pid: &i32| proc::command(*pid).contains("access log");
    proc::children(parent).into_iter().find(is_it)
}

fn kill_it(pid: i32) -> bool {
    kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok()
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    /// They asked, and the server has the request or the connection.
    came: AtomicU64,
    /// They had the whole answer.
    answered: AtomicU64,
}

/// The value of a metric of the only listener.
fn metric(document: &str, name: &str) -> Option<f64> {
    let is_it =
        |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    document.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

/// What a scrape of the monitor says now; nothing if it does not answer.
fn scrape(at: &str) -> Option<String> {
    let mut client = Client::try_connect(at).ok()?;
    client.try_send(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    String::from_utf8(client.whatever_comes()).ok()
}

/// What the scrapes of a monitor have seen.
#[derive(Default)]
struct Scrapes {
    accepted: f64,
    /// Clients that send no whole request.
    slow: Vec<Client>,
}

/// A scrape, ten milliseconds after the last one. The sums never shrink. It leaves a slow client behind.
fn scrape_again(at: &str, scrapes: &Mutex<Scrapes>) {
    let document = scrape(at).expect("the supervisor lives");
    let accepted = metric(&document, "windlass_clients_accepted_total").expect("a sum");
    let mut scrapes = scrapes.lock().expect("no panic");
    assert!(accepted >= scrapes.accepted, "{}, and then {accepted}", scrapes.accepted);
    scrapes.accepted = accepted;
    if let Ok(mut client) = Client::try_connect(at) {
        let _ = client.try_send(b"GET /metrics HTT");
        scrapes.slow.push(client);
    }
    // The pace of the scrapes.
    thread::sleep(Duration::from_millis(10));
}

/// Kills processes of all kinds while `deed` goes on and the monitor is scraped: how many.
fn storm(place: &Place, supervised: &Supervised, seen: &Seen, deed: impl Fn() + Sync) -> u64 {
    let (scrapes, monitor) = (Mutex::default(), place.monitor());
    let scrape = || scrape_again(&monitor, &scrapes);
    meanwhile(1, scrape, || kill_meanwhile(supervised, seen, deed))
}

fn kill_meanwhile(supervised: &Supervised, seen: &Seen, deed: impl Fn() + Sync) -> u64 {
    const KILLS: u64 = 8;
    // Clients between two kills: so every process proves itself.
    const CLIENTS: u64 = 30;
    let mut random = Random::new(3);
    meanwhile(2, deed, || {
        for nth in 0..KILLS {
            let before = seen.answered.load(Relaxed);
            within(PATIENCE, "clients are served", || {
                seen.answered.load(Relaxed) >= before + CLIENTS
            });
            let is_log = |pid: &i32| proc::command(*pid).contains("access log");
            let (logs, servers): (Vec<_>, Vec<_>) =
                proc::children(supervised.pid()).into_iter().partition(is_log);
            let workers: Vec<_> = servers.iter().copied().flat_map(proc::children).collect();
            // Of some models the only process has no children.
            let victims = match nth % 4 {
                0 => logs,
                2 => servers,
                _ if workers.is_empty() => servers,
                _ => workers,
            };
            if !victims.is_empty() {
                kill_it(victims[random.up_to(victims.len()) - 1]);
            }
        }
    });
    KILLS
}

/// The state, once no client is served or waits.
#[track_caller]
fn at_rest(control: &Path) -> Status {
    let (mut observer, mut last) = (Observer::new(control), Status::default());
    within(PATIENCE, "no client is left", || {
        if let Ok((status, _)) = observer.ask(1_000_000) {
            last = status;
        }
        last.started_us > 0 && last.totals.now() == 0 && last.totals.waiting() == 0
    });
    last
}

fn sums_are_exact_while_processes_are_killed(model: Model) {
    let place = Place::new();
    let config = place.config("upper", "tcp:127.0.0.1:0", model);
    let (supervised, members) = supervise!(&config).serving(1);
    let seen = Seen::default();
    let deed = || {
        let Ok(mut client) = Client::try_connect(&members[0].address) else { return };
        seen.came.fetch_add(1, Relaxed);
        seen.answered.fetch_add(u64::from(is_served(&mut client)), Relaxed);
    };
    let kills = storm(&place, &supervised, &seen, deed);
    let totals = at_rest(&place.path("control")).totals;
    let (came, answered) = (seen.came.load(Relaxed), seen.answered.load(Relaxed));
    let shown = format!("{came} came, {answered} answered, {kills} kills: {totals:#?}");
    assert_eq!(totals.accepted, totals.ended() + totals.unserved + totals.shed, "{shown}");
    // A process can be killed between a system call and the store that counts it.
    assert!(totals.accepted <= came && came <= totals.accepted + kills, "{shown}");
    assert!(totals.served <= answered && answered <= totals.served + totals.lost, "{shown}");
    assert!(totals.bytes_out + 5 * kills >= 5 * answered, "{shown}");
    until_logged(&supervised, &place, &totals, kills);
    assert_eq!(supervised.stop(), Some(0));
}

/// Whether a client has its answer, and then sees the end of its connection: by then the server has counted and
/// logged it, unless the end was that of the process.
fn is_served(client: &mut Client) -> bool {
    let is_answered = client.try_upper(b"hello").is_ok();
    client.finish();
    client.end();
    is_answered
}

/// A client that was lost has no line. One that ended has one, unless its process was killed at that moment.
#[track_caller]
fn until_logged(supervised: &Supervised, place: &Place, totals: &Totals, kills: u64) {
    let ended = totals.ended() - totals.lost;
    within(PATIENCE, "the lines are written", || place.lines().len() as u64 + kills >= ended);
    let started = supervised.logged("the process of the access log");
    assert!(started > 0, "{}", supervised.stderr());
}

fn sums_of_transfers_are_exact_while_processes_are_killed(model: Model) {
    let place = Place::new();
    let config = place.config("tftp", "udp:127.0.0.1:0", model);
    let (supervised, members) = supervise!(&config).serving(1);
    let seen = Seen::default();
    let deed = || {
        let timing = Timing { give_up_us: 2_000_000, ..Timing::CLIENT };
        let machine = Box::new(TftpGet::new(b"file", Offer::NONE, &timing));
        let ended = transfer(&members[0].address, machine, Memory::default());
        seen.came.fetch_add(1, Relaxed);
        if ended.how.is_ok() {
            seen.answered.fetch_add(1, Relaxed);
        }
    };
    let kills = storm(&place, &supervised, &seen, deed);
    let totals = at_rest(&place.path("control")).totals;
    let answered = seen.answered.load(Relaxed);
    let shown = format!("{answered} answered, {kills} kills: {totals:#?}");
    assert_eq!(totals.accepted, totals.ended() + totals.unserved + totals.shed, "{shown}");
    // A client asks again when a process is killed with its request, so more may be accepted than came.
    assert!(answered <= totals.accepted + kills, "{shown}");
    assert!(answered <= totals.served + totals.lost + kills, "{shown}");
    assert!(
        totals.files_sent >= totals.served && totals.files_sent <= totals.served + kills,
        "{shown}"
    );
    until_logged(&supervised, &place, &totals, kills);
    assert_eq!(supervised.stop(), Some(0));
}

fn a_log_goes_on_when_its_process_is_killed(model: Model) {
    const KILLS: usize = 4;
    let place = Place::new();
    let args = format!(
        "--root {} --access-log {}",
        place.path("root").display(),
        place.path("access").display()
    );
    let server = serve!("http", model).args(&args).start();
    let (asked, named) = (AtomicU64::new(0), |nth: u64| format!("/file?{nth}"));
    let deed = || {
        let mut client = server.connect();
        for _ in 0..20 {
            let nth = asked.fetch_add(1, Relaxed);
            assert_eq!(ask(&mut client, "GET", &named(nth), &[]).status, 200);
        }
    };
    meanwhile(2, deed, || {
        for _ in 0..KILLS {
            let before = asked.load(Relaxed);
            within(PATIENCE, "it is there", || log_writer(server.parent()).is_some_and(kill_it));
            within(PATIENCE, "requests are answered", || asked.load(Relaxed) >= before + 50);
        }
    });
    let asked = asked.into_inner();
    let all = || {
        let of = |line: &String| line.split_once("/file?")?.1.split_once(' ')?.0.parse().ok();
        let lines = place.lines();
        let numbers: Vec<u64> = lines.iter().filter_map(of).collect();
        // A line that was cut is written again.
        assert!(lines.len() <= numbers.len() + KILLS, "lines are cut");
        let all: HashSet<u64> = numbers.into_iter().collect();
        all.len() as u64
    };
    // Those that were not written wait in memory for the next process.
    within(PATIENCE, "every request has its line", || all() == asked);
    // SIGUSR1 is for the process that writes now.
    fs::rename(place.path("access"), place.path("old")).expect("rename");
    server.signal(Signal::SIGUSR1);
    within(PATIENCE, "the file is there again", || place.path("access").exists());
    assert_eq!(ask(&mut server.connect(), "GET", "/file?last", &[]).status, 200);
    within(PATIENCE, "the line", || place.lines().len() == 1);
    assert_eq!(server.stop().code, Some(0));
}

fn a_supervisor_that_is_killed_begins_anew(model: Model) {
    let place = Place::new();
    let config = place.config("upper", "tcp:127.0.0.1:0", model);
    let (mut before, mut answered) = (0, 0);
    for round in 1..=2 {
        let (mut supervised, members) = supervise!(&config).serving(1);
        let seen = Seen::default();
        let deed = || {
            let Ok(mut client) = Client::try_connect(&members[0].address) else { return };
            seen.answered.fetch_add(u64::from(is_served(&mut client)), Relaxed);
        };
        let first = at_rest(&place.path("control"));
        assert!(first.started_us > before, "{first:?}");
        assert_eq!((first.totals.accepted, first.totals.served), (0, 0), "round {round}");
        let document = scrape(&place.monitor()).expect("a document");
        let started = metric(&document, "windlass_start_time_seconds").expect("a time");
        assert!(started * 1e6 > before as f64, "{started} s, {before} µs");
        assert_eq!(metric(&document, "windlass_clients_accepted_total"), Some(0.0));
        before = first.started_us;
        meanwhile(2, deed, || {
            within(PATIENCE, "clients are served", || seen.answered.load(Relaxed) >= 50);
            supervised.signal(Signal::SIGKILL);
            assert_eq!(supervised.wait(), None);
        });
        // The process that writes the log has what the others left. Those that the kill ended may lack.
        answered += seen.answered.into_inner();
        within(PATIENCE, "the lines", || place.lines().len() as u64 + 2 * round >= answered);
    }
}
