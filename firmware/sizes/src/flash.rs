//! A minimal storage with a checksum.

use windlass_core::crc::Crc32;
use windlass_core::fault::Fault;
use windlass_core::file::{Answer, Digest, Facts, Op, Storage};
use windlass_core::time::Instant;

use crate::Port;

/// Writes received bytes to a register, and compares their CRC-32.
#[derive(Debug)]
pub struct Flash {
    crc: Crc32,
}

impl Flash {
    /// A storage without bytes.
    pub const fn new() -> Self {
        Self { crc: Crc32::new() }
    }
}

impl Default for Flash {
    fn default() -> Self {
        Self::new()
    }
}

impl Storage for Flash {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Store(_) => {
                self.crc.update(memory);
                Answer::Kept(Port::new().write(memory))
            }
            Op::Commit(Some(Digest::Crc32(crc))) if crc != self.crc.finish() => {
                Answer::Failed(Fault::Integrity)
            }
            Op::Read { .. } => Answer::Read(Port::new().read(memory)),
            Op::Digest { extent, .. } => Answer::Digested(extent.len),
            Op::FinishDigest(_) => Answer::Digest(Digest::Crc32(self.crc.finish())),
            Op::Open(name) => Answer::Opened(name.len() as u64),
            Op::Examine => Answer::Facts(Facts {
                version: Some([self.crc.finish().into(), 1]),
                modified: None,
                is_settled: true,
            }),
            Op::Create(_) | Op::Commit(_) | Op::Close => Answer::Done,
        }
    }
}
