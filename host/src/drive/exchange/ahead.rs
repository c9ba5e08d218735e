//! Short blocks that leave one by one are read some at a time: a system call for each of them would be a tenth of its
//! cost.

use std::io::IoSliceMut;

use windlass_core::fault::Fault;

use super::super::files::{Found, OpenFile, Waits};

/// The next bytes of a file.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    at: u64,
    bytes: Vec<u8>,
}

/// Bytes that are read together.
const TOGETHER: usize = 4096;

impl Ahead {
    /// Reads `runs` from this offset on, as [`OpenFile::read`] does.
    pub(super) fn read(
        &mut self,
        file: &mut OpenFile,
        (offset, runs): (u64, &mut [IoSliceMut<'_>]),
        least: usize,
        waits: Waits<'_>,
    ) -> Result<Found<usize>, Fault> {
        let [run] = runs else { return file.read(offset, runs, least, waits) };
        if run.len() > TOGETHER / 2 {
            return file.read(offset, runs, least, waits);
        }
        let from = offset.checked_sub(self.at).and_then(|from| usize::try_from(from).ok());
        let rest = from.and_then(|from| self.bytes.get(from..));
        if let Some(bytes) = rest.and_then(|rest| rest.get(..run.len())) {
            run.copy_from_slice(bytes);
            return Ok(Found::Now(run.len()));
        }
        self.bytes.resize(TOGETHER, 0);
        let read = file.read(offset, &mut [IoSliceMut::new(&mut self.bytes)], least, waits);
        let Ok(Found::Now(n)) = read else {
            self.bytes.clear();
            return read;
        };
        self.bytes.truncate(n);
        self.at = offset;
        let n = n.min(run.len());
        run[..n].copy_from_slice(&self.bytes[..n]);
        Ok(Found::Now(n))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::files::{self, Late};
    use super::*;
    use crate::sys::root::Root;

    #[test]
    fn blocks_are_those_of_the_file_in_any_order() {
        let content: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), &content).unwrap();
        let root = Root::open(folder.path()).unwrap().into();
        let mut late = Late::default();
        let opened = files::open(Some(&root), b"x", Waits { late: &mut late, helpers: None });
        let Found::Now(Ok((mut file, _))) = opened else { panic!("it is not opened") };
        let mut ahead = Ahead::default();
        for (offset, len) in
            [(0, 512), (512, 512), (512, 512), (0, 3000), (4000, 512), (19_900, 100), (3_900, 512)]
        {
            let mut block = vec![0; len];
            let runs = &mut [IoSliceMut::new(&mut block)];
            let waits = Waits { late: &mut late, helpers: None };
            let read = ahead.read(&mut file, (offset, runs), len, waits);
            assert!(matches!(read, Ok(Found::Now(n)) if n == len), "{len} from {offset} on");
            let at = usize::try_from(offset).unwrap();
            assert_eq!(block, content[at..at + len], "{len} from {offset} on");
        }
        let mut block = [0; 512];
        let runs = &mut [IoSliceMut::new(&mut block)];
        let waits = Waits { late: &mut late, helpers: None };
        assert!(ahead.read(&mut file, (20_000, runs), 1, waits).is_err(), "it ends there");
    }
}
