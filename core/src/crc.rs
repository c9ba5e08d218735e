//! CRC-32: the checksum of Ethernet, gzip and PNG, in the memory of a small device.

/// A CRC-32/ISO-HDLC that is computed piece by piece.
///
/// It detects transmission errors: every burst of up to 32 bits, and every other change except one in
/// 4,294,967,296. It does not protect against a change on purpose: use a cryptographic digest for that.
///
/// Its table has 16 entries, 64 bytes of flash, and a byte takes two look-ups. A table of 256 entries
/// would be about twice as fast and 1 KiB large.
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
            self.register ^= u32::from(byte);
            for _ in 0..2 {
                // Four bits are an index into 16 entries; `get` keeps the panic path out.
                let entry = TABLE.get((self.register & 15) as usize).copied().unwrap_or_default();
                self.register = (self.register >> 4) ^ entry;
            }
        }
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

/// The value to add to the register for each value of the four bits that are shifted out.
static TABLE: [u32; 16] = [
    entry(0),
    entry(1),
    entry(2),
    entry(3),
    entry(4),
    entry(5),
    entry(6),
    entry(7),
    entry(8),
    entry(9),
    entry(10),
    entry(11),
    entry(12),
    entry(13),
    entry(14),
    entry(15),
];

const fn entry(bits: u32) -> u32 {
    let (mut entry, mut bit) = (bits, 0);
    while bit < 4 {
        entry = (entry >> 1) ^ (POLYNOMIAL & (entry & 1).wrapping_neg());
        bit += 1;
    }
    entry
}

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
        }
    }
}
