//! Why a peer does not get a file.

/// Why a file is not sent. Its text says nothing of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// The name is empty, absolute, or has a component `..`.
    BadName,
    /// The request is longer than any name.
    TooLong,
    /// There is no file of that name, below the root.
    NotFound,
    /// It is a directory, a FIFO, a socket or a device.
    NotAFile,
    /// It leads out of the root, or may not be read.
    NotAllowed,
    /// The server has no descriptor or memory left for it.
    Busy,
    /// The server could not read it.
    Failed,
}

impl Refusal {
    /// The reason, for the peer.
    pub const fn text(self) -> &'static str {
        match self {
            Self::BadName => "a name is relative, and has no `..` in it",
            Self::TooLong => "the name is too long",
            Self::NotFound => "there is no such file",
            Self::NotAFile => "it is not a file",
            Self::NotAllowed => "it is not to be read",
            Self::Busy => "the server is out of resources, try again later",
            Self::Failed => "the server cannot read it",
        }
    }
}

impl core::error::Error for Refusal {}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}
