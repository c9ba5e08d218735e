//! Memory that a session gets only when it needs it.

use windlass_core::session::files::REQUEST_MAX;

/// The memory for the name of a file, which a connection gets only when it sends a request.
#[derive(Debug, Default)]
pub(super) struct LazyMemory(Option<Box<[u8; REQUEST_MAX]>>);

impl AsRef<[u8]> for LazyMemory {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |memory| memory)
    }
}

impl AsMut<[u8]> for LazyMemory {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0.get_or_insert_with(|| Box::new([0; REQUEST_MAX]))[..]
    }
}
