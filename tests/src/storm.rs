//! A storm of signals from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::proc;

/// A thread that interrupts every thread of a process, again and again. The timer of the process
/// itself reaches its main thread only.
#[derive(Debug)]
pub(crate) struct Pelting {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pelting {
    /// `pid` is not reaped before this is dropped, so its number stays its own.
    pub(crate) fn of(pid: i32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for thread in proc::threads(pid) {
                    // SAFETY: tgkill(2) takes three numbers; a thread that has ended is ESRCH.
                    unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, libc::SIGALRM) };
                }
                // The pace: a thousand a second.
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Pelting {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
