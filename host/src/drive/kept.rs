//! Small files that were sent lately, in memory.
//!
//! ```text
//!   name ──▶ openat2(O_PATH), fstat ──▶ the same version? ──▶ the content, from memory
//!                                       └ another ──▶ open, read, look again ──▶ kept for the next one
//! ```
//!
//! An entry is used only if the name leads to the same version of the same file as when the entry was
//! made, so a change is seen by the next request. A file is kept only when its version is settled: a
//! change from then on changes its stamp.

use std::io::IoSliceMut;
use std::sync::Arc;

use crate::sys::clock;
use crate::sys::read_file::{read_at, read_cached};
use crate::sys::root::{Opened, Root};
use crate::sys::stamp::Stamp;

/// The largest file that is kept, in bytes.
const SIZE_MAX: u64 = 16 * 1024;

/// The number of places. A name has one place, and takes it from another name.
const PLACES: usize = 64;

/// The small files of a loop.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<Option<Entry>>);

#[derive(Debug)]
struct Entry {
    name: Box<[u8]>,
    stamp: Stamp,
    content: Arc<[u8]>,
}

impl Kept {
    /// The content of the file of this name and its version, if they are here. `at_once`: and if the file
    /// system tells the version without waiting.
    pub(super) fn find(
        &self,
        root: &Root,
        name: &[u8],
        at_once: bool,
    ) -> Option<(Arc<[u8]>, Stamp)> {
        let entry = self.0.get(place(name))?.as_ref().filter(|entry| *entry.name == *name)?;
        let same = root.stamp(name, at_once) == Some(entry.stamp);
        same.then(|| (Arc::clone(&entry.content), entry.stamp))
    }

    /// Keeps a file that was opened, if it is small and its version is settled. `at_once`: and if it can be
    /// read without waiting.
    pub(super) fn keep(
        &mut self,
        name: &[u8],
        opened: &Opened,
        at_once: bool,
    ) -> Option<(Arc<[u8]>, Stamp)> {
        let Opened { file, size, stamp: Some(stamp) } = opened else { return None };
        if *size == 0 || *size > SIZE_MAX || !stamp.facts(clock::calendar()).is_settled {
            return None;
        }
        let mut content = vec![0; usize::try_from(*size).ok()?];
        let into = &mut [IoSliceMut::new(&mut content)];
        let read = if at_once { read_cached(file, 0, into) } else { read_at(file, 0, into) };
        if read != Ok(content.len()) || Stamp::look(file) != Ok(*stamp) {
            return None;
        }
        let content: Arc<[u8]> = content.into();
        if self.0.is_empty() {
            self.0.resize_with(PLACES, || None);
        }
        *self.0.get_mut(place(name))? =
            Some(Entry { name: name.into(), stamp: *stamp, content: Arc::clone(&content) });
        Some((content, *stamp))
    }
}

/// FNV-1a.
fn place(name: &[u8]) -> usize {
    let hash = name
        .iter()
        .fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash as usize % PLACES
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_kept_until_it_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("small"), "content").unwrap();
        fs::write(at("large"), vec![0; SIZE_MAX as usize + 1]).unwrap();
        let mut kept = Kept::default();
        let keep = |kept: &mut Kept, name: &[u8]| {
            let opened = root.file(name).unwrap();
            kept.keep(name, &opened, false).map(|(content, _)| content.to_vec())
        };
        // As long as it is young it is not kept.
        let end = clock::now().after(10_000_000);
        while keep(&mut kept, b"small").is_none() {
            assert!(clock::now() < end, "it stays young");
            std::thread::yield_now();
        }
        assert_eq!(keep(&mut kept, b"large"), None);
        let find = |kept: &Kept, at_once| kept.find(&root, b"small", at_once).map(|found| found.0);
        assert_eq!(find(&kept, false).as_deref(), Some(&b"content"[..]));
        assert!(find(&kept, true).is_none_or(|found| *found == *b"content"));
        assert!(kept.find(&root, b"other", false).is_none());
        fs::write(at("small"), "CONTENT").unwrap();
        assert_eq!(find(&kept, false), None, "written in place");
        assert_eq!(keep(&mut kept, b"small"), None, "it is young again");
        fs::remove_file(at("small")).unwrap();
        assert_eq!(find(&kept, false), None);
    }
}
