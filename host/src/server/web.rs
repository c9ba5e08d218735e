//! `http`: what all sessions of a listener share, and the memory for their requests.

use std::cell::RefCell;
use std::sync::Arc;

use windlass_core::file::Digests;
use windlass_core::session::HttpServer;
use windlass_core::session::http::{Lent, Site};
use windlass_core::time::Instant;
use windlass_core::wire::http::TYPES;

use crate::digest::OFFERED;
use crate::drive::{answered, asked};
use crate::sys::clock;
use crate::sys::root::Pages;
use crate::sys::shared::Flag;

/// What a site of `http` serves beside plain files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Web {
    /// A folder without `index.html` is a list of its names.
    pub index: bool,
    /// Names that begin with a dot are served.
    pub dotfiles: bool,
    /// The field `Cache-Control` of every file.
    pub cache_control: Option<String>,
}

impl Web {
    /// What a root needs to know of it.
    pub(super) fn pages(&self) -> Pages {
        Pages { lists: self.index, dot_files: self.dotfiles }
    }

    /// A session of it.
    pub(super) fn session(self: &Arc<Self>, ending: &Ending) -> HttpServer<Head, Shared> {
        let shared = Shared { web: Arc::clone(self), ending: ending.clone() };
        HttpServer::new(Head::default(), shared)
    }
}

/// When an answer says that its connection ends behind it.
#[derive(Debug, Clone, Default)]
pub enum Ending {
    /// If the client asked for that.
    #[default]
    Asked,
    /// Always.
    Always,
    /// Once this is set, in all processes of the server.
    Once(Arc<Flag>),
}

/// A site, as each of its sessions has it.
#[derive(Debug)]
pub(super) struct Shared {
    web: Arc<Web>,
    ending: Ending,
}

impl Site for Shared {
    fn asked(&self, head: &[u8]) {
        let end = memchr::memchr(b'\r', head).unwrap_or(head.len());
        asked(&head[..end]);
    }

    fn answered(&self, now: Instant, status: &[u8], sent: u64) {
        answered(now, &status[..status.len().min(3)], sent);
    }

    fn closes(&self) -> bool {
        match &self.ending {
            Ending::Asked => false,
            Ending::Always => true,
            Ending::Once(flag) => flag.is_set(),
        }
    }

    fn unix_time(&self, _: Instant) -> Option<u32> {
        u32::try_from(clock::stamp().0).ok()
    }

    fn has_clock(&self) -> bool {
        true
    }

    fn types(&self) -> &[(&'static str, &'static str)] {
        TYPES
    }

    fn cache_control(&self) -> Option<&str> {
        self.web.cache_control.as_deref()
    }

    fn dot_files(&self) -> bool {
        self.web.dotfiles
    }

    fn digests(&self) -> Digests {
        OFFERED
    }
}

/// The longest head of a request, in bytes.
const HEAD_MAX: usize = 8192;

/// The largest number of spare memories of a thread: 8 MiB, for as many downloads at the same time.
const SPARE_MAX: usize = 1024;

/// The memory for the head of a request, which a connection has only while it has a request.
#[derive(Debug, Default)]
pub(super) struct Head(Option<Box<[u8; HEAD_MAX]>>);

thread_local! {
    /// Memory for the next requests, so that none of them costs an allocation.
    static SPARE: RefCell<Vec<Box<[u8; HEAD_MAX]>>> = const { RefCell::new(Vec::new()) };
}

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |memory| memory)
    }
}

impl AsMut<[u8]> for Head {
    fn as_mut(&mut self) -> &mut [u8] {
        let spare = || SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        &mut self.0.get_or_insert_with(|| spare().unwrap_or_else(|| Box::new([0; HEAD_MAX])))[..]
    }
}

impl Lent for Head {
    fn give_back(&mut self) {
        let Some(memory) = self.0.take() else { return };
        // At the end of a thread there is no place for it any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(memory);
            }
        });
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_has_no_memory_and_the_next_request_gets_what_was_given_back() {
        let mut one = Head::default();
        assert!(one.as_ref().is_empty());
        let place = one.as_mut().as_ptr();
        one.give_back();
        assert!(one.as_ref().is_empty());
        let mut two = Head::default();
        assert_eq!(two.as_mut().as_ptr(), place);
        drop(two);
        assert_eq!(one.as_mut().as_ptr(), place);
    }
}
