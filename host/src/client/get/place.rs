//! Where a document goes.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, IsTerminal, stdout};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::file::reason;
use crate::error::{Error, Result};
use crate::sys::Errno;
use crate::sys::stream::Stream;

/// Where the user wants a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output, whatever it is.
    Stdout,
    /// The file of this name, which need not be there.
    File(PathBuf),
}

/// How it is written there.
pub(super) enum Place {
    /// As a new file, which takes this name when it is whole.
    New {
        name: PathBuf,
        /// Of the file that has the name now.
        permissions: Option<Permissions>,
    },
    /// Into a regular file that is open. It makes nobody wait.
    Open(File),
    /// Into a pipe, a terminal, a device: as fast as it is taken there.
    Stream(Stream),
}

impl Target {
    /// Refuses a folder, whether or not it is there. It costs nobody a transfer to say so first.
    pub(super) fn check(&self) -> Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let name = path.as_os_str().as_bytes();
        let says_so = [&b"/"[..], b"/.", b"/.."].iter().any(|end| name.ends_with(end));
        if says_so || path.is_dir() {
            return Err(Error::new("open", self, Errno::EISDIR));
        }
        Ok(())
    }

    /// The name that a file there will have: of a link, where it leads. None of what is no file.
    pub(super) fn name(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => None,
            Ok(_) | Err(_) => Some(fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
        }
    }

    /// Looks what is there. A FIFO is waited for until it has a reader.
    pub(super) fn place(&self) -> Result<Place> {
        match self {
            Self::Stdout => {
                let open = stdout().as_fd().try_clone_to_owned().map(File::from);
                open.and_then(as_it_is).map_err(|error| Error::new("write", self, reason(error)))
            }
            Self::File(path) => {
                let fail = |error| Error::new("open", self, reason(error));
                let named = match fs::metadata(path) {
                    Ok(found) if !found.is_file() => {
                        // It is no file to be replaced: `/dev/null` has to stay what it is.
                        let file = File::options().write(true).open(path).map_err(fail)?;
                        return as_it_is(file).map_err(fail);
                    }
                    // Of a link, the file is replaced and not the link.
                    Ok(found) => fs::canonicalize(path).map(|path| (path, Some(found))),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        if path.is_symlink() {
                            let nowhere = "it is a symbolic link that leads nowhere";
                            return Err(Error::new("open", self, nowhere));
                        }
                        Ok((path.clone(), None))
                    }
                    Err(error) => Err(error),
                };
                let (name, found) = named.map_err(fail)?;
                Ok(Place::New { name, permissions: found.map(|found| found.permissions()) })
            }
        }
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

fn as_it_is(file: File) -> std::io::Result<Place> {
    let is_regular = file.metadata()?.is_file();
    Ok(if is_regular { Place::Open(file) } else { Place::Stream(Stream::of(file)) })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
