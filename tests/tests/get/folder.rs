//! A folder to download into.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// An empty folder, removed when it is dropped.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where `name` is, or would be.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What is in it, temporary files too.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).expect("read a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[track_caller]
    pub(crate) fn is_empty(&self) {
        assert_eq!(self.names(), Vec::<String>::new());
    }

    /// Nothing but one whole file is in it.
    #[track_caller]
    pub(crate) fn has_only(&self, name: &str, content: &[u8]) {
        assert_eq!(self.names(), [name]);
        let read = std::fs::read(self.at(name)).expect("read");
        assert_eq!(read.len(), content.len());
        assert!(read == content, "other bytes than expected");
    }
}
