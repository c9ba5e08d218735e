//! Headers and parts of a file, one behind the other in a buffer that one call sends.
//!
//! ```text
//!   buffer   │hdr│ run │hdr│ run │hdr│ ru…          one preadv(2) fills the runs
//!   file         └─────┴──────────┘                 they follow each other in it
//! ```

use std::io::IoSliceMut;

use windlass_core::fault::Fault;
use windlass_core::file::Extent;

use super::files::{Found, OpenFile, Waits};

/// The largest number of runs in a buffer: with frames of 4096 bytes this fills 128 KiB.
const RUNS_MAX: usize = 33;

/// A buffer that is being filled.
pub(super) struct Gather<'b> {
    /// The number of bytes of the layout.
    len: usize,
    rest: &'b mut [u8],
    runs: [IoSliceMut<'b>; RUNS_MAX],
    /// The offset of each run in the buffer.
    starts: [usize; RUNS_MAX],
    used: usize,
    /// The offset of the first run in the file, and of what follows the last one.
    offset: u64,
    next: u64,
}

impl<'b> Gather<'b> {
    pub(super) fn new(buf: &'b mut [u8]) -> Self {
        Self {
            len: 0,
            rest: buf,
            runs: std::array::from_fn(|_| IoSliceMut::new(&mut [])),
            starts: [0; RUNS_MAX],
            used: 0,
            offset: 0,
            next: 0,
        }
    }

    /// The number of bytes of the layout.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that there is still room for.
    #[cfg(feature = "transfer")]
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether there is a place for one more part, if it has any byte: one call reads them all, so each part has to
    /// follow the one before it in the file.
    pub(super) fn fits(&self, extent: Extent) -> bool {
        let follows = self.used == 0 || extent.offset == self.next;
        extent.len == 0 || (self.used < RUNS_MAX && follows)
    }

    pub(super) fn is_full(&self) -> bool {
        self.rest.is_empty()
    }

    /// Adds the next `len` bytes, or the first of them, which `render` writes.
    pub(super) fn head(&mut self, len: usize, render: impl FnOnce(&mut [u8]) -> usize) {
        let room = self.room(len);
        let (rendered, all) = (render(room), room.len());
        debug_assert_eq!(rendered, all, "a piece was shorter than it said");
    }

    /// Whether there is a part of a file in it.
    pub(super) fn has_parts(&self) -> bool {
        self.used > 0
    }

    /// Makes room for a part of the file, or for its beginning. Returns false if the part does not
    /// [fit](Self::fits).
    pub(super) fn part(&mut self, extent: Extent) -> bool {
        if self.used == RUNS_MAX || !self.fits(extent) {
            return false;
        }
        if self.used == 0 {
            self.offset = extent.offset;
        }
        self.next = extent.offset.saturating_add(extent.len);
        self.starts[self.used] = self.len;
        let room = self.room(usize::try_from(extent.len).unwrap_or(usize::MAX));
        self.runs[self.used] = IoSliceMut::new(room);
        self.used += 1;
        true
    }

    /// Reads the parts. Returns how many bytes of the buffer are valid: up to where the page cache
    /// has no more, and at least `least` bytes of the file.
    pub(super) fn read(
        &mut self,
        file: &mut OpenFile,
        least: usize,
        waits: Waits<'_>,
    ) -> Result<Found<usize>, Fault> {
        self.fill(|offset, runs| file.read(offset, runs, least, waits))
    }

    /// Fills the parts by `read`, from this offset of the file on. Returns how many bytes of the buffer are
    /// valid.
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(u64, &mut [IoSliceMut<'b>]) -> Result<Found<usize>, Fault>,
    ) -> Result<Found<usize>, Fault> {
        let runs = &mut self.runs[..self.used];
        if runs.is_empty() {
            return Ok(Found::Now(self.len));
        }
        let Found::Now(mut read) = read(self.offset, runs)? else {
            return Ok(Found::Later);
        };
        for (run, start) in runs.iter().zip(self.starts) {
            if read < run.len() {
                return Ok(Found::Now(start + read));
            }
            read -= run.len();
        }
        Ok(Found::Now(self.len))
    }

    fn room(&mut self, len: usize) -> &'b mut [u8] {
        let rest = std::mem::take(&mut self.rest);
        let (room, rest) = rest.split_at_mut(len.min(rest.len()));
        (self.len, self.rest) = (self.len + room.len(), rest);
        room
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::files::{self, Late};
    use super::*;
    use crate::sys::root::Root;
    use windlass_core::fault::StorageFault;

    /// The content of a file and a buffer of headers and parts, `laid` bytes of it good.
    fn gathered(content: &[u8], parts: &[(u64, u64)], size: usize) -> Result<Vec<u8>, Fault> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::File::create(folder.path().join("x")).unwrap().write_all(content).unwrap();
        let root = Root::open(folder.path()).unwrap().into();
        let mut late = Late::default();
        let waits = Waits { late: &mut late, helpers: None };
        let Found::Now(Ok((mut file, _))) = files::open(Some(&root), b"x", waits) else {
            panic!("it is not opened");
        };
        let mut buf = vec![0; size];
        let mut gather = Gather::new(&mut buf);
        for &(offset, len) in parts {
            gather.head(1, |room| {
                room.fill(b'#');
                room.len()
            });
            assert!(gather.part(Extent { offset, len }));
        }
        let Found::Now(len) =
            gather.read(&mut file, 1, Waits { late: &mut late, helpers: None })?
        else {
            panic!("it waits without helpers");
        };
        buf.truncate(len);
        Ok(buf)
    }

    #[test]
    fn headers_and_parts_follow_each_other() {
        let content = b"0123456789";
        assert_eq!(gathered(content, &[(2, 3), (5, 4)], 64).unwrap(), b"#234#5678");
        assert_eq!(gathered(content, &[(2, 3), (5, 4)], 6).unwrap(), b"#234#5");
        assert_eq!(gathered(content, &[(2, 3), (5, 4)], 5).unwrap(), b"#234#");
        // Up to the last byte that was read, without a header behind it.
        assert_eq!(gathered(content, &[(4, 4), (8, 4)], 64).unwrap(), b"#4567#89");
        assert_eq!(gathered(content, &[(6, 4), (10, 4)], 64).unwrap(), b"#6789#");
        assert_eq!(gathered(content, &[(10, 1)], 64), Err(StorageFault::Changed.into()));
    }

    #[test]
    fn there_is_an_end_to_parts() {
        let mut buf = [0; 4096];
        let mut gather = Gather::new(&mut buf);
        let laid = (0..100).take_while(|&offset| gather.part(Extent { offset, len: 1 })).count();
        assert_eq!((laid, gather.len()), (RUNS_MAX, RUNS_MAX));
    }

    /// A sender may owe a block out of order: that one is for the next layout.
    #[test]
    fn a_part_from_elsewhere_in_the_file_is_not_laid_out() {
        let mut buf = [0; 64];
        let mut gather = Gather::new(&mut buf);
        assert!(gather.part(Extent { offset: 8, len: 4 }));
        for offset in [0, 8, 11, 13] {
            assert!(!gather.part(Extent { offset, len: 4 }), "at {offset}");
        }
        assert!(gather.part(Extent { offset: 12, len: 4 }));
        assert_eq!(gather.len(), 8);
    }
}
