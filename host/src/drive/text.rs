//! A text file as TFTP carries it (netascii): translated as it is read, at any place.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use windlass_core::transfer::netascii::Encoder;

/// A file with bytes that are translated on their way. It is longer there than on the disk.
#[derive(Debug)]
pub struct TextFile {
    file: File,
    /// Bytes of it as it travels.
    len: u64,
    /// Where reading can begin: places in order, of which the first one is the beginning of the file.
    places: Vec<Place>,
    /// Where the last read ended, and what it left.
    at: Place,
    encoder: Encoder,
}

/// A place in the file, and the one in what travels.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    file: u64,
    travel: u64,
}

/// Bytes between two places: of a large file more, so that there are not too many of them.
const APART: u64 = 1 << 16;
const PLACES_MAX: u64 = 1 << 12;

impl TextFile {
    /// Looks at all of the file: how long it is on its way follows from its bytes.
    ///
    /// # Errors
    /// Reading it fails.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let apart = APART.max(file.metadata()?.len() / PLACES_MAX);
        let (mut at, mut places, mut buf) = (Place::default(), Vec::new(), vec![0; 1 << 16]);
        loop {
            if places.last().is_none_or(|last: &Place| at.file - last.file >= apart) {
                places.push(at);
            }
            let n = file.read_at(&mut buf, at.file)?;
            if n == 0 {
                let (len, at) = (at.travel, Place::default());
                return Ok(Self { file, len, places, at, encoder: Encoder::new() });
            }
            let pairs = buf[..n].iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
            at = Place { file: at.file + n as u64, travel: at.travel + (n + pairs) as u64 };
        }
    }

    /// Bytes of it as it travels.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `to` with what travels from `offset` on.
    ///
    /// # Errors
    /// Reading fails; it ends before `to` is full.
    pub(crate) fn read_at(&mut self, offset: u64, mut to: &mut [u8]) -> io::Result<()> {
        let next = self.places.partition_point(|place| place.travel <= offset);
        let place = self.places[next - 1];
        if self.at.travel > offset || self.at.travel < place.travel {
            (self.at, self.encoder) = (place, Encoder::new());
        }
        let mut skip = offset - self.at.travel;
        let (mut raw, mut skipped) = ([0; 4096], [0; 4096]);
        while !to.is_empty() {
            let n = self.file.read_at(&mut raw, self.at.file)?;
            if n == 0 && self.encoder.is_done() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let mut from = &raw[..n];
            while !to.is_empty() {
                if from.is_empty() && self.encoder.is_done() {
                    break;
                }
                let left = usize::try_from(skip).unwrap_or(usize::MAX).min(skipped.len());
                let room = if left > 0 { &mut skipped[..left] } else { &mut *to };
                let moved = self.encoder.encode(from, room);
                from = &from[moved.read..];
                self.at.file += moved.read as u64;
                self.at.travel += moved.written as u64;
                if left > 0 {
                    skip -= moved.written as u64;
                } else {
                    to = &mut to[moved.written..];
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_travels_can_be_read_at_any_place() {
        // Many lines, of which some cross from one place to the next.
        let text: Vec<u8> = (0..400_000u32)
            .map(|n| b"a\nbc\r\n\0\r"[(u64::from(n) * u64::from(n) % 11 % 8) as usize])
            .collect();
        let mut travels = Vec::new();
        for &byte in &text {
            travels.push(byte);
            match byte {
                b'\n' => travels.splice(travels.len() - 1.., *b"\r\n").for_each(drop),
                b'\r' => travels.push(0),
                _ => {}
            }
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&text).unwrap();
        let mut file = TextFile::new(file).unwrap();
        assert_eq!(file.len(), travels.len() as u64);
        assert!(file.places.len() > 3);
        // Forwards, again, backwards, and across the end.
        let mut offset = 0;
        for nth in 0..2000 {
            let len = 1 + nth * 7 % 1428;
            let end = (offset + len).min(travels.len());
            let mut to = vec![0; end - offset];
            file.read_at(offset as u64, &mut to).unwrap();
            assert!(to == travels[offset..end], "{len} bytes at {offset}");
            offset = if nth % 5 == 4 { nth * 7919 % travels.len() } else { end % travels.len() };
        }
        let error = file.read_at(travels.len() as u64 - 3, &mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_empty_file_is_empty_on_its_way() {
        let mut file = TextFile::new(tempfile::tempfile().unwrap()).unwrap();
        assert_eq!(file.len(), 0);
        file.read_at(0, &mut []).unwrap();
    }
}
