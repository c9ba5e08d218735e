//! What is fetched, by whichever protocol.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::addr::HostPort;
use crate::client::files::FilesUrl;
use crate::client::http::{Url, UrlError};

/// What is to be fetched, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A document.
    Http(Url),
    /// A file.
    Files(FilesUrl),
}

impl Source {
    /// Takes what a user wrote.
    ///
    /// # Errors
    /// It is no URL, or of another protocol.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        match FilesUrl::parse(text) {
            Ok(url) => Ok(Self::Files(url)),
            Err(UrlError::Scheme) => Url::parse(text).map(Self::Http),
            Err(error) => Err(error),
        }
    }

    /// Where to connect.
    pub(super) fn server(&self) -> &HostPort {
        match self {
            Self::Http(url) => url.server(),
            Self::Files(url) => url.server(),
        }
    }

    /// The name that a file of it would have, if it says one.
    pub fn file_name(&self) -> Option<PathBuf> {
        match self {
            Self::Http(url) => url.file_name().map(PathBuf::from),
            Self::Files(url) => {
                let last = url.name().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                let is_name = !matches!(last, b"" | b"." | b"..") && !last.contains(&0);
                is_name.then(|| OsStr::from_bytes(last).into())
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => url.fmt(f),
            Self::Files(url) => url.fmt(f),
        }
    }
}
