//! What is agreed: the options of an OACK.

use super::super::outbound::WINDOW_MAX;
use super::asked::{Asked, name_of};
use super::config::Config;
use crate::file::Digest;
use crate::wire::tftp::{Opcode, Writer};

/// What a server says that it does. Nothing is in it that was not asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Agreed {
    pub(super) block: Option<u16>,
    pub(super) window: Option<u16>,
    pub(super) size: Option<u64>,
    pub(super) timeout_us: Option<u32>,
    pub(super) seek: Option<u64>,
    pub(super) length: Option<u64>,
    pub(super) digest: Option<Digest>,
}

impl Agreed {
    /// What is agreed for either direction.
    fn new(asked: &Asked, config: &Config) -> Self {
        let window = asked.window.map(|window| window.min(config.window_max).clamp(1, WINDOW_MAX));
        let block = asked.block.map(|block| block.min(config.block_max));
        Self { block, window, timeout_us: asked.timeout_us, ..Self::default() }
    }

    /// With a peer that reads a file of so many bytes. The digest is not known yet.
    pub(super) fn with_reader(asked: &Asked, config: &Config, size: u64) -> Self {
        // A copy that is longer than the file is of another one: it begins anew.
        let seek = asked.seek.filter(|&seek| seek <= size);
        let rest = size.saturating_sub(seek.unwrap_or(0));
        Self {
            // curl takes no 0 for a size.
            size: asked.size.map(|_| size).filter(|&size| size > 0),
            seek,
            length: asked.length.map(|length| length.min(rest)),
            ..Self::new(asked, config)
        }
    }

    /// With a peer that writes a file. A size of 0 is one that it does not know.
    pub(super) fn with_writer(asked: &Asked, config: &Config) -> Self {
        let digest = asked.digest.and_then(|(_, digest)| digest);
        Self {
            size: asked.size.filter(|&size| size > 0),
            digest: digest.filter(|digest| config.digests.contains(digest.kind())),
            ..Self::new(asked, config)
        }
    }

    /// An OACK without an option is none: the transfer begins with the first block.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes the OACK.
    pub(super) fn render(&self, head: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(Opcode::OptionAck as u16, head);
        for (name, number) in [
            (&b"tsize"[..], self.size),
            (b"blksize", self.block.map(u64::from)),
            (b"windowsize", self.window.map(u64::from)),
            (b"utimeout", self.timeout_us.map(u64::from)),
            (b"seek", self.seek),
            (b"rsize", self.length),
        ] {
            writer.number(name, number);
        }
        if let Some(digest) = self.digest {
            writer.word(name_of(digest.kind()));
            digest.hex(|digits| writer.put(digits));
            writer.word(b"");
        }
        writer.finish()
    }
}
