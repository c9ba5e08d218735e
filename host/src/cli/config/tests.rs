//! Configurations, and what is wrong with them.

use super::*;
use crate::server::{Files, Limits, Model, Service};

fn read(text: &str) -> Result<Vec<Spec>, Vec<String>> {
    let top = Top { grace: Micros(5_000_000), drain: Micros(6_000_000) };
    parse(Path::new("file"), text, top)
}

const ONE: &str = "[[listener]]\nservice = 'upper'\nlisten = 'tcp:127.0.0.1:0'\n";

#[test]
fn what_is_left_out_is_as_on_the_command_line() {
    let specs = read(ONE).unwrap();
    let expected = Spec {
        address: "tcp:127.0.0.1:0".parse().unwrap(),
        name: None,
        service: Service::Upper,
        files: None,
        model: Model::Epoll,
        limits: Limits::default(),
        control: None,
        user: None,
        backlog: 1024,
        grace_us: 5_000_000,
        drain_us: 6_000_000,
    };
    assert_eq!(specs, [expected]);
}

#[test]
fn what_is_said_is_taken() {
    let text = "drain = 1.5\ngrace = 2\n[[listener]]\nservice = 'echo'\nmodel = 'prefork'\n\
        listen = ['unix:@a', 'fd:3']\nname = 'web'\nmax-connections = 7\nidle-timeout = 0\nbacklog = 8\n\
        min-spare = 1\nmax-spare = 2\nmax-workers = 3\nrequests-per-worker = 9\nhold = 4\n";
    let specs = read(text).unwrap();
    let addresses: Vec<_> = specs.iter().map(|spec| spec.address.to_string()).collect();
    assert_eq!(addresses, ["unix:@a", "fd:3"]);
    let Spec { name, service, model, limits, backlog, grace_us, drain_us, .. } = &specs[1];
    assert_eq!((name.as_deref(), *service, *model), (Some("web"), Service::Echo, Model::Prefork));
    assert_eq!((limits.max_connections, limits.idle_us, *backlog), (7, None, 8));
    let pool = limits.pool;
    assert_eq!((pool.min_spare, pool.max_spare, pool.max_workers), (1, 2, 3));
    assert_eq!((pool.requests, pool.hold_us), (Some(9), 4_000));
    assert_eq!((*grace_us, *drain_us), (2_000_000, 1_500_000));
}

/// Each is the second line of a listener that is otherwise in order.
#[test]
fn a_mistake_has_a_line_a_column_and_what_was_expected() {
    for (line, error) in [
        ("frob = 1", "file:2:1: unknown field `frob`, expected one of `service`, `listen`"),
        ("  model = 'frob'", "file:2:11: \"frob\" is not one of iterative, fork,"),
        ("model = 3", "file:2:9: invalid type: integer `3`, expected a string"),
        ("backlog = 0", "file:2:11: 0 is not in 1..=4294967295"),
        ("backlog = -1", "file:2:11: -1 is not in 1..="),
        ("backlog = 4294967296", "file:2:11: 4294967296 is not in 1..=4294967295"),
        ("workers = 256\nmodel = 'pool-static'", "file:2:11: 256 is not in 1..=255"),
        ("requests-per-worker = 0", "file:2:23: 0 is not in 1..=18446744073709551615"),
        ("idle-timeout = 'soon'", "file:2:16: invalid type: string \"soon\""),
        ("idle-timeout = -1", "file:2:16: seconds are between 0 and 1000000000"),
        ("idle-timeout = nan", "file:2:16: seconds are between 0 and 1000000000"),
        ("hold = -1", "file:2:8: invalid value: integer `-1`"),
        ("queue = 3", "file:2:1: queue is for model thread-pool, not epoll"),
        (
            "model = 'thread-pool'\nmax-threads = 2\nmin-threads = 4",
            "file:4:1: min-threads 4 is above max-threads 2",
        ),
        (
            "model = 'prefork'\n\n  min-spare = 4\nmax-spare = 3",
            "file:4:3: min-spare 4, max-spare 3 and max-workers 20 are not in order",
        ),
        ("backlog = 1\nbacklog = 2", "file:3:1: duplicate key"),
        ("backlog = ", "file:2:"),
        ("# über\n\"frob\" = 1", "file:3:1: unknown field `frob`"),
        ("\"ü\" = 1, frob", "file:2:8: "),
    ] {
        let text = ONE.replacen('\n', &format!("\n{line}\n"), 1);
        let errors = read(&text).unwrap_err();
        assert!(errors[0].starts_with(error), "{line}: {errors:?}");
        assert!(errors.iter().all(|error| !error.contains('\n')), "{errors:?}");
    }
}

#[test]
fn addresses_are_checked() {
    let listen = |value: &str| format!("[[listener]]\nservice = 'upper'\nlisten = {value}\n");
    for (value, error) in [
        ("'tcp:x'", "file:3:10: \"tcp:x\": the port is not a number"),
        ("3", "file:3:10: expected an address, or an array of addresses"),
        ("[]", "file:1:1: missing field `listen`"),
        ("'udp:127.0.0.1:0'", "file:3:1: upper is served on streams, and udp:127.0.0.1:0 is"),
        ("['fd:3', 'fd:3']", "file:3:1: fd:3 is given twice"),
        ("['unix:a', 'unix:a']", "file:3:1: unix:a is taken in line 3 already"),
    ] {
        assert!(read(&listen(value)).unwrap_err()[0].starts_with(error), "{value}");
    }
    let twice = format!("{}{}", listen("'tcp:127.0.0.1:80'"), listen("'tcp:[::1]:80'"));
    assert!(read(&twice).is_ok());
    let twice = format!("{}{}", listen("'tcp:[0:0::1]:80'"), listen("'tcp:[::1]:80'"));
    assert_eq!(read(&twice).unwrap_err(), ["file:6:1: tcp:[::1]:80 is taken in line 3 already"]);
    assert!(read(&ONE.repeat(2)).is_ok(), "each gets a port of its own");
}

#[test]
fn a_socket_file_is_bound_once() {
    let pool = |listen: &str, control: &str| {
        format!(
            "[[listener]]\nservice = 'upper'\nmodel = 'prefork'\nlisten = '{listen}'\n control = {control}\n"
        )
    };
    assert!(read(&(pool("unix:a", "'b'") + &pool("unix:c", "'d'"))).is_ok());
    for (text, error) in [
        (pool("unix:a", "'a'"), "file:5:2: control and listen are both at a"),
        (pool("unix:a", "'b'") + &pool("unix:c", "'b'"), "file:10:2: unix:b is taken in line 5"),
        (pool("unix:a", "'b'") + &pool("unix:b", "'c'"), "file:9:1: unix:b is taken in line 5"),
        (
            pool("unix:a", "'b'") + &pool("unix:c", "'./a'"),
            "file:10:2: unix:./a is taken in line 4",
        ),
        (pool("unix:a", "\"b\\nc\""), "file:5:12: a socket path has 1 to 107 bytes, all of"),
        (pool("unix:a", "\"b\\u0000c\""), "file:5:12: a socket path has 1 to 107 bytes"),
    ] {
        let errors = read(&text).unwrap_err();
        assert!(errors.len() == 1 && errors[0].starts_with(error), "{errors:?}");
    }
}

#[test]
fn nothing_in_the_file_reaches_a_terminal_as_a_command() {
    for text in
        ["\"\\u001b[31mred\" = 1", "\"\\u009b2J\" = 1", "[[listener]]\nservice = \"\\u001bc\""]
    {
        let errors = read(text).unwrap_err();
        assert!(!errors.concat().contains(char::is_control), "{errors:?}");
    }
    let errors = read("\"\\u001b[31mred\" = 1").unwrap_err();
    assert!(errors[0].contains("`\\u{1b}[31mred`"), "{errors:?}");
}

#[test]
fn files_are_looked_for() {
    let files = |more: &str| format!("[[listener]]\nservice = 'files'\nlisten = 'unix:@a'\n{more}");
    let specs = read(&files("root = '/proc/self'\npush = 'status'")).unwrap();
    let push = Some("status".into());
    assert_eq!(specs[0].files, Some(Files { root: "/proc/self".into(), push }));
    for (text, error) in [
        (files(""), "file:2:1: files needs root DIR, or push FILE"),
        (files("root = '/no/such'"), "file:4:1: open the root /no/such: No such file"),
        (files("root = '/proc/self'\npush = 'no'"), "file:4:1: push /proc/self/no: "),
        (files("push = '/'"), "file:4:1: push is for a file, by its name"),
        (format!("{ONE}root = '/proc'"), "file:4:1: root and push are for files"),
    ] {
        let errors = read(&text).unwrap_err();
        assert!(errors[0].starts_with(error), "{errors:?}");
    }
}

#[test]
fn every_mistake_is_told() {
    let text = "grace = 'x'\nfrob = 1\n[[listener]]\nlisten = 'unix:a'\n[[listener]]\nfrob = 1\n";
    let errors = read(text).unwrap_err();
    let places: Vec<_> = errors.iter().map(|error| error.rsplit_once(": ").unwrap().0).collect();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(places[0].starts_with("file:1:9"), "{errors:?}");
    assert!(errors[1].starts_with("file:2:1: unknown field `frob`"), "{errors:?}");
    assert_eq!(errors[2], "file:3:1: missing field `service`");
    assert!(errors[3].starts_with("file:6:1: unknown field `frob`"), "{errors:?}");
}

#[test]
fn a_file_without_listeners_is_a_mistake() {
    for (text, error) in [
        ("", "file:1:1: no [[listener]], so there is nothing to serve"),
        ("grace = 1", "file:1:1: no [[listener]]"),
        ("[listener]\nservice = 'upper'", "file:1:2: write [[listener]], with two brackets"),
        ("listener = [3]", "file:1:13: invalid type: integer `3`"),
        ("a = [", "file:1:"),
    ] {
        assert!(read(text).unwrap_err()[0].starts_with(error), "{text}: {:?}", read(text));
    }
}
