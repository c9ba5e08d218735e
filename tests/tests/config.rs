//! `windlass serve --config`: the file, and its mistakes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use windlass_tests::{Client, PATIENCE, proc, supervise, windlass, within};

#[test]
fn check_says_what_would_be_served_and_serves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, socket) = (folder.path().join("config"), folder.path().join("socket"));
    let listen = format!("unix:{}", socket.display());
    let text = format!(
        "[[listener]]\nservice = 'upper'\nmodel = 'poll'\nlisten = ['{listen}', 'tcp:127.0.0.1:0']\n"
    );
    fs::write(&file, text).expect("write");
    let outcome = windlass!("serve", "--check", "--config", &file).run();
    outcome.succeeds();
    let expected =
        format!("would serve {listen} upper poll\nwould serve tcp:127.0.0.1:0 upper poll\n");
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), expected);
    assert!(!socket.exists());
    // The command line can be checked like a file.
    let outcome = windlass!().words("serve upper --model fork --listen unix:@x --check").run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"would serve unix:@x upper fork\n");
}

#[test]
fn every_mistake_is_a_line_with_its_place_and_the_exit_code_is_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    fs::write(&file, "[[listener]]\nfrob = 1\n\n[[listener]]\nservice = 'frob'\n").expect("write");
    for check in [true, false] {
        let mut run = windlass!("serve", "--config", &file);
        if check {
            run = run.arg("--check");
        }
        let outcome = run.run();
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.stdout.is_empty(), "{outcome}");
        let lines: Vec<_> = outcome.stderr.lines().collect();
        let begin = |place: &str| format!("windlass: {}:{place}: ", file.display());
        let expected = [
            ("1:1", "the key `service` is missing"),
            ("1:1", "the key `listen` is missing"),
            ("2:1", "unknown key `frob`"),
            ("4:1", "the key `listen` is missing"),
            ("5:11", "\"frob\" is not one of"),
        ];
        assert_eq!(lines.len(), expected.len(), "{outcome}");
        for (line, (place, what)) in lines.iter().zip(expected) {
            assert!(line.starts_with(&(begin(place) + what)), "{outcome}");
        }
    }
    let missing = folder.path().join("missing");
    let outcome = windlass!("serve", "--config", &missing).run();
    outcome.fails_with(1, &[&missing.display().to_string(), "No such file"]);
}

/// Without a file too: what `serve` would say after it has opened half of it.
#[test]
fn check_finds_what_serving_would() {
    let not_a_folder = "/proc/self/status";
    for (line, words) in [
        ("files --root /no/such", &["open the root /no/such", "No such file"][..]),
        ("files --root /proc/self/status", &["open the root", not_a_folder]),
        ("files --push /no/such/x", &["/no/such", "No such file"]),
        ("files --push /proc/no-such-file", &["push /proc/no-such-file"]),
        ("upper --user no-such-user", &["no-such-user", "no such user"]),
        ("upper --user nobody:no-such-group", &["no such group"]),
        ("upper --listen unix:/no/such/x", &["bind unix:/no/such/x", "No such file"]),
        ("upper --model prefork --listen unix:@x --control /no/such/x", &["bind unix:/no/such/x"]),
        ("upper --listen tcp:127.0.0.1:1 --listen tcp:127.0.0.1:1", &["is given twice"]),
        ("upper --listen tcp:0.0.0.0:1 --listen tcp:127.0.0.1:1", &["exclude each other"]),
    ] {
        let listen = if line.contains("--listen") { "" } else { " --listen tcp:127.0.0.1:0" };
        let outcome = windlass!().words(&format!("serve --check {line}{listen}")).run();
        outcome.fails_with(1, words);
    }
    // Several are all told.
    let line =
        "serve --check upper --user no-such-user --listen unix:/no/such/x --listen unix:/no/such/y";
    let outcome = windlass!().words(line).run();
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(1), 3), "{outcome}");
    for line in ["serve --check", "serve --check upper --listen tcp:0.0.0.0:1 --listen tcp:[::]:1"]
    {
        assert_eq!(windlass!().words(line).run().code, Some(0), "{line}");
    }
}

#[test]
fn a_file_and_options_for_what_is_in_it_do_not_go_together() {
    for words in ["upper", "--listen unix:@x", "--backlog 3", "--workers 3"] {
        let outcome = windlass!("serve", "--config", "/dev/null").words(words).run();
        outcome.fails_with(2, &["--config"]);
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(name)
}

/// It has every key, so that one can see what there is.
#[test]
fn the_example_is_in_order_and_complete() {
    let path = example("windlass.toml");
    windlass!("serve", "--check", "--config", &path).run().succeeds();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    fs::write(&file, "[[listener]]\nfrob = 1\n").expect("write");
    // What a mistake lists is all that there is.
    let told = windlass!("serve", "--config", &file).run().stderr;
    let (_, keys) = told.split_once("expected one of").expect("a list");
    let text = fs::read_to_string(&path).expect("read");
    for key in keys.split('`').skip(1).step_by(2).chain(["grace", "drain"]) {
        let said = text.lines().any(|line| {
            line.trim_start_matches(['#', ' '])
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(" = "))
        });
        assert!(said, "{key} is not in {}", path.display());
    }
}

#[test]
fn the_unit_files_are_in_order() {
    // Not worth a failure where it is not installed: the files are for systems that have it.
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        println!("skipped: no systemd-analyze");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = env!("CARGO_BIN_EXE_windlass-under-test");
    for name in ["windlass.service", "windlass.socket"] {
        let text = fs::read_to_string(example(name)).expect("read");
        // `systemd-analyze verify` checks that the program exists.
        let text = text.replace("/usr/local/bin/windlass", program);
        fs::write(folder.path().join(name), text).expect("write");
    }
    let units = ["windlass.service", "windlass.socket"].map(|name| folder.path().join(name));
    let verify = windlass_tests::Program::new("systemd-analyze").arg("verify");
    let outcome = units.iter().fold(verify, windlass_tests::Program::arg).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome}");
}

/// Writes nothing to a FIFO, or has no end.
fn unreadable(folder: &Path) -> [(PathBuf, &'static str); 3] {
    let fifo = folder.join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("mkfifo");
    let folder = folder.to_owned();
    [
        (fifo, "it took longer than 5 s"),
        (PathBuf::from("/dev/zero"), "File too large"),
        (folder, "Is a directory"),
    ]
}

#[test]
fn a_file_that_does_not_come_or_does_not_end_is_a_mistake_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, why) in unreadable(folder.path()) {
        let place = format!("read {}", path.display());
        for check in ["--check", "-v"] {
            let outcome = windlass!("serve", check, "--config", &path).run();
            outcome.fails_with(1, &[&place, why]);
        }
    }
    // One that does come may come from anywhere.
    let text = "[[listener]]\nservice = 'upper'\nlisten = 'unix:@never'\n";
    let script = format!("printf %s \"{text}\" | \"$0\" serve --check --config /dev/stdin");
    let outcome = windlass_tests::Program::new("sh").words("-c").arg(script);
    outcome.arg(env!("CARGO_BIN_EXE_windlass-under-test")).run().succeeds();
}

#[test]
fn a_file_that_does_not_come_or_does_not_end_changes_nothing_and_holds_up_nothing() {
    let text = |model| {
        format!("[[listener]]\nservice='upper'\nmodel='{model}'\nlisten='tcp:127.0.0.1:0'\n")
    };
    let (supervised, members) = supervise!(&text("epoll")).serving(1);
    let children = || proc::children(supervised.pid()).len();
    let alone = || within(PATIENCE, "one process serves and none reads", || children() == 1);
    for (n, (path, why)) in unreadable(supervised.folder()).into_iter().enumerate() {
        // One that was killed for being late may not be reaped yet, and refuses the next.
        alone();
        fs::remove_file(supervised.config()).expect("remove");
        symlink(path, supervised.config()).expect("symlink");
        supervised.signal(Signal::SIGHUP);
        supervised.until_logged(why, 1);
        supervised.until_logged("not reloaded", n + 1);
        Client::connect(&members[0].address).upper(b"still here");
    }
    fs::remove_file(supervised.config()).expect("remove");
    supervised.reload(&text("poll"));
    supervised.until_logged("was replaced", 1);
    // And while it is waited for, the supervisor hears that it is to stop.
    fs::remove_file(supervised.config()).expect("remove");
    mkfifo(&supervised.config(), Mode::S_IRWXU).expect("mkfifo");
    alone();
    supervised.signal(Signal::SIGHUP);
    within(PATIENCE, "it is read", || children() == 2);
    assert_eq!(supervised.stop(), Some(0));
}
