//! Refusals: why a peer does not get a file, or may not send one.

/// Why a file is not sent, or not taken. The text for the peer says nothing about the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// The name is empty, absolute, or has a component `..`.
    BadName,
    /// The request is longer than the longest name.
    TooLong,
    /// There is no file with this name below the root.
    NotFound,
    /// The name is of a folder.
    IsFolder,
    /// The name is of a FIFO, a socket or a device.
    NotAFile,
    /// The name leads out of the root, or the file may not be read.
    NotAllowed,
    /// The server has no descriptor or memory left for the file.
    Busy,
    /// The server could not read the file.
    Failed,
    /// The file is larger than what the server sends in the form that was asked for.
    TooLarge,
    /// There is a file of this name already, and it may not be replaced.
    Exists,
    /// The file is larger than the room that is left.
    NoRoom,
    /// The server takes no files, or none with this name.
    ReadOnly,
}

impl Refusal {
    /// The reason, for the peer.
    pub const fn text(self) -> &'static str {
        match self {
            Self::BadName => "the name must be relative and not empty, without `..` and NUL",
            Self::TooLong => "the name is too long",
            Self::NotFound => "there is no such file",
            Self::IsFolder | Self::NotAFile => "the name is not of a regular file",
            Self::NotAllowed => "the file may not be read",
            Self::Busy => "the server is out of resources, try again later",
            Self::Failed => "the server cannot read the file",
            Self::TooLarge => "the file is too large to be sent in this form",
            Self::Exists => "there is a file of this name already",
            Self::NoRoom => "there is no room for the file",
            Self::ReadOnly => "the file may not be written",
        }
    }
}

impl core::error::Error for Refusal {}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}
