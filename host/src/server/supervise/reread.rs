//! The configuration is read again by a process of its own; the supervisor minds everything else
//! meanwhile.

use std::time::Duration;

use super::{Cx, Supervisor, refuse};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::reactor::{Token, Watch};
use crate::sys::process::Child;
use crate::sys::reader::{LATE, PATIENCE_US, Reading};

/// A process that reads.
pub(super) struct Reader {
    child: Child,
    /// Rings when it is late.
    deadline: Token,
    /// It was killed, and what it reads is not waited for. In a system call that nothing ends it lives on.
    is_late: bool,
    /// The file is to be read once more: it may have changed since this process began.
    again: bool,
}

impl Reader {
    pub(super) fn is(&self, pid: i32) -> bool {
        self.child.pid() == pid
    }
}

impl Supervisor {
    /// Reads the configuration, and takes it when it is there.
    pub(super) fn reread(&mut self, cx: &mut Cx) {
        match &mut self.reading {
            Some(Reader { is_late: true, .. }) => {
                refuse(
                    &["the process that read the configuration was killed, and lives on".into()],
                );
            }
            Some(reader) => reader.again = true,
            None => {
                self.systemd.reloading(cx.now());
                match self.start_reading(cx) {
                    Ok(reader) => self.reading = reader,
                    Err(error) => self.take(cx, Err(error)),
                }
            }
        }
    }

    fn start_reading(&self, cx: &mut Cx) -> Result<Option<Reader>> {
        let Some(reread) = &self.hooks.reread else { return Ok(None) };
        // A root on a mount that does not answer stops that process, and not this one.
        let look = |text: &[u8]| drop((reread.understand)(text));
        let reading = Reading::start(&reread.path, &self.alone, look)?;
        let child = reading.child();
        let watched = cx.add(reading, Watch::READ, |reading, this: &mut Self, cx, _| {
            if let Some(read) = reading.take() {
                cx.remove(cx.current());
                this.has_read(cx, read);
            }
        });
        if watched.is_err() {
            child.kill();
            child.reap();
        }
        watched?;
        let patience = Duration::from_micros(PATIENCE_US);
        let deadline = cx.after(patience, |this: &mut Self, cx| this.is_late(cx));
        Ok(Some(Reader { child, deadline, is_late: false, again: false }))
    }

    /// The process that reads has ended.
    fn has_read(&mut self, cx: &mut Cx, read: Result<Vec<u8>>) {
        let Some(reader) = self.reading.take() else { return };
        cx.remove(reader.deadline);
        if !reader.is_late {
            self.take(cx, read);
        }
        if reader.again {
            self.reload(cx);
        }
        // It may have stood before others.
        self.reap_strangers();
    }

    /// It takes too long.
    fn is_late(&mut self, cx: &mut Cx) {
        if let (Some(reader), Some(reread)) = (&mut self.reading, &self.hooks.reread) {
            reader.is_late = true;
            reader.child.kill();
            let late = Error::new("read", printable(&reread.path), LATE);
            self.take(cx, Err(late));
        }
    }
}
