//! Windlass works under `docs/examples/windlass.service`: the unit allows every system call that it
//! makes.
//!
//! `strace` records every system call of a supervisor, its pools and its successor. No service manager
//! is needed for that, and a call that is made only once is not missed, as it is where a filter makes it fail
//! and a fallback takes its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use windlass_tests::{Client, Member, has, supervise, windlass};

/// The values of `key` in the unit file, in their order.
fn values(key: &str) -> Vec<String> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/windlass.service");
    let text = fs::read_to_string(unit).expect("the unit file");
    let of_key = |line: &str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
    text.lines().filter_map(of_key).collect()
}

/// The groups of system calls that systemd knows, with what is in each.
fn groups() -> BTreeMap<String, Vec<String>> {
    let output = Command::new("systemd-analyze").args(["syscall-filter", "--no-pager"]).output();
    let text = String::from_utf8(output.expect("systemd-analyze").stdout).expect("text");
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut group = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            line.clone_into(&mut group);
        } else if !line.trim().starts_with('#') {
            groups.entry(group.clone()).or_default().push(line.trim().to_owned());
        }
    }
    groups
}

fn expand(name: &str, groups: &BTreeMap<String, Vec<String>>, into: &mut BTreeSet<String>) {
    if let Some(members) = groups.get(name) {
        for member in members {
            expand(member, groups, into);
        }
    } else if !name.starts_with('@') {
        into.insert(name.to_owned());
    }
}

/// The system calls that the unit file allows.
fn allowed() -> BTreeSet<String> {
    let groups = groups();
    let mut allowed = BTreeSet::new();
    expand("@default", &groups, &mut allowed);
    for value in values("SystemCallFilter") {
        let mut of_line = BTreeSet::new();
        let names = value.trim_start_matches('~');
        for name in names.split_whitespace() {
            expand(name, &groups, &mut of_line);
        }
        if value.starts_with('~') {
            allowed.retain(|call| !of_line.contains(call));
        } else {
            allowed.extend(of_line);
        }
    }
    allowed
}

/// The system call of a line that `strace -f` wrote, and what follows its name.
fn call(line: &str) -> Option<(&str, &str)> {
    let (_, call) = line.split_once(' ')?;
    let (name, arguments) = call.trim_start().split_once('(')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && !name.is_empty()).then_some((name, arguments))
}

#[test]
fn a_line_of_strace_tells_of_a_call_or_of_none() {
    let lines = [
        ("12  socket(AF_UNIX, SOCK_STREAM, 0) = 3", Some("socket")),
        ("12 <... read resumed>) = 0", None),
        ("12 +++ exited with 0 +++", None),
        ("12 --- SIGHUP {si_signo=SIGHUP} ---", None),
    ];
    for (line, name) in lines {
        assert_eq!(call(line).map(|(name, _)| name), name, "{line}");
    }
}

#[test]
fn all_that_the_service_does_is_allowed() {
    if !has("strace") || !has("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let [trace, socket, control, got] = ["trace", "socket", "control", "got"].map(path);
    // Long enough for each way to send it.
    let whole = vec![b'x'; 1 << 20];
    fs::write(folder.path().join("file"), &whole).expect("write");
    let plain = ["fork", "thread", "thread-pool", "select", "poll", "epoll", "epoll-et", "reactor"];
    let any = "'tcp:127.0.0.1:0'";
    let upper = |model: &str, listen: &str| {
        format!("[[listener]]\nservice = 'upper'\nmodel = '{model}'\nlisten = {listen}\n")
    };
    let root = folder.path().display();
    let mut text: String = plain.iter().map(|model| upper(model, any)).collect();
    text += &upper("prefork", &format!("'unix:{socket}'\ncontrol = '{control}'"));
    text += &upper("pool-static", &format!("{any}\nroot = '{root}'")).replace("upper", "files");
    // The calls of each process, with its pid; the supervisor keeps its own.
    let strace = ["strace", "-D", "-f", "-qq", "-s", "0", "-e", "signal=none", "-o", &trace];
    let start = supervise!(&text).under(&strace).never_runs_what_it_wrote();
    let (start, _manager) = start.env("WATCHDOG_USEC", "20000000").notify();
    let (supervised, members) = start.serving(10);

    let use_all = |members: &[Member]| {
        for member in members {
            if member.service == "files" {
                let url = member.address.replace("tcp:", "files://") + "/file";
                windlass!("get", "--verify", "-o", &got, &url).run().succeeds();
                assert!(fs::read(&got).expect("what was fetched") == whole);
            } else {
                Client::connect(&member.address).upper(b"hello");
            }
        }
        windlass!("status", &control).run().succeeds();
    };
    use_all(&members);
    supervised.signal(Signal::SIGHUP);
    supervised.until_logged("reloaded", 1);
    use_all(&members);
    supervised.signal(Signal::SIGUSR2);
    let successors: Vec<_> = (0..10).map(|_| supervised.listening()).collect();
    use_all(&successors);
    drop(supervised);

    let written = fs::read_to_string(&trace).expect("what strace wrote");
    let calls: Vec<_> = written.lines().filter_map(call).collect();
    let allowed = allowed();
    let made: BTreeSet<_> = calls.iter().map(|(name, _)| (*name).to_owned()).collect();
    for call in ["accept4", "seccomp", "landlock_restrict_self", "openat2", "clone"] {
        assert!(made.iter().any(|made| made.starts_with(call)), "{call} is missing: {made:?}");
    }
    let refused: Vec<_> = made.difference(&allowed).collect();
    assert!(refused.is_empty(), "the unit file does not allow {refused:?}");

    // systemd makes openat2(2) fail with either of them, as it cannot see the mode that a file would get.
    for key in ["RestrictSUIDSGID", "DynamicUser"] {
        assert!(values(key).iter().all(|value| value == "no"), "{key} refuses openat2");
    }

    let families = values("RestrictAddressFamilies").join(" ");
    for (_, arguments) in calls.iter().filter(|(name, _)| name.starts_with("socket")) {
        let family = arguments.split(',').next().unwrap_or_default();
        assert!(families.split(' ').any(|it| it == family), "{family} is not among {families}");
    }
}
