//! Workers can only serve, unless `--no-sandbox` is given.
//!
//! - Every worker of a pool is confined, and children of `fork` gain no privileges.
//! - The log says what this kernel lacks only if a trial showed it, not if a trial was killed or
//!   did not start.
//! - `confined-under-test` tries what a confined process can do and what it cannot.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use windlass_tests::{
    Client, Model, PATIENCE, Program, models, proc, serve, skipped, windlass, within,
};

models!(workers_are_confined: pool_static PoolStatic, prefork Prefork);
models!(workers_are_not_confined_where_that_is_not_wanted: fork Fork, pool_static PoolStatic, prefork Prefork);
models!(workers_serve_where_the_kernel_lacks_what_confines_them: pool_static PoolStatic, prefork Prefork);
models!(confined_workers_serve_the_files_of_a_root: pool_static PoolStatic, prefork Prefork);

fn workers_are_confined(model: Model) {
    let server = serve!("upper", model).start();
    let mut client = server.connect();
    client.upper(b"hello");
    server.until_workers("NoNewPrivs", "1");
    server.until_workers("Seccomp", "2");
    client.upper(b"hello again");
    assert_eq!(proc::status(server.pid(), "Seccomp"), "0", "the parent has work to do");
    let exit = server.stop();
    assert_eq!(exit.code, Some(0));
    assert_eq!(exit.stderr.matches("workers are confined: no new privileges").count(), 1);
    if !exit.stderr.contains("Landlock ABI") {
        assert!(exit.stderr.contains("not fully confined: this kernel lacks: Landlock"));
        skipped("this kernel has no Landlock");
    }
}

fn workers_are_not_confined_where_that_is_not_wanted(model: Model) {
    let server = serve!("upper", model).args("--no-sandbox").start();
    let mut client = server.connect();
    client.upper(b"hello");
    server.until_workers("NoNewPrivs", "0");
    server.until_workers("Seccomp", "0");
    client.ends_with(b"");
    assert!(server.stop().stderr.contains("are not confined (--no-sandbox)"));
}

fn workers_serve_where_the_kernel_lacks_what_confines_them(model: Model) {
    let lacking = [env!("CARGO_BIN_EXE_confined-under-test"), "lacking"];
    let server = serve!("upper", model).under(&lacking).start();
    let mut client = server.connect();
    client.upper(b"hello");
    client.ends_with(b"");
    let exit = server.stop();
    assert_eq!(exit.code, Some(0));
    for words in ["workers are confined: no new privileges\n", "lacks: Landlock", "lacks: seccomp"]
    {
        assert_eq!(exit.stderr.matches(words).count(), 1, "{}", exit.stderr);
    }
}

#[test]
fn other_models_have_no_workers_to_confine() {
    let line = "serve upper --listen tcp:127.0.0.1:0 --model epoll --no-sandbox";
    let why = "--no-sandbox is for --model pool-static or prefork or fork, not epoll";
    windlass!().words(line).run().fails_with(2, &[why]);
}

#[test]
fn children_of_fork_gain_no_privileges() {
    let server = serve!("upper", Model::Fork).start();
    server.connect().upper(b"hello");
    let mut client = server.connect();
    client.upper(b"hello");
    server.until_workers("NoNewPrivs", "1");
    client.ends_with(b"");
    assert!(server.stop().stderr.contains("children are confined: no new privileges"));
}

/// The program that confines itself, in one of its scenes.
fn play(words: &str) {
    let outcome = Program::new(env!("CARGO_BIN_EXE_confined-under-test")).words(words).run();
    if outcome.code == Some(77) {
        return skipped(&outcome.stderr);
    }
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn a_confined_process_serves_and_does_nothing_else() {
    play("nothing");
}

#[test]
fn a_confined_process_reads_the_files_of_its_root_alone() {
    let place = place();
    let path = |name: &str| place.path().join(name);
    play(&format!("files {}", path("root").display()));
    assert!(!path("root/new").exists());
    assert_eq!(fs::read(path("root/file")).expect("read"), b"hello");
}

/// A folder with a root, and something beside it.
fn place() -> TempDir {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name);
    fs::create_dir_all(path("root/deep")).expect("folders");
    for name in ["root/file", "root/deep/file", "outside"] {
        fs::write(path(name), "hello").expect("written");
    }
    symlink("../outside", path("root/link")).expect("a link");
    place
}

/// A small file goes through memory and a large one does not (`sendfile`).
fn confined_workers_serve_the_files_of_a_root(model: Model) {
    const LARGE: usize = 300_000;
    let place = place();
    let root = place.path().join("root");
    fs::write(root.join("large"), vec![b'#'; LARGE]).expect("written");
    let server = serve!("files", model).args(&format!("--root {}", root.display())).start();
    server.until_workers("Seccomp", "2");
    let ask = |name: &str| {
        let mut client = server.connect();
        let len = u32::try_from(name.len()).expect("short");
        client.send(&[&len.to_be_bytes(), name.as_bytes()].concat());
        client.finish();
        client.rest()
    };
    let has = |answer: &[u8]| answer.windows(5).any(|window| window == b"hello");
    assert!(has(&ask("file")) && has(&ask("deep/file")));
    assert_eq!(ask("large").split(|&byte| byte == b'#').count(), LARGE + 1);
    for name in ["../outside", "link", "nothing", "/etc/passwd"] {
        assert!(!has(&ask(name)), "{name}");
    }
    assert_eq!(server.stop().code, Some(0));
}

/// What the log says that this kernel lacks.
fn lacking(log: &str) -> Vec<String> {
    log.lines().filter(|line| line.contains("this kernel lacks")).map(str::to_owned).collect()
}

/// The out-of-memory killer, an operator, a limit: none of them says what a kernel can do.
#[test]
fn a_trial_that_is_killed_is_made_again() {
    let really = serve!("upper", Model::PoolStatic).start();
    let kernel = lacking(&really.stderr());
    assert_eq!(really.stop().code, Some(0));
    for _ in 0..10 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-under-test"));
        command.args(["serve", "upper", "--model", "pool-static", "--listen", "tcp:127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = command.spawn().expect("it starts");
        let pid = i32::try_from(server.id()).expect("a pid");
        within(PATIENCE, "it has a child", || {
            // The first one is the trial, unless that is over already: then it is a worker.
            let child = proc::children(pid).into_iter().find(|&child| proc::runs(child));
            child.is_some_and(|child| kill(Pid::from_raw(child), Signal::SIGKILL).is_ok())
        });
        let mut line = String::new();
        let mut out = BufReader::new(server.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("it says that it listens");
        let address = line.split(' ').nth(1).expect("an address");
        Client::connect(address).upper(b"hello");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
        let mut log = String::new();
        server.stderr.take().expect("piped").read_to_string(&mut log).expect("its log");
        assert_eq!(server.wait().expect("it is ours").code(), Some(0), "{log}");
        assert_eq!(lacking(&log), kernel, "{log}");
    }
}

#[test]
fn too_few_descriptors_are_not_read_as_a_lack_of_the_kernel() {
    let really = serve!("upper", Model::Prefork).start();
    let kernel = lacking(&really.stderr());
    assert_eq!(really.stop().code, Some(0));
    for limit in 6..24 {
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_windlass-under-test")]);
        command.args(["serve", "upper", "--model", "prefork", "--listen", "tcp:127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut server = command.spawn().expect("it starts");
        let pid = i32::try_from(server.id()).expect("a pid");
        let mut said = String::new();
        // It ends, says what it can do, or says that it cannot start a worker.
        for line in BufReader::new(server.stderr.take().expect("piped")).lines() {
            said += &(line.expect("text") + "\n");
            if ["confined", "cannot be"].iter().any(|words| said.contains(words)) {
                break;
            }
        }
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        server.wait().expect("it is ours");
        let all_known = lacking(&said).iter().all(|line| kernel.contains(line));
        assert!(all_known, "{limit} descriptors: {said}");
    }
}
