//! What `stat(2)` tells about the version of a file.

use std::fs::File;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, fstat};
use windlass_core::file::Facts;

use super::clock::Calendar;

/// The version of a file: two versions of one name have different stamps, if the clock of the file system
/// ticked between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    device: u64,
    inode: u64,
    /// The last change of content or attributes, in nanoseconds since 1970. No program can set it.
    changed_ns: u64,
    /// The last change of the content, as programs may set it: seconds since 1970, and nanoseconds.
    modified: (i64, i64),
    /// How many names it has.
    links: libc::nlink_t,
}

/// After this time the clock of a file system has ticked, in nanoseconds: the kernel's tick has 1 to 10 ms.
const GRAIN_NS: u64 = 100_000_000;

/// The same where a time has no fraction of a second: FAT counts in steps of two.
const COARSE_GRAIN_NS: u64 = 2_000_000_000;

const SECOND_NS: u64 = 1_000_000_000;

impl Stamp {
    pub(super) fn of(stat: &FileStat) -> Self {
        let whole = u64::try_from(stat.st_ctime).unwrap_or(0);
        let part = u64::try_from(stat.st_ctime_nsec).unwrap_or(0);
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            device: stat.st_dev,
            inode: stat.st_ino,
            changed_ns: whole.saturating_mul(SECOND_NS).saturating_add(part),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            links: stat.st_nlink,
        }
    }

    /// The stamp of an open file.
    ///
    /// # Errors
    /// `EIO`, `ESTALE`.
    pub fn look(file: &File) -> Result<Self, Errno> {
        fstat(file.as_fd()).map(|stat| Self::of(&stat))
    }

    /// The size of the file in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file still had the content of this stamp when it had the later one. If it has lost a name since,
    /// that is what changed it: the name was removed, or was given to the next version.
    pub fn is_content_of(&self, later: &Self) -> bool {
        let has_lost_a_name = later.links < self.links;
        let same = Self { changed_ns: self.changed_ns, links: self.links, ..*later };
        *later == *self || (has_lost_a_name && same == *self)
    }

    /// What a session is told.
    pub fn facts(&self, now: Calendar) -> Facts {
        let is_coarse = self.changed_ns.is_multiple_of(SECOND_NS);
        let grain = if is_coarse { COARSE_GRAIN_NS } else { GRAIN_NS };
        let age_ns = now.as_nanos().checked_sub(self.changed_ns);
        Facts {
            version: Some([self.changed_ns, self.inode]),
            modified: u32::try_from(self.modified.0).ok(),
            is_settled: age_ns.is_some_and(|age_ns| age_ns >= grain),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn another_version_has_another_stamp_and_a_young_one_is_not_settled() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"1").unwrap();
        let stamp = Stamp::look(&file).unwrap();
        assert_eq!(Stamp::look(&file), Ok(stamp));
        let after = |ns: u64| {
            let at = stamp.changed_ns + ns;
            Calendar::of((at / SECOND_NS) as i64, (at % SECOND_NS / 1000) as u32)
        };
        assert!(!stamp.facts(after(0)).is_settled);
        assert!(stamp.facts(after(COARSE_GRAIN_NS + 1_000)).is_settled);
        assert!(!stamp.facts(Calendar::of(0, 0)).is_settled, "a time to come");
        file.write_all(b"2").unwrap();
        assert_ne!(Stamp::look(&file), Ok(stamp));
    }

    #[test]
    fn a_file_that_loses_a_name_keeps_its_content() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let stamp = Stamp::look(file.as_file()).unwrap();
        let (links, changed_ns) = (stamp.links - 1, stamp.changed_ns + 1);
        let removed = Stamp { changed_ns, links, ..stamp };
        assert!(stamp.is_content_of(&stamp) && stamp.is_content_of(&removed));
        for other in [
            Stamp { changed_ns, ..stamp },
            Stamp { links: stamp.links + 1, changed_ns, ..stamp },
            Stamp { modified: (stamp.modified.0, stamp.modified.1 + 1), ..removed },
            Stamp { modified: (stamp.modified.0 + 1, stamp.modified.1), ..removed },
            Stamp { size: stamp.size + 1, ..removed },
            Stamp { inode: stamp.inode + 1, ..removed },
        ] {
            assert!(!stamp.is_content_of(&other), "{other:?}");
        }
        let (file, path) = file.into_parts();
        path.close().unwrap();
        assert!(stamp.is_content_of(&Stamp::look(&file).unwrap()));
    }
}
