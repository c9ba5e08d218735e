//! Signals and children as events of a loop.
//!
//! What a signal does is the process's, so tests of signals take turns, each in a thread that ends
//! with its mask.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigHandler, SigSet, raise};
use windlass::reactor::{EventLoop, Priority, Watch};
use windlass::sys::Signal;
use windlass::sys::pidfd::Exit;
use windlass_tests::proc;

static TURN: Mutex<()> = Mutex::new(());

type Log = Vec<String>;

fn in_a_thread_of_its_own(test: impl FnOnce(&mut EventLoop<Log>) + Send) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        let thread = scope.spawn(|| test(&mut EventLoop::new().expect("a loop")));
        assert!(thread.join().is_ok());
    });
}

/// The rounds that are due, and what happened in them.
fn rounds(events: &mut EventLoop<Log>) -> Log {
    let mut log = Log::new();
    for _ in 0..4 {
        events.run_once(&mut log, Some(Duration::ZERO)).expect("a round");
    }
    log
}

fn is_blocked(signal: Signal) -> bool {
    SigSet::thread_get_mask().expect("a mask").contains(signal)
}

fn is_caught(signal: Signal) -> bool {
    proc::catches(std::process::id() as i32, signal)
}

#[test]
fn a_signal_that_came_is_told_in_the_next_round_whatever_else_is_ready() {
    in_a_thread_of_its_own(|events| {
        // More than one wait reports, so the descriptor that tells of signals is behind them.
        for _ in 0..300 {
            let (io, mut peer) = UnixStream::pair().expect("a pair");
            peer.write_all(b"x").expect("sent");
            let call = move |_: &mut UnixStream, log: &mut Log, _: &mut _, _| {
                let _ = &peer;
                log.push("input".to_owned());
            };
            events.add(io, Watch::READ, call).expect("watched");
        }
        let signal =
            events.signal(Signal::SIGUSR1, |log: &mut Log, _, _| log.push("signal".into()));
        events.set_priority(signal.expect("it can be caught"), Priority::High);
        raise(Signal::SIGUSR1).expect("sent");
        let mut log = Log::new();
        events.run_once(&mut log, Some(Duration::ZERO)).expect("a round");
        assert_eq!(log.first().map(String::as_str), Some("signal"));
        assert_eq!(log.iter().filter(|it| *it == "signal").count(), 1);
    });
}

#[test]
fn a_burst_makes_at_least_one_call_and_nothing_is_lost_after_it() {
    in_a_thread_of_its_own(|events| {
        events
            .signal(Signal::SIGUSR1, |log: &mut Log, _, caught| {
                assert_eq!((caught.signal, caught.sender), (Signal::SIGUSR1, std::process::id()));
                log.push("caught".to_owned());
            })
            .expect("it can be caught");
        for _ in 0..10 {
            for _ in 0..100 {
                raise(Signal::SIGUSR1).expect("sent");
            }
            let calls = rounds(events).len();
            assert!((1..=100).contains(&calls), "{calls}");
        }
        assert_eq!(rounds(events).len(), 0);
        raise(Signal::SIGUSR1).expect("sent");
        assert_eq!(rounds(events).len(), 1);
    });
}

#[test]
fn a_burst_from_outside_while_the_loop_runs_loses_nothing() {
    in_a_thread_of_its_own(|events| {
        let thread = nix::unistd::gettid().as_raw();
        let process = nix::unistd::getpid().as_raw();
        events.signal(Signal::SIGUSR2, |log: &mut Log, _, _| log.push("burst".to_owned())).unwrap();
        let end = |_: &mut Log, cx: &mut windlass::reactor::Context<Log>, _| cx.exit();
        events.signal(Signal::SIGUSR1, end).unwrap();
        let send = move |signal: Signal| {
            // SAFETY: tgkill(2) takes three numbers.
            unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal as i32) };
        };
        let sender = thread::spawn(move || {
            for _ in 0..100 {
                send(Signal::SIGUSR2);
            }
            send(Signal::SIGUSR1);
        });
        let mut log = Log::new();
        events.run(&mut log).expect("a run");
        sender.join().expect("the sender");
        assert!((1..=100).contains(&log.len()), "{}", log.len());
    });
}

#[test]
fn all_listeners_of_a_signal_are_called_and_the_last_to_go_restores_it() {
    in_a_thread_of_its_own(|events| {
        let signal = Signal::SIGHUP;
        assert!(!is_caught(signal));
        let [a, b] = ["a", "b"].map(|name| {
            events.signal(signal, move |log: &mut Log, _, _| log.push(name.to_owned())).unwrap()
        });
        let other = events.signal(Signal::SIGTERM, |log: &mut Log, _, _| log.push("t".to_owned()));
        assert!(is_caught(signal) && !is_blocked(signal));
        raise(signal).expect("sent");
        assert_eq!(rounds(events), ["a", "b"]);
        assert!(events.remove(a) && is_caught(signal));
        raise(signal).expect("sent");
        assert_eq!(rounds(events), ["b"]);
        // One that waits goes with the last listener: it would end this process.
        raise(signal).expect("sent");
        assert!(events.remove(b) && !is_caught(signal));
        raise(Signal::SIGTERM).expect("sent");
        assert_eq!(rounds(events), ["t"], "the others are caught as before");
        assert!(events.remove(other.unwrap()) && !is_caught(Signal::SIGTERM));
        events.run(&mut Log::new()).expect("nothing is left to wait for");
    });
}

#[test]
fn a_listener_that_removes_the_other_is_the_only_one_called() {
    in_a_thread_of_its_own(|events| {
        let signal = Signal::SIGUSR1;
        let b = events.signal(signal, |log: &mut Log, _, _| log.push("b".to_owned())).unwrap();
        let a = events.signal(signal, move |log: &mut Log, cx, _| {
            log.push("a".to_owned());
            assert!(cx.remove(b) && cx.remove(cx.current()));
        });
        events.set_priority(a.unwrap(), Priority::High);
        raise(signal).expect("sent");
        assert_eq!(rounds(events), ["a"]);
        assert!(!is_caught(signal));
    });
}

#[test]
fn a_disarmed_listener_is_not_called_and_remembers_nothing() {
    in_a_thread_of_its_own(|events| {
        let signal = Signal::SIGUSR1;
        let token = events.signal(signal, |log: &mut Log, _, _| log.push("caught".to_owned()));
        let token = token.unwrap();
        // It came in this round, and another disarms before the call.
        let high = events.signal(Signal::SIGUSR2, move |_, cx, _| cx.disarm(token)).unwrap();
        events.set_priority(high, Priority::High);
        raise(signal).expect("sent");
        raise(Signal::SIGUSR2).expect("sent");
        assert_eq!(rounds(events).len(), 0);
        raise(signal).expect("sent");
        assert_eq!(rounds(events).len(), 0);
        events.arm(token).expect("it is there");
        events.activate(token);
        assert_eq!(rounds(events).len(), 0, "no signal came since");
        raise(signal).expect("sent");
        assert_eq!(rounds(events), ["caught"]);
    });
}

#[test]
fn a_signal_that_cannot_be_caught_is_refused() {
    in_a_thread_of_its_own(|events| {
        for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
            let error =
                events.signal(signal, |_, _, _| {}).expect_err("no process can").to_string();
            assert!(error.contains("Invalid argument"), "{error}");
        }
        events.run(&mut Log::new()).expect("nothing is left to wait for");
    });
}

#[test]
fn a_loop_that_is_dropped_gives_its_signals_back() {
    in_a_thread_of_its_own(|_| {
        let mut events: EventLoop<Log> = EventLoop::new().expect("a loop");
        events.signal(Signal::SIGUSR1, |_, _, _| {}).unwrap();
        raise(Signal::SIGUSR1).expect("sent");
        drop(events);
        assert!(!is_caught(Signal::SIGUSR1));
    });
}

fn shell(script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::piped()).spawn().expect("a shell")
}

#[test]
fn how_a_child_ended_is_told_once() {
    let mut events = EventLoop::new().expect("a loop");
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 3", Exit::Code(3)),
        ("exit 255", Exit::Code(255)),
        ("kill -KILL $$", Exit::Killed(Signal::SIGKILL)),
        ("kill -TERM $$", Exit::Killed(Signal::SIGTERM)),
        ("kill -40 $$", Exit::KilledByRealTime(40)),
    ] {
        let pid = shell(script).id();
        let call = move |log: &mut Log, _: &mut _, how| log.push(format!("{}", how == exit));
        let token = events.child(pid, call).expect("it was not reaped");
        let mut log = Log::new();
        events.run(&mut log).expect("a run");
        assert_eq!((log, events.contains(token)), (vec!["true".to_owned()], false), "{script}");
        assert!(!proc::children(std::process::id() as i32).contains(&(pid as i32)));
    }
}

#[test]
fn fifty_children_that_end_together_are_each_reaped_once() {
    let mut events = EventLoop::new().expect("a loop");
    let mut ended = BTreeMap::new();
    let mut children: Vec<_> =
        (0..50).map(|number| shell(&format!("read line; exit {number}"))).collect();
    let pids: Vec<_> = children.iter().map(Child::id).collect();
    for &pid in &pids {
        let call = move |ended: &mut BTreeMap<u32, Vec<Exit>>, _: &mut _, how| {
            ended.entry(pid).or_default().push(how);
        };
        events.child(pid, call).expect("it was not reaped");
    }
    for child in &mut children {
        drop(child.stdin.take());
    }
    events.run(&mut ended).expect("a run");
    for (number, pid) in pids.iter().enumerate() {
        assert_eq!(ended[pid], [Exit::Code(i32::try_from(number).unwrap())]);
    }
    let left = proc::children(std::process::id() as i32);
    assert!(pids.iter().all(|&pid| !left.contains(&(pid as i32))), "no zombies");
}

#[test]
fn a_child_that_ended_before_it_was_watched_is_told_of_too() {
    let mut events = EventLoop::new().expect("a loop");
    let pid = shell("exit 7").id();
    windlass_tests::within(windlass_tests::PATIENCE, "it ends", || !proc::runs(pid as i32));
    events.child(pid, |log: &mut Log, _, how| log.push(how.to_string())).unwrap();
    let mut log = Log::new();
    events.run(&mut log).expect("a run");
    assert_eq!(log, ["exited with status 7"]);
}

#[test]
fn a_child_that_other_code_reaped_ended_somehow() {
    let mut events = EventLoop::new().expect("a loop");
    let mut child = shell("read line");
    events.child(child.id(), |log: &mut Log, _, how| log.push(format!("{how:?}"))).unwrap();
    child.stdin.take().expect("piped").write_all(b"go\n").expect("sent");
    assert!(child.wait().expect("it is ours").success());
    let mut log = Log::new();
    events.run(&mut log).expect("a run");
    assert_eq!(log, ["Unknown"]);
}

#[test]
fn a_child_of_a_removed_source_is_ours_to_reap() {
    let mut events = EventLoop::new().expect("a loop");
    let mut child = shell("read line; exit 9");
    let token = events.child(child.id(), |log: &mut Log, _, _| log.push("told".to_owned()));
    assert!(events.remove(token.unwrap()));
    drop(child.stdin.take());
    let mut log = Log::new();
    events.run(&mut log).expect("nothing is left to wait for");
    assert_eq!((log.len(), child.wait().expect("not reaped").code()), (0, Some(9)));
}

#[test]
fn a_process_that_does_not_exist_is_an_error() {
    let mut events: EventLoop<Log> = EventLoop::new().expect("a loop");
    // Beyond pid_max, and no pid at all.
    for pid in [i32::MAX as u32, 0, u32::MAX] {
        assert!(events.child(pid, |_, _, _| {}).is_err(), "{pid}");
    }
    events.run(&mut Log::new()).expect("nothing is left to wait for");
}

#[test]
fn a_listener_to_sigchld_that_goes_costs_no_child_its_status() {
    const CHILDREN: usize = 400;
    in_a_thread_of_its_own(|_| {
        let mut events: EventLoop<Vec<Exit>> = EventLoop::new().expect("a loop");
        let (mut ended, mut started) = (Vec::new(), 0);
        while ended.len() < CHILDREN {
            // Some are always about to end.
            while started < CHILDREN.min(ended.len() + 4) {
                let pid = Command::new("true").spawn().expect("a child").id();
                let call = |ended: &mut Vec<Exit>, _: &mut _, how| ended.push(how);
                events.child(pid, call).expect("it was not reaped");
                started += 1;
            }
            for _ in 0..20 {
                let token = events.signal(Signal::SIGCHLD, |_, _, _| {}).unwrap();
                assert!(events.remove(token));
                let mut other: EventLoop<()> = EventLoop::new().expect("a loop");
                other.signal(Signal::SIGCHLD, |(), _, _| {}).unwrap();
                drop(other);
            }
            events.run_once(&mut ended, Some(Duration::ZERO)).expect("a round");
        }
        let lost = ended.iter().filter(|&&how| how != Exit::Code(0)).count();
        assert_eq!(lost, 0, "of {CHILDREN}");
    });
}

#[test]
fn of_two_loops_that_listen_to_a_signal_one_may_go() {
    let signal = Signal::SIGUSR2;
    let goes: [fn(EventLoop<Log>, windlass::reactor::Token); 2] =
        [|events, _| drop(events), |mut events, token| assert!(events.remove(token))];
    for goes in goes {
        for first_goes in [true, false] {
            in_a_thread_of_its_own(|_| {
                let listening = || {
                    let mut events = EventLoop::new().expect("a loop");
                    let call = |log: &mut Log, _: &mut _, _| log.push("caught".to_owned());
                    let token = events.signal(signal, call).unwrap();
                    (events, token)
                };
                let (first, second) = (listening(), listening());
                let (gone, mut stays) = if first_goes { (first, second) } else { (second, first) };
                goes(gone.0, gone.1);
                // Otherwise it would end this process.
                assert!(is_caught(signal));
                raise(signal).expect("sent");
                assert_eq!(rounds(&mut stays.0), ["caught"]);
                drop(stays);
                assert!(!is_caught(signal));
            });
        }
    }
}

#[test]
fn a_signal_that_was_blocked_before_the_first_listener_stays_so_after_the_last() {
    let signal = Signal::SIGUSR2;
    in_a_thread_of_its_own(|first| {
        SigSet::from(signal).thread_block().expect("blocked");
        let token = first.signal(signal, |_, _, _| {}).unwrap();
        let mut second: EventLoop<Log> = EventLoop::new().expect("a loop");
        second.signal(signal, |_, _, _| {}).unwrap();
        assert!(first.remove(token) && !is_blocked(signal), "the second one has to hear it");
        drop(second);
        assert!(is_blocked(signal));
    });
}

#[test]
fn a_signal_that_was_ignored_is_caught_and_ignored_again_after_the_last_listener() {
    let signal = Signal::SIGUSR2;
    in_a_thread_of_its_own(|events| {
        let set = |to| {
            // SAFETY: neither disposition runs code of ours.
            unsafe { nix::sys::signal::signal(signal, to) }.expect("set")
        };
        set(SigHandler::SigIgn);
        let token = events.signal(signal, |log: &mut Log, _, _| log.push("caught".to_owned()));
        raise(signal).expect("sent");
        assert_eq!(rounds(events), ["caught"]);
        assert!(events.remove(token.unwrap()));
        assert!(matches!(set(SigHandler::SigDfl), SigHandler::SigIgn));
    });
}

#[test]
fn a_program_that_is_started_hears_what_the_loop_catches() {
    in_a_thread_of_its_own(|events| {
        events.signal(Signal::SIGTERM, |log: &mut Log, _, _| log.push("ours".to_owned())).unwrap();
        // Started as most programs are; and by fork(2) and exec(2), since it asks for more.
        for in_a_group in [false, true] {
            let mut command = Command::new("sh");
            command.args(["-c", "kill -TERM $$; exit 3"]);
            if in_a_group {
                std::os::unix::process::CommandExt::process_group(&mut command, 0);
            }
            let mut child = command.spawn().expect("a shell");
            let status = child.wait().expect("it is ours");
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert_eq!(signal, Some(Signal::SIGTERM as i32), "{status}");
        }
        assert!(rounds(events).is_empty(), "it was the child's");
    });
}

#[test]
fn a_signal_that_a_thread_takes_which_was_there_before_is_caught() {
    in_a_thread_of_its_own(|events| {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let other = thread::spawn(move || {
            wait.recv().expect("the loop listens");
            raise(Signal::SIGUSR1).expect("sent");
        });
        events.signal(Signal::SIGUSR1, |_: &mut Log, cx, _| cx.exit()).unwrap();
        go.send(()).expect("it waits");
        events.run(&mut Log::new()).expect("a run");
        other.join().expect("it lives");
    });
}
