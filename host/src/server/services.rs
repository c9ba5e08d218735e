//! The services by name.

use super::Model;
use crate::addr::Transport;

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The time, once, in decimal.
    Time,
    /// Every byte back, in capitals.
    Upper,
    /// Every byte back.
    Echo,
    /// A file, in frames.
    Files,
    /// The files of a folder, by HTTP.
    Http,
    /// Reports in datagrams, which are counted and logged.
    Score,
    /// Files over datagrams, as TFTP has it.
    #[cfg(feature = "transfer")]
    Tftp,
    /// Files over datagrams, block by block.
    #[cfg(feature = "transfer")]
    Xfer,
}

impl Service {
    /// All services, in the order of the built-in configuration.
    pub const ALL: &[Self] = &[
        Self::Time,
        Self::Upper,
        Self::Echo,
        Self::Files,
        Self::Http,
        #[cfg(feature = "transfer")]
        Self::Xfer,
        #[cfg(feature = "transfer")]
        Self::Tftp,
        Self::Score,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Upper => "upper",
            Self::Echo => "echo",
            Self::Files => "files",
            Self::Http => "http",
            Self::Score => "score",
            #[cfg(feature = "transfer")]
            Self::Tftp => "tftp",
            #[cfg(feature = "transfer")]
            Self::Xfer => "xfer",
        }
    }

    /// Whether each client has a transfer, with a socket of its own.
    pub const fn is_of_transfers(self) -> bool {
        match self {
            Self::Time | Self::Upper | Self::Echo | Self::Files | Self::Http | Self::Score => false,
            #[cfg(feature = "transfer")]
            Self::Tftp | Self::Xfer => true,
        }
    }

    /// Whether it has the files of a folder.
    pub const fn has_files(self) -> bool {
        matches!(self, Self::Files | Self::Http) || self.is_of_transfers()
    }

    /// Why it cannot be served under `model` to what arrives by `transport`; `None`: it can.
    pub fn misfit(self, transport: Transport, model: Model) -> Option<String> {
        let name = self.name();
        match (transport, self) {
            (Transport::Stream, Self::Score) => {
                Some(format!("{name} is served on datagrams (udp:HOST:PORT, unix-dgram:PATH)"))
            }
            (Transport::Stream, _) if self.is_of_transfers() => {
                Some(format!("{name} is served on datagrams (udp:HOST:PORT)"))
            }
            (Transport::Datagram, _) if self.is_of_transfers() => None,
            (Transport::Datagram, Self::Files | Self::Http) => {
                Some(format!("{name} is served on streams, and this is a datagram address"))
            }
            (Transport::Stream, _) => None,
            (Transport::Datagram, _) => model.misfit_of_datagrams(name),
        }
    }
}
