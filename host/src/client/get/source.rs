//! The source of a download, for any protocol.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::client::file_url::{FileUrl, Scheme};
use crate::client::http::{Url, UrlError};

/// The source of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A document.
    Http(Url),
    /// A file.
    File(FileUrl),
}

impl Source {
    /// Parses the text of a user.
    ///
    /// # Errors
    /// The text is not a URL, or has another protocol.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, UrlError> {
        let text = text.as_ref();
        if Scheme::of(text).is_none() {
            return Url::parse(text).map(Self::Http);
        }
        let text = std::str::from_utf8(text);
        let text = text.map_err(|error| UrlError::Syntax { at: error.valid_up_to() })?;
        FileUrl::parse(text).map(Self::File)
    }

    /// The name for a file, if the URL has one.
    pub fn file_name(&self) -> Option<PathBuf> {
        match self {
            Self::Http(url) => url.file_name().map(PathBuf::from),
            Self::File(url) => {
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
            Self::File(url) => url.fmt(f),
        }
    }
}
