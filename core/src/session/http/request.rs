//! A request after its head is complete: what it asks for, or why it is refused.

use super::status::Status;
use crate::bytes::{after, find, first, first_mut, is_word, place_of, put};
use crate::file::Facts;
use crate::wire::http::{
    Bad, Body, Fields, Method, Range, RequestLine, Tag, Version, date as date_of, has_token,
    is_host, path, range, reference, wants_sha256,
};

/// Bytes of a SHA-256.
const DIGEST_LEN: usize = 32;

/// How often a file is opened for one request.
const OPENED_MAX: u8 = 4;

/// A request, by places in the memory that has its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Request {
    /// The length of the head.
    len: usize,
    /// Where the lines of its fields begin.
    fields: usize,
    /// The name of the file, decoded.
    name: (usize, usize),
    /// The query with its `?`, or nothing.
    query: (usize, usize),
    /// The digest of the file is behind the head.
    has_digest: bool,
    /// How often the file was opened anew, because it was changed.
    again: u8,
    /// Answers have no content.
    pub(super) is_head: bool,
    pub(super) is_http_10: bool,
    /// The connection goes on behind the answer.
    pub(super) keeps: bool,
    /// The peer may be sending a body, or what is no request.
    pub(super) has_more: bool,
}

/// What the conditions of a request make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send this part, or all.
    Send(Range),
    /// The client has it.
    NotModified,
    /// It is not the version that the client means.
    Failed,
}

impl Request {
    pub(super) const NONE: Self = Self {
        len: 0,
        fields: 0,
        name: (0, 0),
        query: (0, 0),
        has_digest: false,
        again: 0,
        is_head: false,
        is_http_10: false,
        keeps: false,
        has_more: false,
    };

    /// Of a head that is not complete: anything may be behind it.
    pub(super) const UNKNOWN: Self = Self { has_more: true, ..Self::NONE };

    /// Understands the head in the first `len` bytes of `memory`, and decodes the path in its place.
    #[inline(never)]
    pub(super) fn parse(
        &mut self,
        memory: &mut [u8],
        len: usize,
        dot_files: bool,
    ) -> Result<(), Status> {
        *self = Self { len, ..Self::UNKNOWN };
        let head = first(memory, len);
        let end = find(b'\n', head).unwrap_or_default();
        self.fields = end.saturating_add(1);
        let line = RequestLine::parse(first(head, end.saturating_sub(1))).map_err(status)?;
        self.is_head = line.method == Method::Head;
        self.is_http_10 = line.version.map_err(status)? == Version::Http10;
        let (mut hosts, mut is_valid) = (0_u8, true);
        let (mut closes, mut keeps_alive) = (false, false);
        let mut fields = Fields::new(after(head, self.fields));
        let body = Body::of(fields.clone(), self.is_http_10).map_err(status)?;
        while let Some(Ok((name, value))) = fields.next() {
            if is_word(name, b"host") {
                hosts = hosts.saturating_add(1);
                is_valid &= is_host(value);
            } else if is_word(name, b"connection") {
                closes |= has_token(value, b"close");
                keeps_alive |= has_token(value, b"keep-alive");
            }
        }
        if !is_valid || hosts > 1 || (hosts == 0 && !self.is_http_10) {
            return Err(Status::BadRequest);
        }
        // What is behind this head is a request, unless the head says otherwise.
        self.has_more = body == Body::Follows || line.method == Method::Connect;
        self.keeps = !self.has_more && !closes && (!self.is_http_10 || keeps_alive);
        match line.method {
            Method::Get | Method::Head if body == Body::Follows => {
                return Err(Status::ContentTooLarge);
            }
            Method::Get | Method::Head => {}
            Method::Connect | Method::Other => return Err(Status::MethodNotAllowed),
            Method::Unknown => return Err(Status::NotImplemented),
        }
        let target = line.target.len();
        let (begin, end) = reference(line.target).map_err(status)?;
        let at = find(b' ', head).unwrap_or_default().saturating_add(1);
        let (begin, end, target) =
            (at.saturating_add(begin), at.saturating_add(end), at.saturating_add(target));
        self.query = (end, target);
        let raw = first_mut(memory.get_mut(begin..).unwrap_or_default(), end.saturating_sub(begin));
        let path = path(raw).map_err(status)?;
        self.name = (begin, begin.saturating_add(path.len));
        if path.is_hidden && !dot_files { Err(Status::NotFound) } else { Ok(()) }
    }

    /// The file was changed. Whether it is to be opened anew.
    pub(super) fn opens_again(&mut self) -> bool {
        self.has_digest = false;
        self.again = self.again.saturating_add(1);
        self.again < OPENED_MAX
    }

    /// Whether there was a request.
    pub(super) const fn is_one(&self) -> bool {
        self.len > 0
    }

    /// The name of the file.
    pub(super) fn name<'m>(&self, memory: &'m [u8]) -> &'m [u8] {
        memory.get(self.name.0..self.name.1).unwrap_or_default()
    }

    /// The query with its `?`, or nothing.
    pub(super) fn query<'m>(&self, memory: &'m [u8]) -> &'m [u8] {
        memory.get(self.query.0..self.query.1).unwrap_or_default()
    }

    /// Whether the digest of the file is asked for, and there is room for it.
    pub(super) fn wants_digest(&self, memory: &[u8]) -> bool {
        let mut wants = false;
        let mut fields = self.all_fields(memory);
        while let Some(Ok((name, value))) = fields.next() {
            if is_word(name, b"want-repr-digest") {
                wants = wants_sha256(value).unwrap_or(wants);
            }
        }
        wants && memory.len() >= self.len.saturating_add(DIGEST_LEN)
    }

    /// Keeps the digest of the file behind the head, so that a session has no room of its own for one.
    pub(super) fn keep_digest(&mut self, memory: &mut [u8], digest: &[u8; DIGEST_LEN]) {
        put(memory, self.len, digest);
        self.has_digest = true;
    }

    /// The digest of the file.
    pub(super) fn digest<'m>(&self, memory: &'m [u8]) -> Option<&'m [u8]> {
        let behind = after(memory, self.len);
        self.has_digest.then(|| first(behind, DIGEST_LEN))
    }

    /// The fields of the head, which is complete.
    fn all_fields<'m>(&self, memory: &'m [u8]) -> Fields<'m> {
        Fields::new(after(first(memory, self.len), self.fields))
    }

    /// The value of a field.
    pub(super) fn field<'m>(&self, memory: &'m [u8], name: &[u8]) -> Option<&'m [u8]> {
        let mut fields = self.all_fields(memory).map_while(Result::ok);
        fields.find(|(it, _)| is_word(it, name)).map(|(_, value)| value)
    }

    /// Weighs the conditions in the order of RFC 9110, 13.2.2.
    pub(super) fn weigh(&self, memory: &[u8], size: u64, facts: &Facts) -> Verdict {
        let tag = tag_of(size, facts);
        let conditions = Conditions::of(self.all_fields(memory), tag.as_ref());
        let unchanged_since = |date: Option<&[u8]>| {
            let modified = facts.modified.filter(|_| facts.is_settled);
            let since = date.and_then(date_of)?;
            Some(modified.is_some_and(|modified| modified <= since))
        };
        let [unmodified, modified, range_of, asked] = conditions.values;
        let [is_matched, is_known] = conditions.lists;
        if is_matched.or_else(|| unchanged_since(unmodified)) == Some(false) {
            return Verdict::Failed;
        }
        if is_known.or_else(|| unchanged_since(modified)) == Some(true) {
            return Verdict::NotModified;
        }
        // A date does not tell two versions of one second apart, and a client that got a date got a tag too.
        let is_same = range_of.is_none_or(|of| tag.is_some_and(|tag| tag.is_strongly(of)));
        self.part(asked.filter(|_| is_same), size)
    }

    /// The same for a file of which no version is told: none that a client knows can be the one that is there.
    pub(super) fn weigh_alone(&self, memory: &[u8], size: u64) -> Verdict {
        let (mut asked, mut is_same) = (None, true);
        let mut fields = self.all_fields(memory);
        while let Some(Ok((name, value))) = fields.next() {
            match place_of(name, b"if-match\nif-none-match\nif-range\nrange\n") {
                Some(0) if value != b"*" => return Verdict::Failed,
                Some(1) if value == b"*" => return Verdict::NotModified,
                Some(2) => is_same = false,
                Some(3) => asked = Some(if asked.is_none() { value } else { b"" }),
                _ => {}
            }
        }
        self.part(asked.filter(|_| is_same), size)
    }

    /// The part that is sent.
    fn part(&self, asked: Option<&[u8]>, size: u64) -> Verdict {
        Verdict::Send(match asked.filter(|_| !self.is_head) {
            Some(asked) => range(asked, size),
            None => Range::Whole,
        })
    }
}

/// The fields of a request that are about the version of the file.
#[derive(Default)]
struct Conditions<'m> {
    /// Whether the version is in `If-Match` and in `If-None-Match`.
    lists: [Option<bool>; 2],
    /// `If-Unmodified-Since`, `If-Modified-Since`, `If-Range`, `Range`. One that is there twice says nothing.
    values: [Option<&'m [u8]>; 4],
}

impl<'m> Conditions<'m> {
    fn of(mut fields: Fields<'m>, tag: Option<&Tag>) -> Self {
        const NAMES: &[u8] =
            b"if-unmodified-since\nif-modified-since\nif-range\nrange\nif-match\nif-none-match\n";
        let mut found = Self::default();
        while let Some(Ok((name, value))) = fields.next() {
            let Some(place) = place_of(name, NAMES) else { continue };
            if let Some(slot) = found.values.get_mut(place) {
                *slot = Some(if slot.is_none() { value } else { b"" });
            } else if let Some(list) = found.lists.get_mut(place - 4) {
                let is_in = value == b"*" || tag.is_some_and(|tag| tag.is_in(value, place > 4));
                *list = Some(is_in || *list == Some(true));
            }
        }
        found
    }
}

/// The tag of a file's version.
pub(super) fn tag_of(size: u64, facts: &Facts) -> Option<Tag> {
    let [change, file] = facts.version?;
    Some(Tag { parts: [change, file, size], is_weak: !facts.is_settled })
}

const fn status(bad: Bad) -> Status {
    match bad {
        Bad::Syntax => Status::BadRequest,
        Bad::Version => Status::VersionNotSupported,
        Bad::Coding => Status::NotImplemented,
        Bad::Path => Status::NotFound,
    }
}
