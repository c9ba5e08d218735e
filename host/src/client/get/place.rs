//! Where a document goes.

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

/// Where the user wants a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output, whatever it is.
    Stdout,
    /// An open file of this process, by its number.
    Descriptor(RawFd),
    /// The file of this name, which need not be there.
    File(PathBuf),
}

/// How it is written there.
pub(super) enum Place {
    /// As a part, which takes this name when it is whole.
    New { name: PathBuf },
    /// Into a regular file that is open. It makes nobody wait.
    Open(File),
    /// Into a pipe, a terminal, a device: as fast as it is taken there.
    Stream(Stream),
}

impl Target {
    /// Finds out what can be known before the transfer, which is spared if there is no place for it: a
    /// folder is refused, whether or not it is there. A name of an open file of this process becomes that
    /// file, before this process opens any of its own.
    pub(super) fn settle(&self) -> Result<Self> {
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
            // What else is wrong is said by what opens it.
            Ok(Leads::To(_) | Leads::Open) | Err(_) => Ok(self.clone()),
        }
    }

    /// The name that a file there will have: of a link, where it leads. None of what is no file.
    pub(super) fn name(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        match (fs::metadata(path), follow(path)) {
            (Ok(found), _) if !found.is_file() => None,
            (_, Ok(Leads::To(name))) => Some(name),
            (_, Ok(Leads::Own(_) | Leads::Open) | Err(_)) => None,
        }
    }

    /// Looks what is there. A FIFO is waited for until it has a reader.
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
        // Of a link, the file is replaced and not the link.
        (Leads::To(name), Some(found)) if found.is_file() => Ok(Place::New { name }),
        (Leads::To(name), None) if name == path => Ok(Place::New { name }),
        (_, None) => Err(io::Error::other("it is a symbolic link that leads nowhere")),
        // It is no file to be replaced: `/dev/null` has to stay what it is. Nor is one that another
        // process holds open: to that process the name says nothing.
        (_, Some(_)) => as_it_is(File::options().write(true).truncate(true).open(path)?),
    }
}

impl Place {
    /// Whether somebody reads it on a screen.
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
