//! Configurations, and what is wrong with them.

use std::num::NonZeroU32;

use super::super::values::Micros;
use super::*;
use crate::network::{Balancer, Network};
use crate::server::supervise::Probes;
use crate::server::{Admission, Files, Limits, Model, Service, Terms, Web};
use crate::sys::listener::Access;

fn read(text: &str) -> Result<Vec<Spec>, Vec<String>> {
    let top = Top {
        grace: Micros(5_000_000),
        drain: Micros(6_000_000),
        monitor: None,
        agent: None,
        stop_delay: Micros(0),
    };
    parse(Path::new("file"), text, top, false).map(|wanted| wanted.listeners)
}

const ONE: &str = "[[listener]]\nservice = 'upper'\nlisten = 'tcp:127.0.0.1:0'\n";

#[test]
fn a_balancer_asks_where_the_file_says() {
    let top = Top {
        grace: Micros(0),
        drain: Micros(0),
        monitor: None,
        agent: "unix:/before".parse().ok(),
        stop_delay: Micros(0),
    };
    let parse = |text: &str| parse(Path::new("file"), text, top.clone(), false);
    let text = "monitor = 'tcp:127.0.0.1:1'\nagent = 'unix:/a'\nstop-delay = 1.5\n";
    let wanted = parse(&format!("{text}{ONE}")).unwrap();
    assert_eq!(wanted.probes.monitor, "tcp:127.0.0.1:1".parse().ok());
    assert_eq!(wanted.probes.agent, "unix:/a".parse().ok());
    assert_eq!(wanted.stop_delay_us, 1_500_000);
    let wanted = parse(ONE).unwrap();
    assert_eq!(
        (wanted.probes, wanted.stop_delay_us),
        (Probes { monitor: None, agent: top.agent.clone() }, 0)
    );
}

#[test]
fn a_delay_that_is_told_to_no_balancer_is_a_mistake() {
    let wrong = read(&format!("grace = 1\nstop-delay = 2\n{ONE}")).unwrap_err();
    let why = "stop-delay is for a balancer, which asks at monitor or agent, and neither is there";
    assert_eq!(wrong, [format!("file:2:1: {why}")]);
}

#[test]
fn what_is_left_out_is_as_on_the_command_line() {
    let specs = read(ONE).unwrap();
    let expected = Spec {
        access: Access::default(),
        admission: Admission::default(),
        access_log: None,
        address: "tcp:127.0.0.1:0".parse().unwrap(),
        name: None,
        service: Service::Upper,
        files: None,
        web: Web::default(),
        tls: None,
        terms: Terms::DEFAULT,
        model: Model::Epoll,
        limits: Limits::default(),
        control: None,
        user: None,
        group: None,
        interface: None,
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
        min-spare = 1\nmax-spare = 2\nmax-workers = 3\nrequests-per-worker = 9\nhold = 4\n\
        allow = ['10.0.0.0/8', '::1']\ndeny = '10.1.0.0/16'\nproxy-from = ['10.2.0.1', 'unix']\nmax-per-client = 5\nrate = 2048\n";
    let specs = read(text).unwrap();
    let addresses: Vec<_> = specs.iter().map(|spec| spec.address.to_string()).collect();
    assert_eq!(addresses, ["unix:@a", "fd:3"]);
    let Spec { name, service, model, limits, backlog, grace_us, drain_us, .. } = &specs[1];
    assert_eq!((name.as_deref(), *service, *model), (Some("web"), Service::Echo, Model::Prefork));
    assert_eq!((limits.max_connections, limits.time.idle_us, *backlog), (7, None, 8));
    let pool = limits.pool;
    assert_eq!((pool.min_spare, pool.max_spare, pool.max_workers), (1, 2, 3));
    assert_eq!((pool.requests, pool.hold_us), (Some(9), 4_000));
    assert_eq!((*grace_us, *drain_us), (2_000_000, 1_500_000));
    let Admission { allow, deny, proxies, per_client, rate, client_rate } = &specs[1].admission;
    let text = |networks: &[Network]| networks.iter().map(Network::to_string).collect::<Vec<_>>();
    assert_eq!(
        (text(allow), text(deny)),
        (vec!["10.0.0.0/8".into(), "::1/128".into()], vec!["10.1.0.0/16".into()])
    );
    let network = "10.2.0.1".parse().unwrap();
    assert_eq!(proxies[..], [Balancer::Network(network), Balancer::Unix]);
    assert_eq!((*per_client, rate.map(NonZeroU32::get), *client_rate), (Some(5), Some(2048), None));
}

/// Each is the second line of a listener that is otherwise in order.
#[test]
fn a_mistake_has_a_line_a_column_and_what_was_expected() {
    for (line, error) in [
        ("frob = 1", "file:2:1: unknown key `frob`, expected one of `service`, `listen`"),
        ("  model = 'frob'", "file:2:11: \"frob\" is not one of iterative, fork,"),
        ("model = 3", "file:2:9: expected a string, found a whole number"),
        ("backlog = 0", "file:2:11: 0 is not from 1 to 4294967295"),
        ("backlog = -1", "file:2:11: -1 is not from 1 to"),
        ("backlog = 4294967296", "file:2:11: 4294967296 is not from 1 to 4294967295"),
        ("workers = 256\nmodel = 'pool-static'", "file:2:11: 256 is not from 1 to 255"),
        ("requests-per-worker = 0", "file:2:23: 0 is not from 1 to 18446744073709551615"),
        ("idle-timeout = 'soon'", "file:2:16: expected a number, found a string"),
        ("idle-timeout = -1", "file:2:16: a number of seconds is between 0 and 1000000000"),
        ("idle-timeout = nan", "file:2:16: a number of seconds is between 0 and 1000000000"),
        ("hold = -1", "file:2:8: expected a whole number from 0 up, found -1"),
        ("queue = 3", "file:2:1: queue is for model thread-pool, not epoll"),
        (
            "model = 'thread-pool'\nmax-threads = 2\nmin-threads = 4",
            "file:4:1: min-threads 4 is above max-threads 2",
        ),
        (
            "model = 'prefork'\n\n  min-spare = 4\nmax-spare = 3",
            "file:4:3: min-spare 4, max-spare 3 and max-workers 20 are not in order",
        ),
        (
            "hodl = 3",
            "file:2:1: unknown key `hodl` (a similar key exists: `hold`), expected one of",
        ),
        (
            "hold = 1.5",
            "file:2:8: expected a whole number from 0 up, found a number with a fraction",
        ),
        ("hold = 9223372036854775808", "file:2:8: 9223372036854775808 has more than 64 bits"),
        ("no-sandbox = 'yes'", "file:2:14: expected true or false, found a string"),
        ("no-sandbox = 2020-02-02", "file:2:14: expected true or false, found a date or a time"),
        ("root = 3", "file:2:8: expected a string, found a whole number"),
        ("user = []", "file:2:8: expected a string, found an array"),
        ("user = {}", "file:2:8: expected a string, found a table"),
        ("user = 'no:such'", "file:2:1: look up user no:such: there is no such user"),
        ("backlog = 1\nbacklog = 2", "file:3:1: duplicate key"),
        ("backlog = ", "file:2:"),
        ("# über\n\"frob\" = 1", "file:3:1: unknown key `frob`"),
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
        ("[]", "file:1:1: the key `listen` is missing"),
        ("['fd:3', 'fd:3']", "file:3:1: fd:3 is given twice"),
        ("['unix:a', 'unix:a']", "file:3:1: unix:a is taken in line 3 already"),
    ] {
        assert!(read(&listen(value)).unwrap_err()[0].starts_with(error), "{value}");
    }
    let under = |model: &str, address: &str| {
        read(&format!("[[listener]]\nservice = 'upper'\nlisten = '{address}'\nmodel = '{model}'\n"))
    };
    let error = &under("fork", "udp:127.0.0.1:0").unwrap_err()[0];
    assert!(error.contains("udp:127.0.0.1:0: fork gives a process to each connection"), "{error}");
    assert!(under("prefork", "unix-dgram:a").is_ok());
    let twice = format!("{}{}", listen("'tcp:127.0.0.1:80'"), listen("'udp:127.0.0.1:80'"));
    assert_eq!(read(&twice).err(), None, "one port for streams and one for datagrams");
    let twice = format!("{}{}", listen("'tcp:127.0.0.1:80'"), listen("'tcp:[::1]:80'"));
    assert!(read(&twice).is_ok());
    let twice = format!("{}{}", listen("'tcp:[0:0::1]:80'"), listen("'tcp:[::1]:80'"));
    assert_eq!(read(&twice).unwrap_err(), ["file:6:1: tcp:[::1]:80 is taken in line 3 already"]);
    assert!(read(&ONE.repeat(2)).is_ok(), "each gets a port of its own");
}

#[test]
fn addresses_that_exclude_each_other_are_told() {
    for (one, other, error) in [
        (
            "tcp:127.0.0.1:80",
            "tcp:127.0.0.1:80",
            Some("tcp:127.0.0.1:80 is taken in line 3 already"),
        ),
        (
            "tcp:0.0.0.0:80",
            "tcp:127.0.0.1:80",
            Some("tcp:127.0.0.1:80 and tcp:0.0.0.0:80 of line 3"),
        ),
        (
            "tcp:127.0.0.1:80",
            "tcp:0.0.0.0:80",
            Some("tcp:0.0.0.0:80 and tcp:127.0.0.1:80 of line 3"),
        ),
        (
            "tcp:[::]:80",
            "tcp:[::1]:80",
            Some("tcp:[::1]:80 and tcp:[::]:80 of line 3 exclude each other"),
        ),
        ("tcp:[::]:80", "tcp:[0::0]:80", Some("tcp:[0::0]:80 is taken")),
        ("tcp:Localhost:80", "tcp:localhost:80", Some("tcp:localhost:80 and tcp:Localhost:80")),
        ("unix:/tmp/../tmp/x", "unix:/tmp/x", Some("unix:/tmp/x and unix:/tmp/../tmp/x of line 3")),
        ("unix:@x", "unix:@x", Some("unix:@x is taken")),
        // What a wildcard of one family has the other one does not.
        ("tcp:0.0.0.0:80", "tcp:[::]:80", None),
        ("tcp:0.0.0.0:80", "tcp:[::1]:80", None),
        ("tcp:127.0.0.1:80", "tcp:127.0.0.2:80", None),
        ("tcp:127.0.0.1:80", "tcp:0.0.0.0:81", None),
        ("tcp:0.0.0.0:0", "tcp:0.0.0.0:0", None),
        ("unix:@x", "unix:x", None),
    ] {
        let listener = |at| format!("[[listener]]\nservice = 'upper'\nlisten = '{at}'\n");
        let read = read(&(listener(one) + &listener(other)));
        let told = read.err().unwrap_or_default();
        let is_told = |error| told.len() == 1 && told[0].starts_with(&format!("file:6:1: {error}"));
        assert!(error.map_or(told.is_empty(), is_told), "{one} {other}: {told:?}");
    }
}

#[test]
fn a_check_looks_at_what_would_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let at = file.to_str().unwrap();
    let check = |text: &str| {
        let top = Top {
            grace: Micros(0),
            drain: Micros(0),
            monitor: None,
            agent: None,
            stop_delay: Micros(0),
        };
        parse(Path::new("file"), text, top, true)
    };
    let listen = |listen: &str| {
        format!("[[listener]]\nservice = 'upper'\nmodel = 'prefork'\nlisten = 'unix:{listen}'\n")
    };
    assert!(check(&listen(&format!("{at}2"))).is_ok());
    for (text, error) in [
        (listen("/no/such/x"), "file:4:1: bind unix:/no/such/x: No such file or directory"),
        (
            listen(at),
            &*format!(
                "file:4:1: bind unix:{at}: a file with this name exists, and it is not a socket"
            ),
        ),
        (listen(&format!("{at}/x")), &*format!("file:4:1: bind unix:{at}/x: Not a directory")),
        (listen("@x") + "control = '/no/such/x'", "file:5:1: bind unix:/no/such/x: No such file"),
    ] {
        let errors = check(&text).unwrap_err();
        assert!(errors.len() == 1 && errors[0].starts_with(error), "{errors:?}");
        let top = Top {
            grace: Micros(0),
            drain: Micros(0),
            monitor: None,
            agent: None,
            stop_delay: Micros(0),
        };
        let later = parse(Path::new("file"), &text, top, false);
        assert!(later.is_ok(), "a listener that is open does not need it");
    }
}

#[test]
fn every_mistake_of_a_listener_is_told_and_none_that_follows_from_another() {
    let text = "[[listener]]\nservice = 'upper'\nlisten = ['unix:@a', 'unix:@a']\nmodel = 'epol'\n\
        backlog = 0\nhold = -1\nidle-timeout = 'x'\nworkers = 3\nmin-threads = 4\nmax-threads = 3\n\
        root = '/no/such'\nuser = 'no:such'\nfrob = 1\n";
    let errors = read(text).unwrap_err();
    let lines: Vec<_> = errors.iter().map(|error| error.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["3", "4", "5", "6", "7", "9", "11", "12", "13"], "{errors:#?}");
    let text = "[[listener]]\nservice = 'uper'\nlisten = 'x'\nworkers = 3\nroot = '/no/such'\n";
    let errors = read(text).unwrap_err();
    let lines: Vec<_> = errors.iter().map(|error| error.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["2", "3"], "{errors:#?}");
    let text = "[[listener]]\nservice = 'upper'\nlisten = 'unix:@a'\nworkers = 3\nqueue = 3\n";
    assert_eq!(read(text).unwrap_err().len(), 2);
    // A service that the address does not carry hides no other mistake.
    let text = "[[listener]]\nservice = 'upper'\nlisten = 'udp:[::1]:0'\nmodel = 'fork'\n\
        max-connections = 4\ngroup = '239.0.0.2'\nworkers = 3\n";
    let errors = read(text).unwrap_err();
    let lines: Vec<_> = errors.iter().map(|error| error.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["3", "5", "6", "7"], "{errors:#?}");
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
            "file:10:2: unix:./a and unix:a of line 4 exclude each other",
        ),
        (pool("unix:a", "\"b\\nc\""), "file:5:12: a socket path has 1 to 107 bytes of printable"),
        (pool("unix:a", "\"b\\u0000c\""), "file:5:12: a socket path has 1 to 107 bytes"),
    ] {
        let errors = read(&text).unwrap_err();
        assert!(errors.len() == 1 && errors[0].starts_with(error), "{errors:?}");
    }
}

#[test]
fn a_socket_file_has_a_mode_and_a_group() {
    let listen = |listen: &str, more: &str| {
        format!("[[listener]]\nservice = 'upper'\nlisten = {listen}\n{more}\n")
    };
    let specs = read(&listen("'unix:a'", "mode = '0660'\nsocket-group = '7'")).unwrap();
    assert_eq!(specs[0].access, Access { mode: Some(0o660), group: Some(7) });
    for (listener, more, error) in [
        ("'unix:a'", "mode = 660", "file:4:8: expected a string, found a whole number"),
        (
            "'unix:a'",
            "mode = '1777'",
            "file:4:8: \"1777\": permissions are octal digits, at most 0777",
        ),
        ("'unix:a'", "mode = '0o600'", "file:4:8: \"0o600\": permissions are octal digits"),
        ("'unix:a'", "mode = '+60'", "file:4:8: \"+60\": permissions are octal digits"),
        ("'unix:a'", "mode = ''", "file:4:8: \"\": permissions are octal digits"),
        ("'unix:a'", "socket-group = 'no-such-group'", "file:4:16: look up group no-such-group: "),
        (
            "'tcp:127.0.0.1:0'",
            "mode = '600'",
            "file:4:1: mode is for a socket file (unix:PATH, unix-dgram:PATH), and",
        ),
        (
            "['unix:a', 'unix:@b']",
            "socket-group = '7'",
            "file:4:1: socket-group is for a socket file",
        ),
    ] {
        let errors = read(&listen(listener, more)).unwrap_err();
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
        (files("root = '/proc/self'\npush = 'no'"), "file:5:1: push /proc/self/no: "),
        (files("push = '/'"), "file:4:1: push is for a file, by its name"),
        (
            format!("{ONE}root = '/proc'"),
            "file:4:1: root is for files, http, tftp and xfer, and push for files",
        ),
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
    assert_eq!(errors.len(), 6, "{errors:?}");
    assert!(places[0].starts_with("file:1:9"), "{errors:?}");
    assert!(errors[1].starts_with("file:2:1: unknown key `frob`"), "{errors:?}");
    assert_eq!(errors[2], "file:3:1: the key `service` is missing");
    assert_eq!(errors[4], "file:5:1: the key `listen` is missing");
    assert!(errors[5].starts_with("file:6:1: unknown key `frob`"), "{errors:?}");
}

#[test]
fn a_file_without_listeners_is_a_mistake() {
    for (text, error) in [
        ("", "file:1:1: no [[listener]], so there is nothing to serve"),
        ("grace = 1", "file:1:1: no [[listener]]"),
        ("[listener]\nservice = 'upper'", "file:1:2: write [[listener]], with two brackets"),
        ("listener = [3]", "file:1:13: write [[listener]], and its keys below it"),
        ("a = [", "file:1:"),
    ] {
        assert!(read(text).unwrap_err()[0].starts_with(error), "{text}: {:?}", read(text));
    }
}
