//! What the program around a server of HTTP decides, and the memory that it lends.

use crate::file::Digests;
use crate::time::Instant;

/// What a server says beside the content of its files. Every answer of it holds for all connections, so
/// one value, or a reference to it, serves all.
pub trait Site {
    /// Seconds since 1970, for the field `Date`. `None`: there is no clock.
    fn unix_time(&self, _now: Instant) -> Option<u32> {
        None
    }

    /// Whether there is a clock. It is asked for each field of an answer: a site that makes a call for its time says
    /// so without one.
    fn has_clock(&self) -> bool {
        self.unix_time(Instant::ZERO).is_some()
    }

    /// The media types of files by the ends of their names, such as
    /// [`TYPES`](crate::wire::http::TYPES).
    fn types(&self) -> &[(&'static str, &'static str)] {
        &[]
    }

    /// The media type of what is sent next, if its name does not tell it.
    fn media_type(&self) -> Option<&str> {
        None
    }

    /// The value of the field `Cache-Control`.
    fn cache_control(&self) -> Option<&str> {
        None
    }

    /// Whether names that begin with a dot are served. `.well-known` is in any case.
    fn dot_files(&self) -> bool {
        false
    }

    /// Whether files have versions: entity tags, dates of change, and conditions about them. Without versions a
    /// client has what is there when it asks, and the shell is not asked for a version.
    fn versions(&self) -> bool {
        true
    }

    /// Whether there are folders. The name of one without its slash is redirected.
    fn folders(&self) -> bool {
        true
    }

    /// Whether a status has its phrase, such as `Not Found`, and not its number alone.
    fn phrases(&self) -> bool {
        true
    }

    /// A request came: its head, or as much of it as there is if it is refused before its end.
    fn asked(&self, _head: &[u8]) {}

    /// An answer was sent: its status, such as `200 OK`, and its length in bytes.
    fn answered(&self, _now: Instant, _status: &[u8], _sent: u64) {}

    /// Whether the answer that begins is the last of its connection, whatever the client asked for: a server
    /// that stops says so instead of closing connections with a request on its way.
    fn closes(&self) -> bool {
        false
    }

    /// The kinds of digest that the shell computes for a client that asks for one: SHA-256, if any.
    fn digests(&self) -> Digests {
        Digests::NONE
    }
}

/// Media types are unknown, and there is no clock.
impl Site for () {}

impl<S: Site + ?Sized> Site for &S {
    fn unix_time(&self, now: Instant) -> Option<u32> {
        (**self).unix_time(now)
    }

    fn has_clock(&self) -> bool {
        (**self).has_clock()
    }

    fn types(&self) -> &[(&'static str, &'static str)] {
        (**self).types()
    }

    fn media_type(&self) -> Option<&str> {
        (**self).media_type()
    }

    fn cache_control(&self) -> Option<&str> {
        (**self).cache_control()
    }

    fn dot_files(&self) -> bool {
        (**self).dot_files()
    }

    fn versions(&self) -> bool {
        (**self).versions()
    }

    fn folders(&self) -> bool {
        (**self).folders()
    }

    fn phrases(&self) -> bool {
        (**self).phrases()
    }

    fn asked(&self, head: &[u8]) {
        (**self).asked(head);
    }

    fn answered(&self, now: Instant, status: &[u8], sent: u64) {
        (**self).answered(now, status, sent);
    }

    fn closes(&self) -> bool {
        (**self).closes()
    }

    fn digests(&self) -> Digests {
        (**self).digests()
    }
}

/// The memory for the head of a request.
pub trait Lent: AsRef<[u8]> + AsMut<[u8]> {
    /// No request is in it from now on. A shell with many idle connections takes it back until
    /// the next call of `as_mut`.
    fn give_back(&mut self) {}
}

impl<const N: usize> Lent for [u8; N] {}

impl Lent for &mut [u8] {}
