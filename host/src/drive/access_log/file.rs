//! The file of an access log.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::sys::spool::{Spool, SpoolReader, spool};

/// A file for lines, and what the process needs that writes them.
#[derive(Debug)]
pub struct LogFile {
    /// Its name.
    pub path: PathBuf,
    spool: Spool,
    reader: Arc<SpoolReader>,
    /// The file, for the first process that writes it.
    first: Mutex<Option<File>>,
}

impl LogFile {
    /// Lines for this file, which is at `path`.
    ///
    /// # Errors
    /// No descriptor or memory is left.
    pub fn new(path: PathBuf, file: File) -> Result<Self> {
        let (spool, reader) = spool()?;
        Ok(Self { path, spool, reader: Arc::new(reader), first: Mutex::new(Some(file)) })
    }

    /// The end to which lines are written.
    pub(super) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The end from which lines are read.
    pub fn reader(&self) -> &Arc<SpoolReader> {
        &self.reader
    }

    /// The file as it was opened first, for the first caller.
    pub fn take_first(&self) -> Option<File> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
