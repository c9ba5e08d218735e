//! The options that there are: their names, and the bounds of their numbers.

use super::super::parts::{EXTENSIONS, OPTIONS, WINDOWS, has};
use crate::wire::tftp::{BLOCK_MAX, BLOCK_MIN};

/// An option with a number for a value, by its place in [`names`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Number {
    /// Bytes of the file. A reader asks with any number.
    Size,
    /// Bytes of a block.
    Block,
    /// Blocks of a window.
    Window,
    /// The first timeout, in microseconds.
    TimeoutUs,
    /// The first byte that is sent.
    Seek,
    /// How many bytes are sent.
    Length,
}

/// The names of the options: behind the numbers those that carry a digest. One text of words takes less flash than their
/// places and lengths. Where parts are missing the first ones are left.
pub(super) const fn names(parts: u8) -> &'static [u8] {
    if has(parts, EXTENSIONS) {
        b"tsize\nblksize\nwindowsize\nutimeout\nseek\nrsize\nx-blake3\nx-crc32\n"
    } else if has(parts, WINDOWS) {
        b"tsize\nblksize\nwindowsize\n"
    } else if has(parts, OPTIONS) {
        b"tsize\nblksize\n"
    } else {
        b""
    }
}

/// The bits of the same options.
pub(super) const fn known(parts: u8) -> u8 {
    if has(parts, EXTENSIONS) {
        EVERY
    } else if has(parts, WINDOWS) {
        0b111
    } else if has(parts, OPTIONS) {
        0b11
    } else {
        0
    }
}

/// How many of them are numbers.
pub(super) const NUMBERS: usize = 6;

/// The least and the largest of a number, by its place. Those of `utimeout` are of tftp-hpa.
pub(super) const fn bounds(which: usize, parts: u8) -> (u64, u64) {
    match which {
        1 => (BLOCK_MIN as u64, BLOCK_MAX as u64),
        2 if has(parts, WINDOWS) => (1, u16::MAX as u64),
        3 if has(parts, EXTENSIONS) => (10_000, 255_000_000),
        _ => (0, u64::MAX),
    }
}

/// How many of the numbers, from the front, an answer may change.
pub(super) const NEGOTIATED: usize = Number::Window as usize + 1;

/// The bits of the digests.
pub(super) const BLAKE3: u8 = 1 << 6;
pub(super) const CRC32: u8 = 1 << 7;
pub(super) const DIGESTS: u8 = BLAKE3 | CRC32;

/// The bits of all options: those that a request may have.
pub(super) const EVERY: u8 = u8::MAX;
