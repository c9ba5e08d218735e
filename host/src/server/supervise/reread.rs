//! Reads the configuration again, in a process of its own.

use super::reader::Reader;
use super::supervisor::{Cx, Supervisor, refuse};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::server::children::Parent;
use crate::sys::reader::LATE;

impl Supervisor {
    /// Reads the configuration, and applies it when it has been read.
    pub(super) fn reread(&mut self, cx: &mut Cx) {
        match &mut self.reader {
            Some(Reader { is_late: true, .. }) => {
                refuse(
                    &["the process that read the configuration was killed, and lives on".into()],
                );
            }
            Some(reader) => reader.again = true,
            None => {
                let Some(reread) = &self.hooks.reread else { return };
                self.systemd.reloading(cx.now());
                // A root on a mount that does not answer stops that process, and not this one.
                let look = |text: &[u8]| drop((reread.understand)(text));
                let (alone, path) = (&self.state.alone, &reread.path);
                match Reader::start(cx, alone, path, look, Self::has_read, Self::is_late) {
                    Ok(reader) => self.reader = Some(reader),
                    Err(error) => self.take(cx, Err(error)),
                }
            }
        }
    }

    /// The process that reads has ended.
    fn has_read(&mut self, cx: &mut Cx, text: Result<Vec<u8>>) {
        let Some(reader) = self.reader.take() else { return };
        cx.remove(reader.deadline);
        if !reader.is_late {
            self.take(cx, text);
        }
        if reader.again {
            self.reload_all(cx);
        }
        // It may have stood before others.
        self.reap_strangers();
    }

    /// The process that reads takes too long.
    fn is_late(&mut self, cx: &mut Cx) {
        if let (Some(reader), Some(reread)) = (&mut self.reader, &self.hooks.reread) {
            reader.is_late = true;
            reader.child.kill();
            let late = Error::new("read", printable(&reread.path), LATE);
            self.take(cx, Err(late));
        }
    }
}
