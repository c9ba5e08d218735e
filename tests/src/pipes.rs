//! The output of a server, collected by threads of the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// Standard error, collected by a thread.
#[derive(Debug)]
pub(crate) struct Stderr {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stderr {
    pub(crate) fn of(child: &mut Child) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let mut pipe = child.stderr.take().expect("piped");
        let into = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut piece) {
                let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
                text.extend_from_slice(&piece[..count]);
            }
        });
        Self { text, reader }
    }

    /// What came so far.
    pub(crate) fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits for the end of the pipe, which comes when no process is left that could write to it.
    /// Whether it came before the end of patience.
    pub(crate) fn has_ended(&self) -> bool {
        let end = Instant::now() + PATIENCE / 2;
        while !self.reader.is_finished() {
            if Instant::now() > end {
                return false;
            }
            // A poll: a thread cannot be joined with a deadline.
            thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

/// Standard output, line by line, up to so many; then it is closed.
pub(crate) fn lines_of(stdout: ChildStdout, most: usize) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        for left in (0..most).rev() {
            let Some(Ok(line)) = lines.next() else { return };
            if left == 0 {
                // Before it is known that this was the last one.
                drop(lines);
                let _ = sender.send(line);
                return;
            }
            let _ = sender.send(line);
        }
    });
    lines
}
