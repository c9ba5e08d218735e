//! Signals are read, and nothing else is touched by that.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{SigHandler, raise, signal};

use super::*;

/// What a signal does is the process's, so these tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn in_turn(test: impl FnOnce(Signals)) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // What the test itself was started to ignore stays ignored: by nohup(1), or as a background job of a shell.
    for inherited in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: the tests of signals take turns, and none has a handler of its own.
        unsafe { signal(inherited, SigHandler::SigDfl) }.unwrap();
    }
    test(Signals::catch().unwrap());
}

#[test]
fn signals_are_read_in_place_of_what_they_would_do() {
    in_turn(|signals| {
        let sender = std::process::id();
        for (signal, came) in [
            (Signal::SIGTERM, Came::Stop { sender }),
            (Signal::SIGINT, Came::Stop { sender }),
            (Signal::SIGQUIT, Came::Retire),
            (Signal::SIGHUP, Came::Reload),
            (Signal::SIGUSR1, Came::Reopen),
            (Signal::SIGUSR2, Came::Upgrade),
        ] {
            raise(signal).unwrap();
            // Children of other tests may end meanwhile.
            let mut heard = std::iter::from_fn(|| signals.next()).filter(|it| *it != Came::Child);
            assert_eq!((heard.next(), heard.next()), (Some(came), None), "{signal}");
        }
        raise(Signal::SIGCHLD).unwrap();
        assert_eq!(signals.next(), Some(Came::Child));
    });
}

/// The kernel makes a frame on the stack for each signal that it delivers, before the first handler runs:
/// several that were held back may be more than a stack for handlers has room for.
#[test]
fn signals_that_were_held_back_come_together() {
    in_turn(|signals| {
        let all = [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGTERM,
        ];
        let hold = Hold::new().unwrap();
        for signal in all {
            raise(signal).unwrap();
        }
        assert_eq!(signals.next().filter(|&came| came != Came::Child), None);
        hold.undo();
        let heard = std::iter::from_fn(|| signals.next()).filter(|it| *it != Came::Child);
        assert_eq!(heard.count(), all.len());
    });
}

#[test]
fn a_signal_that_was_blocked_is_heard_and_blocked_again_at_the_end() {
    in_turn(|signals| {
        drop(signals);
        let set = SigSet::from(Signal::SIGUSR1);
        set.thread_block().unwrap();
        raise(Signal::SIGUSR1).unwrap();
        let signals = Signals::catch().unwrap();
        assert_eq!(signals.next(), Some(Came::Reopen));
        drop(signals);
        assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGUSR1));
        set.thread_unblock().unwrap();
    });
}

#[test]
fn every_queue_hears_a_signal_and_a_program_that_is_started_is_deaf_to_none() {
    in_turn(|signals| {
        let mut queue = SignalQueue::new().unwrap();
        queue.add(Signal::SIGUSR1).unwrap();
        raise(Signal::SIGUSR1).unwrap();
        assert_eq!(signals.next(), Some(Came::Reopen));
        let caught = queue.take().map(|caught| (caught.signal, caught.sender));
        assert_eq!(caught, Some((Signal::SIGUSR1, std::process::id())));
        for line in ["SigBlk", "SigIgn"] {
            let script = format!("sed -n 's/^{line}:\\t//p' /proc/self/status");
            let out = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
            let set = u64::from_str_radix(String::from_utf8(out).unwrap().trim(), 16).unwrap();
            let ours = 1 << (Signal::SIGUSR1 as i32 - 1) | 1 << (Signal::SIGTERM as i32 - 1);
            assert_eq!(set & ours, 0, "{line}");
        }
    });
}

#[test]
fn the_descriptor_is_closed_on_exec_and_never_blocks() {
    in_turn(|signals| {
        let of = |what| fcntl(&signals, what).unwrap();
        let kept = FdFlag::from_bits_truncate(of(FcntlArg::F_GETFD));
        assert!(kept.contains(FdFlag::FD_CLOEXEC));
        let status = OFlag::from_bits_truncate(of(FcntlArg::F_GETFL));
        assert!(status.contains(OFlag::O_NONBLOCK));
    });
}
