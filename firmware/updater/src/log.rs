//! The log: what is in the slots, in two sectors of flash that take turns.
//!
//! ```text
//!   sector 0   │ 0 │ 1 │ 2 │ … │ 127 │        sector 1   │ 128 │ … │ 255 │
//!   record     │ sequence │ newest │ len A │ crc A │ len B │ crc B │ kept │ crc of the record │
//! ```
//!
//! Each record has the whole state, so the one with the highest sequence number is all that is read. A record that
//! was torn by a power failure has a wrong CRC, and the one before it counts. The sector that is erased next never
//! has the last record. No bit is programmed twice, so a flash with its own error correction will do.
//!
//! `sequential-storage` keeps such a log too, for any values. Its operations are futures that borrow the flash
//! until they are done, and a storage in a plain loop has to answer between two steps of one. The state here is 28
//! bytes, so its log is this file.

use windlass_core::crc::Crc32;

use crate::flash::{Failed, Flash, SECTOR};

/// The part of the flash for one of two images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Slot {
    /// The first one.
    A,
    /// The second one.
    B,
}

impl Slot {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A complete image in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Image {
    /// Its length in bytes.
    pub len: u32,
    /// The CRC-32 of its bytes.
    pub crc: u32,
}

/// What is in the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// The slot with the newest image.
    pub(crate) newest: Option<Slot>,
    pub(crate) a: Option<Image>,
    pub(crate) b: Option<Image>,
    /// Bytes of a download that are in the other slot: a multiple of a sector.
    pub(crate) kept: u32,
}

impl State {
    pub(crate) const fn image(&self, slot: Slot) -> Option<Image> {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
        }
    }

    pub(crate) const fn set_image(&mut self, slot: Slot, image: Option<Image>) {
        match slot {
            Slot::A => self.a = image,
            Slot::B => self.b = image,
        }
    }

    /// The slot to write a download to.
    pub(crate) fn target(&self) -> Slot {
        self.newest.map_or(Slot::A, Slot::other)
    }

    fn words(&self, sequence: u32) -> [u32; WORDS] {
        let newest = match self.newest {
            Some(Slot::A) => 0,
            Some(Slot::B) => 1,
            None => NONE,
        };
        let (a, b) = (of_image(self.a), of_image(self.b));
        [sequence, newest, a[0], a[1], b[0], b[1], self.kept]
    }

    fn of(words: &[u32; WORDS]) -> Self {
        let &[_, newest, a_len, a_crc, b_len, b_crc, kept] = words;
        let newest = match newest {
            0 => Some(Slot::A),
            1 => Some(Slot::B),
            _ => None,
        };
        Self { newest, a: image(a_len, a_crc), b: image(b_len, b_crc), kept }
    }
}

/// Words of a record before its CRC.
const WORDS: usize = 7;

/// Bytes of a record.
pub(crate) const RECORD: usize = 4 * (WORDS + 1);

const RECORD_LEN: u32 = RECORD as u32;

/// Records of a sector.
const OF_SECTOR: u32 = SECTOR / RECORD_LEN;

/// Bytes of the log.
pub(crate) const LOG_LEN: u32 = 2 * SECTOR;

/// The length of an image that is not there, and a slot that is not there.
const NONE: u32 = u32::MAX;

fn of_image(image: Option<Image>) -> [u32; 2] {
    image.map_or([NONE; 2], |image| [image.len, image.crc])
}

fn image(len: u32, crc: u32) -> Option<Image> {
    (len != NONE).then_some(Image { len, crc })
}

/// Where the log is, and how far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    sequence: u32,
    /// The number of the next record: 0 to 255.
    next: u32,
}

impl Log {
    /// Finds the last record. Without one, nothing is in the slots.
    pub(crate) fn load(flash: &mut impl Flash) -> Result<(Self, State), Failed> {
        let mut last: Option<(u32, u32, State)> = None;
        for number in 0..2 * OF_SECTOR {
            let mut bytes = [0; RECORD];
            flash.read(number * RECORD_LEN, &mut bytes)?;
            if let Some((sequence, state)) = parse(&bytes)
                && last.is_none_or(|(latest, ..)| sequence > latest)
            {
                last = Some((sequence, number, state));
            }
        }
        let Some((sequence, number, state)) = last else {
            return Ok((Self { sequence: 0, next: 0 }, State::default()));
        };
        let mut log = Self { sequence: sequence.wrapping_add(1), next: after(number) };
        // A record that was torn takes the place of one.
        while !log.is_at_sector() {
            let mut bytes = [0; RECORD];
            flash.read(log.address(), &mut bytes)?;
            if bytes == [0xff; RECORD] {
                break;
            }
            log.next = after(log.next);
        }
        Ok((log, state))
    }

    /// The address of the next record.
    pub(crate) const fn address(self) -> u32 {
        self.next * RECORD_LEN
    }

    /// Whether the next record is the first of its sector, which has to be erased before.
    pub(crate) const fn is_at_sector(self) -> bool {
        self.next.is_multiple_of(OF_SECTOR)
    }

    /// The next record.
    pub(crate) fn record(self, state: &State) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        let words = state.words(self.sequence);
        let mut crc = Crc32::new();
        for word in words {
            crc.update(&word.to_le_bytes());
        }
        let words = words.into_iter().chain([crc.finish()]);
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The record is in the flash.
    pub(crate) const fn written(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
        self.next = after(self.next);
    }
}

const fn after(number: u32) -> u32 {
    (number + 1) % (2 * OF_SECTOR)
}

/// The sequence number and the state of a record that is whole.
fn parse(bytes: &[u8; RECORD]) -> Option<(u32, State)> {
    let mut words = [0; WORDS];
    let mut crc = Crc32::new();
    let mut of_record = 0;
    for (nth, chunk) in bytes.chunks_exact(4).enumerate() {
        let word = u32::from_le_bytes(chunk.try_into().ok()?);
        match words.get_mut(nth) {
            Some(to) => {
                *to = word;
                crc.update(chunk);
            }
            None => of_record = word,
        }
    }
    (crc.finish() == of_record).then(|| (words[0], State::of(&words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_no_bit_of_it_may_change() {
        let state = State {
            newest: Some(Slot::B),
            a: None,
            b: Some(Image { len: 65536, crc: 0x1234_5678 }),
            kept: 8192,
        };
        let record = Log { sequence: 7, next: 3 }.record(&state);
        assert_eq!(parse(&record), Some((7, state)));
        for bit in 0..8 * RECORD {
            let mut changed = record;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&changed), None, "bit {bit}");
        }
        for nothing in [[0xff; RECORD], [0; RECORD]] {
            assert_eq!(parse(&nothing), None);
        }
    }
}
