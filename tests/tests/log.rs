//! The titles of processes, and their log: the listener of each line, and its form.

use std::ffi::OsStr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{Model, PATIENCE, Pty, Server, every_model, proc, serve, supervise, within};

/// What `ps` shows of a process.
fn title(pid: i32) -> String {
    proc::command(pid).trim_end().to_owned()
}

fn a_process_is_called_by_its_listener_and_its_part(model: Model) {
    let server = serve!("upper", model).start();
    let begin = format!("windlass: upper {} {}", server.address(), model.name());
    let part = if matches!(model, Model::PoolStatic | Model::Prefork) { " parent" } else { "" };
    assert_eq!(title(server.pid()), begin + part);
    if !part.is_empty() {
        within(PATIENCE, "each worker has its number", || {
            let mut titles: Vec<_> = server.workers().into_iter().map(title).collect();
            let named = |n| format!("windlass: upper {} worker {n}", server.address());
            let mut expected: Vec<_> = (0..titles.len()).map(named).collect();
            titles.sort();
            expected.sort();
            !titles.is_empty() && titles == expected
        });
        // For killall(1) and pgrep(1) all are one program.
        let name = proc::status(server.pid(), "Name");
        assert!(server.workers().into_iter().all(|pid| proc::status(pid, "Name") == name));
    }
}

every_model!(a_process_is_called_by_its_listener_and_its_part);

const TWO: &str = "[[listener]]\nservice = 'echo'\nlisten = 'tcp:127.0.0.1:0'\n\
    [[listener]]\nservice = 'upper'\nmodel = 'pool-static'\nworkers = 1\nlisten = 'tcp:127.0.0.1:0'\n";

#[test]
fn a_supervisor_and_its_listeners_have_titles_and_lines_name_the_listener() {
    let (supervised, members) = supervise!(TWO).serving(2);
    assert_eq!(title(supervised.pid()), "windlass: supervisor");
    let mut found = Vec::new();
    for member in members {
        found.push(title(member.pid));
        let label = format!("{} {}", member.service, member.address);
        assert!(
            found.concat().contains(&format!("windlass: {label} {}", member.model)),
            "{found:?}"
        );
        kill(Pid::from_raw(member.pid), Signal::SIGKILL).expect("it runs");
        let line = format!(" WARN {label}: its process was killed");
        within(PATIENCE, &line, || supervised.stderr().contains(&line));
    }
    assert_eq!(supervised.stop(), Some(0));
}

/// A server that was asked to log more, after a client.
fn logged(under: &[&str], options: &str) -> String {
    let server: Server = serve!("upper", Model::Prefork).under(under).args(options).start();
    server.connect().upper(b"x");
    within(PATIENCE, "a worker is started", || server.stderr().contains("a worker was started"));
    server.stop().stderr
}

#[test]
fn each_line_says_what_it_is_about() {
    let server = serve!("upper", Model::Prefork).args("-v").start();
    let label = format!("upper {} prefork parent: ", server.address());
    let log = server.stop().stderr;
    let mut lines = log.lines();
    // Before it is decided what serves.
    assert!(lines.next().is_some_and(|line| line.starts_with(" INFO serving;")), "{log}");
    for line in lines {
        let parent = line.get(6..).is_some_and(|rest| rest.starts_with(&label));
        assert!(parent || line.contains(" worker "), "{line}");
    }
    assert!(log.contains(&label), "{log}");
}

#[test]
fn the_journal_gets_priorities() {
    let journal = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";
    let log = logged(&["sh", "-c", journal, "sh"], "-v");
    for line in log.lines() {
        let priority = ["<3>", "<4>", "<6>", "<7>"].iter().any(|begin| line.starts_with(begin));
        assert!(priority && !line.contains("INFO"), "{line}");
    }
    assert!(log.contains("<6>serving;") && log.contains("<7>upper tcp:127.0.0.1:"), "{log}");
    // What was redirected does not go there.
    let log = logged(&["env", "JOURNAL_STREAM=1:1"], "-v");
    assert!(!log.contains("<6>") && log.contains(" INFO "), "{log}");
}

#[test]
fn json_is_a_document_a_line() {
    let log = logged(&["env"], "-v --log-format json");
    for line in log.lines() {
        let is_one = line.starts_with("{\"") && line.ends_with('}');
        assert!(is_one && line.contains("\"level\":") && line.contains("\"time\":\"20"), "{line}");
    }
    assert!(
        log.contains("\"listener\":\"upper tcp:127.0.0.1:") && log.contains("\"slot\":0"),
        "{log}"
    );
}

#[test]
fn a_terminal_gets_the_time() {
    let args = ["serve", "upper", "--listen", "tcp:127.0.0.1:0"].map(OsStr::new);
    let mut server = Pty::start(env!("CARGO_BIN_EXE_windlass-under-test"), &args, 24, 120);
    server.until("serving;");
    let shown = server.shown();
    let line = shown.lines().find(|line| line.contains("serving;")).expect("it is shown");
    let form: String =
        line.chars().take(19).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(form, "00:00:00.000  INFO ", "{line}");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(), Ok(0));
}
