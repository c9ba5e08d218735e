//! The place of a document.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::file::reason;
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::sys::Errno;
use crate::sys::file::{Leads, duplicate, follow};
use crate::sys::stream::Stream;

/// The target of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output, whatever it is.
    Stdout,
    /// An open file of this process, by its number.
    Descriptor(RawFd),
    /// The file with this name, which need not exist.
    File(PathBuf),
}

/// How the document is written to the target.
pub(super) enum Place {
    /// As a part, which gets this name when it is complete.
    New { name: PathBuf },
    /// Into a regular file that is open. Writing to it never waits.
    Open(File),
    /// Into a pipe, a terminal, a device: as fast as it takes bytes.
    Stream(Stream),
}

impl Target {
    /// Checks the target before the transfer, which does not start without a place: a
    /// folder is refused, whether or not it exists. A name of an open file of this process becomes that
    /// file, before this process opens any of its own.
    pub(super) fn check(&self) -> Result<Self> {
        let path = match self {
            Self::Stdout => return Ok(Self::Stdout),
            Self::Descriptor(fd) => return Ok(Self::Descriptor(*fd)),
            Self::File(path) => path,
        };
        let fail = |error| Error::new("open", self, reason(error));
        let name = path.as_os_str().as_bytes();
        let says_so = [&b"/"[..], b"/.", b"/.."].iter().any(|end| name.ends_with(end));
        if says_so || path.is_dir() {
            return Err(Error::new("open", self, Errno::EISDIR));
        }
        match follow(path) {
            Ok(Leads::Own(fd)) => {
                duplicate(fd).map_err(fail)?;
                Ok(if fd == STDOUT { Self::Stdout } else { Self::Descriptor(fd) })
            }
            // Other errors are reported when it is opened.
            Ok(Leads::To(_) | Leads::Open) | Err(_) => Ok(self.clone()),
        }
    }

    /// The name that a file there will have: for a link, that of its target. `None` if it is not a
    /// regular file.
    pub(super) fn name(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        match (fs::metadata(path), follow(path)) {
            (Ok(found), _) if !found.is_file() => None,
            (_, Ok(Leads::To(name))) => Some(name),
            (_, Ok(Leads::Own(_) | Leads::Open) | Err(_)) => None,
        }
    }

    /// Examines the target. Waits until a FIFO has a reader.
    pub(super) fn place(&self) -> Result<Place> {
        let place = match self {
            Self::Stdout => duplicate(STDOUT).and_then(as_it_is),
            Self::Descriptor(fd) => duplicate(*fd).and_then(as_it_is),
            Self::File(path) => named(path),
        };
        place.map_err(|error| Error::new("open", self, reason(error)))
    }
}

const STDOUT: RawFd = 1;

fn named(path: &Path) -> io::Result<Place> {
    // The kernel follows the links too, and refuses one that another user left in a shared folder.
    let found = match fs::metadata(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match (follow(path)?, found) {
        // The file behind a link is replaced, not the link.
        (Leads::To(name), Some(found)) if found.is_file() => Ok(Place::New { name }),
        (Leads::To(name), None) if name == path => Ok(Place::New { name }),
        (_, None) => Err(io::Error::other("it is a symbolic link that leads nowhere")),
        // It cannot be replaced: `/dev/null` has to stay a device. Nor can a file that another
        // process holds open: that process does not use the name.
        (_, Some(_)) => as_it_is(File::options().write(true).truncate(true).open(path)?),
    }
}

impl Place {
    /// Whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        match self {
            Self::New { .. } | Self::Open(_) => false,
            Self::Stream(stream) => stream.as_fd().is_terminal(),
        }
    }
}

fn as_it_is(file: File) -> io::Result<Place> {
    let is_regular = file.metadata()?.is_file();
    Ok(if is_regular { Place::Open(file) } else { Place::Stream(Stream::of(file)) })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Descriptor(fd) => write!(f, "descriptor {fd}"),
            Self::File(path) => printable(path).fmt(f),
        }
    }
}
