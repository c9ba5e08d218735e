//! What tells one version of a file from another.

/// What storage knows about the version of the file that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Facts {
    /// Two numbers that no other version of this name has: the time of the last change and the inode on
    /// Linux, a CRC-32 and an image's number on a device. `None`: versions cannot be told apart.
    pub version: Option<[u64; 2]>,
    /// When the content was modified last, in seconds since 1970, if that is known.
    pub modified: Option<u32>,
    /// A change from now on will change the other facts. A file that was changed a moment ago can change
    /// again within the same tick of the clock.
    pub is_settled: bool,
}
