//! Memory that a process shares with the children it forks: an anonymous shared mapping (`mmap(2)`).

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::error::{Error, Result};

/// A slice of `T`, which all children that are forked from now on share with this process. Each side may
/// write at any time, so `T` is made of atomics: it has to be `Sync`, and nothing of it is dropped.
#[derive(Debug)]
pub struct Shared<T: Sync> {
    start: NonNull<T>,
    count: usize,
}

// SAFETY: it hands out shared references only, and `T` is `Sync`.
unsafe impl<T: Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T: Sync + Default> Shared<T> {
    /// Maps memory for `count` of them, each with its default value.
    ///
    /// # Errors
    /// `ENOMEM`; `count` is 0, or too many.
    pub fn new(count: usize) -> Result<Self> {
        let this = Self::map(count)?;
        for index in 0..count {
            // SAFETY: the mapping has room for `count` of them and is aligned to a page.
            unsafe { this.start.add(index).write(T::default()) };
        }
        Ok(this)
    }
}

impl Shared<AtomicU64> {
    /// Maps `count` words of 0. Pages that are never written cost no memory.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn zeroed(count: usize) -> Result<Self> {
        Self::map(count)
    }
}

impl<T: Sync> Shared<T> {
    /// Maps zeros, which the caller turns into `count` of them.
    fn map(count: usize) -> Result<Self> {
        const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= 4096) };
        let refuse = |cause: &'static str| Error::new("map shared memory", "", cause);
        let size = count.checked_mul(size_of::<T>()).and_then(NonZeroUsize::new);
        let size = size.ok_or_else(|| refuse("it would be empty, or larger than memory"))?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choosing, touches no other memory.
        let start = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED) }
            .map_err(Error::of("map shared memory", ""))?;
        Ok(Self { start: start.cast::<T>(), count })
    }
}

impl<T: Sync> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `new` wrote `count` of them, or they are words of 0, and the mapping lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T: Sync> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and there is no reference into it any more.
        let _ = unsafe { munmap(self.start.cast(), self.count * size_of::<T>()) };
    }
}

/// Something that becomes true once, for a process and the children that it forks.
#[derive(Debug)]
pub struct Flag(Shared<AtomicBool>);

impl Flag {
    /// It is not set.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        Shared::new(1).map(Self)
    }

    /// From now on it is set.
    pub fn set(&self) {
        self.0[0].store(true, Ordering::Relaxed);
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0[0].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn it_begins_with_defaults_and_keeps_what_is_stored() {
        let shared: Shared<AtomicU64> = Shared::new(1000).unwrap();
        assert_eq!(shared.len(), 1000);
        assert!(shared.iter().all(|it| it.load(Ordering::Relaxed) == 0));
        shared[999].store(7, Ordering::Relaxed);
        assert_eq!(shared[999].load(Ordering::Relaxed), 7);
        let words = Shared::zeroed(1000).unwrap();
        assert!(words.iter().all(|it| it.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn it_has_no_room_for_nothing_or_for_everything() {
        for count in [0, usize::MAX] {
            let error = Shared::<AtomicU64>::new(count).unwrap_err().to_string();
            assert!(error.starts_with("map shared memory"), "{error}");
        }
    }
}
