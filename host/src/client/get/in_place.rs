//! A file that is written in place, because no part can be put beside it.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::sys::root::open_regular;

/// A file that is overwritten as the new content arrives.
pub(super) struct InPlace(File);

impl InPlace {
    /// Opens the file `name` if no part can be created because of `why`. `None` if that is no reason
    /// to write in place, or the file cannot be written either.
    pub(super) fn instead(name: &Path, why: &io::Error) -> Option<Self> {
        let is_folders_fault =
            matches!(why.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
        if !is_folders_fault {
            return None;
        }
        open_regular(name, File::options().write(true).truncate(true)).ok().map(Self)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// The file is complete: writes it to the disk.
    pub(super) fn finish(self) -> io::Result<()> {
        self.0.sync_data().inspect_err(|_| self.empty())
    }

    /// The transfer failed: the file is left empty, so that it cannot be taken for the whole.
    pub(super) fn give_up(self, name: impl std::fmt::Display) -> String {
        self.empty();
        format!("{name} was written in place and is empty now")
    }

    fn empty(&self) {
        let _ = self.0.set_len(0);
    }
}
