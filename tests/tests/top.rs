//! `windlass top` on a terminal.
//!
//! - It shows a server of every model, waits for a missing one, and finds one that starts again.
//! - However it ends, the terminal is as it was before.

use std::ffi::OsStr;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{Model, PATIENCE, Pty, Server, every_model, proc, serve, windlass, within};

every_model!(it_shows_every_model);

fn server(path: &Path) -> Server {
    serve!("upper", Model::PoolStatic)
        .args(&format!("--workers 7 --control {}", path.display()))
        .start()
}

fn top(path: &Path) -> Pty {
    let args = [OsStr::new("top"), path.as_os_str(), OsStr::new("--interval"), OsStr::new("0.1")];
    Pty::start(env!("CARGO_BIN_EXE_windlass-under-test"), &args, 24, 80)
}

#[track_caller]
fn is_restored(top: &Pty) {
    within(PATIENCE, "the screen is given back", || !top.is_taken());
    assert!(top.is_set_as_before());
}

/// And so does `windlass status`.
fn it_shows_every_model(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let args = format!("--control {}", path.display());
    let server = serve!("upper", model).args(&args).start();
    server.connect().converse(b"hello");
    let mut top = top(&path);
    top.until("1 served");
    assert!(top.shown().contains(&format!("upper {}", model.name())), "{}", top.shown());
    top.press(b"q");
    assert_eq!(top.wait(), Ok(0));
    let status = windlass!("status", &path).run();
    status.succeeds();
    let words = format!("upper {} on {}", model.name(), server.address());
    assert!(String::from_utf8_lossy(&status.stdout).contains(&words), "{status}");
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn it_shows_a_server_until_escape() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let server = server(&path);
    let mut top = top(&path);
    top.until(".......");
    assert!(top.is_taken());
    assert!(!top.is_set_as_before(), "keys come one by one, and are not shown");
    assert!(top.shown().contains(&format!("upper pool-static  {}", server.address())));
    let mut client = server.connect();
    client.upper(b"hello");
    top.until("X");
    top.until("busy 1 of 7");
    client.ends_with(b"");
    top.until("1 served");
    top.until(".......");
    // Of another size, everything is drawn anew.
    top.resize(12, 50);
    top.until("sort (by slot)");
    top.until(".......");
    top.press(b"s");
    top.until("sort (by state)");
    top.press(b"p");
    top.until("PAUSED");
    top.press(b"p");
    top.until("q quit  p pause");
    top.press(b"\x1b[B");
    top.press(b"\x1b");
    assert_eq!(top.wait(), Ok(0));
    is_restored(&top);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_server_may_come_go_and_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let mut top = top(&path);
    top.until("waiting for it: connect to");
    let first = server(&path);
    top.until(".......");
    assert_eq!(first.stop().code, Some(0));
    top.until("waiting for it: connect to");
    let second = server(&path);
    top.until(&format!("pid {}", second.pid()));
    // In raw mode Ctrl-C is a key.
    top.press(b"\x03");
    assert_eq!(top.wait(), Ok(0));
    is_restored(&top);
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_as_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let _server = server(&path);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        let mut top = top(&path);
        top.until(".......");
        top.signal(signal);
        assert_eq!(top.wait(), Err(signal as i32), "it dies of {signal}");
        is_restored(&top);
    }
}

/// In a shell with job control: stopped by a key or a signal, it leaves the terminal as the shell had it, and
/// `fg` shows it whole.
#[test]
fn it_is_stopped_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let server = server(&path);
    let script =
        "set -m; \"$0\" top \"$1\" --interval 0.1; read line; fg; read line; fg; echo over $?";
    let program = OsStr::new(env!("CARGO_BIN_EXE_windlass-under-test"));
    let args = [OsStr::new("-c"), OsStr::new(script), program, path.as_os_str()];
    let mut shell = Pty::start("sh", &args, 24, 80);
    shell.until(".......");
    let [pid] = proc::children(shell.pid())[..] else { panic!("one child") };
    for by_key in [true, false] {
        if by_key {
            shell.press(b"\x1a");
        } else {
            kill(Pid::from_raw(pid), Signal::SIGTSTP).expect("it runs");
        }
        within(PATIENCE, "it is stopped", || proc::is_stopped(pid));
        within(PATIENCE, "the screen is given back", || !shell.is_taken());
        within(PATIENCE, "so are the settings", || shell.is_set_as_before());
        shell.press(b"\n");
        within(PATIENCE, "it goes on", || shell.is_taken() && !shell.is_set_as_before());
        shell.until(".......");
    }
    // What was stopped without a word is shown whole as well.
    kill(Pid::from_raw(pid), Signal::SIGCONT).expect("it runs");
    shell.press(b"q");
    shell.until("over 0");
    assert_eq!(shell.wait(), Ok(0));
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_terminal_may_say_that_it_is_huge() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let _server = server(&path);
    let mut top = top(&path);
    top.until(".......");
    top.claim(u16::MAX, u16::MAX);
    top.press(b"s");
    top.until("sort (by state)");
    top.claim(0, 0);
    top.press(b"s");
    top.claim(24, 80);
    top.until("sort (by served)");
    top.press(b"q");
    assert_eq!(top.wait(), Ok(0));
    is_restored(&top);
}

#[test]
fn it_ends_with_its_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    let _server = server(&path);
    for key in [&b""[..], b"s", b"\x1b"] {
        let mut top = top(&path);
        top.until(".......");
        top.press(key);
        top.hang_up();
        // Both tell it: whichever comes first.
        let end = top.wait();
        let quit = key == b"\x1b" && end == Ok(0);
        assert!(matches!(end, Ok(1) | Err(libc::SIGHUP)) || quit, "{end:?}");
    }
}

#[test]
fn it_ends_with_its_terminal_where_no_signal_tells_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let command = "trap '' HUP; exec \"$0\" top \"$1\"";
    let program = env!("CARGO_BIN_EXE_windlass-under-test");
    let path = folder.path().join("control");
    let args = ["-c".as_ref(), command.as_ref(), program.as_ref(), path.as_os_str()];
    let mut top = Pty::start("/bin/sh", &args, 24, 80);
    top.until("waiting for it: connect to");
    // It does nothing but wait.
    top.press(b"p");
    top.hang_up();
    assert_eq!(top.wait(), Ok(1));
}

#[test]
fn without_a_terminal_it_says_so() {
    let outcome = windlass!("top", "/nowhere").run();
    outcome.fails_with(1, &["standard output", "no terminal", "windlass status"]);
}
