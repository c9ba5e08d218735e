//! CRC-32: the checksum of Ethernet, gzip and PNG, in the memory of a small device.

/// A CRC-32/ISO-HDLC that is computed piece by piece.
///
/// It detects transmission errors: every burst of up to 32 bits, and every other change except one in
/// 4,294,967,296. It does not protect against a change on purpose: use a cryptographic digest for that.
///
/// It has no table and takes a bit at a time, about 40 cycles of a Cortex-M0 for a byte: a table of 16
/// entries would be twice as fast and 80 bytes larger.
///
/// ```
/// use windlass_core::crc::Crc32;
/// let mut crc = Crc32::new();
/// crc.update(b"1234");
/// crc.update(b"56789");
/// assert_eq!(crc.finish(), 0xcbf4_3926);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Crc32 {
    /// The register, reflected: the lowest bit is shifted out next.
    register: u32,
}

impl Crc32 {
    /// The checksum of no bytes yet.
    pub const fn new() -> Self {
        Self { register: !0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.push(byte);
        }
    }

    /// Takes the next byte. Once in an image: it is called for each byte of a line, which is slower.
    #[inline(never)]
    pub(crate) fn push(&mut self, byte: u8) {
        self.register ^= u32::from(byte);
        for _ in 0..8 {
            let leaves = self.register & 1;
            self.register = (self.register >> 1) ^ (POLYNOMIAL & leaves.wrapping_neg());
        }
    }

    /// Whether the last four bytes were the checksum of those before, its lowest byte first: the
    /// checksum of all is then the same, whatever they are.
    pub(crate) const fn is_whole(self) -> bool {
        self.register == !RESIDUE
    }

    /// The checksum of the bytes so far. More may follow.
    pub const fn finish(self) -> u32 {
        !self.register
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The checksum of bytes and their checksum.
const RESIDUE: u32 = 0x2144_df1c;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn crc(bytes: &[u8]) -> u32 {
        let mut crc = Crc32::new();
        crc.update(bytes);
        crc.finish()
    }

    /// The definition, a bit at a time.
    fn model(bytes: &[u8]) -> u32 {
        let mut register = !0_u32;
        for byte in bytes {
            for bit in 0..8 {
                let out = (register ^ u32::from(byte >> bit)) & 1;
                register = (register >> 1) ^ (out * POLYNOMIAL);
            }
        }
        !register
    }

    #[test]
    fn it_is_the_checksum_of_the_catalogue() {
        for (bytes, sum) in [
            (&b""[..], 0),
            (b"a", 0xe8b7_be43),
            (b"123456789", 0xcbf4_3926),
            (&[0; 32], 0x190a_55ad),
            (&[0xff; 32], 0xff6c_ab0b),
        ] {
            assert_eq!(crc(bytes), sum, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_definition_however_the_bytes_are_cut(
            bytes: Vec<u8>, step in 1_usize..20,
        ) {
            let mut pieces = Crc32::new();
            for piece in bytes.chunks(step) {
                pieces.update(piece);
            }
            prop_assert_eq!(pieces.finish(), model(&bytes));
            prop_assert!(!pieces.is_whole());
            pieces.update(&pieces.finish().to_le_bytes());
            prop_assert!(pieces.is_whole());
        }
    }
}
