//! The head of an answer, and the few words behind it if it has no file.

use super::request::{Request, tag_of};
use super::site::Site;
use super::status::Status;
use crate::bytes::cut;
use crate::file::{DigestKind, Extent, Facts};
use crate::text::Text;
use crate::wire::http::{put_date, put_path, put_sha256, type_of};

/// An answer, and how much of it was sent.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Answer {
    pub(super) status: Status,
    /// The moment of the answer, in seconds since 1970.
    pub(super) date: Option<u32>,
    /// The part of the file that the answer is about.
    pub(super) part: Extent,
    /// The size of the whole file.
    pub(super) size: u64,
    pub(super) facts: Facts,
    /// The length of the head and of the words behind it.
    pub(super) head: u64,
    /// Bytes that were sent, of the head and of the part.
    pub(super) sent: u64,
}

impl Answer {
    /// None yet.
    pub(super) const NONE: Self = Self {
        status: Status::Ok,
        date: None,
        part: Extent::NONE,
        size: 0,
        facts: Facts { version: None, modified: None, is_settled: false },
        head: 0,
        sent: 0,
    };

    /// The bytes of the file behind the head.
    pub(super) const fn body(&self, request: &Request) -> Extent {
        let len = if self.status.has_file() && !request.is_head { self.part.len } else { 0 };
        Extent { len, ..self.part }
    }

    /// Writes the head and the words behind it.
    pub(super) fn write(
        &self,
        request: &Request,
        memory: &[u8],
        site: &impl Site,
        text: &mut Text<'_>,
    ) {
        let status = self.status.text(site.phrases());
        text.put(b"HTTP/1.1 ");
        text.put(status);
        let mut has = self.fields(request, site);
        // Where no digests are offered, nothing of them is left in an image.
        let offers_digest = site.digests().contains(DigestKind::Sha256);
        let digest = request.digest(memory).filter(|_| offers_digest);
        has |= u16::from(digest.is_some()) << DIGEST;
        let has_more = site.versions() || site.folders() || offers_digest;
        let more: &[u8] = if has_more { MORE_FIELDS } else { &[] };
        for (mut rest, mut field) in [(FIELDS, DATE), (more, TAG)] {
            while let Some((name, behind)) = cut(b'\n', rest) {
                if has >> field & 1 != 0 {
                    text.put(b"\r\n");
                    text.put(name);
                    match digest {
                        Some(digest) if field == DIGEST => put_sha256(text, digest),
                        _ => self.write_value(field, request, memory, site, text),
                    }
                }
                (rest, field) = (behind, field + 1);
            }
        }
        text.put(b"\r\n\r\n");
        if self.has_words() && !request.is_head {
            text.put(status);
            text.put(b"\n");
        }
    }

    /// Whether there are a few words in place of a file.
    fn has_words(&self) -> bool {
        !self.status.has_file() && self.status != Status::NotModified
    }

    /// The moment of the answer. Where there is no clock, nothing of dates is left in an image.
    fn date(&self, site: &impl Site) -> Option<u32> {
        self.date.filter(|_| site.has_clock())
    }

    /// When the file was modified last. It is told only when no other version can have the same date.
    fn modified(&self, site: &impl Site) -> Option<u32> {
        self.facts.modified.filter(|_| self.facts.is_settled && site.versions())
    }

    /// A bit for each of [`FIELDS`] that the answer has.
    fn fields(&self, request: &Request, site: &impl Site) -> u16 {
        // A client tells versions apart by these.
        const VERSION: u16 = 1 << TAG | 1 << MODIFIED | 1 << CACHE;
        const FILE: u16 = VERSION | 1 << RANGES | 1 << TYPE | 1 << NO_SNIFF | 1 << LENGTH;
        const WORDS: u16 = 1 << NO_SNIFF | 1 << LENGTH | 1 << PLAIN;
        let mut has = 1 << DATE
            | match self.status {
                Status::Ok => FILE,
                Status::PartialContent => FILE | 1 << RANGE,
                Status::NotModified => VERSION,
                Status::RangeNotSatisfiable => WORDS | 1 << RANGE,
                Status::MovedPermanently => WORDS | 1 << LOCATION,
                Status::MethodNotAllowed => WORDS | 1 << ALLOW,
                Status::ServiceUnavailable => WORDS | 1 << RETRY,
                _ => WORDS,
            };
        for (field, is_known) in [
            (DATE, self.date(site).is_some()),
            (TAG, self.facts.version.is_some() && site.versions()),
            (MODIFIED, self.modified(site).is_some()),
            (CACHE, site.cache_control().is_some()),
        ] {
            has &= !(u16::from(!is_known) << field);
        }
        if !request.keeps {
            has |= 1 << CLOSE;
        } else if request.is_http_10 {
            has |= 1 << KEEP_ALIVE;
        }
        has
    }

    /// Writes what is behind the name of a field. As a part of the loop a device would compute all values before it.
    #[inline(never)]
    fn write_value(
        &self,
        field: u8,
        request: &Request,
        memory: &[u8],
        site: &impl Site,
        text: &mut Text<'_>,
    ) {
        match field {
            DATE | MODIFIED => {
                let date = if field == DATE { self.date(site) } else { self.modified(site) };
                if let Some(date) = date {
                    put_date(text, date);
                }
            }
            TAG if site.versions() => {
                if let Some(tag) = tag_of(self.size, &self.facts) {
                    tag.put(text);
                }
            }
            CACHE => text.put(site.cache_control().unwrap_or_default().as_bytes()),
            TYPE => {
                let by_name = || match site.types() {
                    [] => UNKNOWN_TYPE,
                    types => type_of(request.name(memory), types),
                };
                let kind = site.media_type().unwrap_or_else(by_name);
                text.put(kind.as_bytes());
                if kind.starts_with("text/") {
                    text.put(b"; charset=utf-8");
                }
            }
            RANGE => {
                let Extent { offset, len } = self.part;
                if self.status == Status::PartialContent {
                    text.number(offset, 0);
                    text.put(b"-");
                    text.number(offset.saturating_add(len).saturating_sub(1), 0);
                } else {
                    text.put(b"*");
                }
                text.put(b"/");
                text.number(self.size, 0);
            }
            LOCATION if site.folders() => {
                put_path(text, request.name(memory));
                text.put(b"/");
                text.put(request.query(memory));
            }
            LENGTH => {
                let words = self.status.text(site.phrases()).len() as u64;
                let len = if self.has_words() { words.saturating_add(1) } else { self.part.len };
                text.number(len, 0);
            }
            _ => {}
        }
    }
}

/// What every client keeps as it is.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The fields of answers in their order, with what is always their value: those of every site, and those of versions,
/// digests and folders.
const FIELDS: &[u8] = b"Date: \n\
    Cache-Control: \n\
    Accept-Ranges: bytes\n\
    Content-Type: \n\
    Content-Range: bytes \n\
    Allow: GET, HEAD\n\
    Retry-After: 1\n\
    Connection: close\n\
    Connection: keep-alive\n\
    X-Content-Type-Options: nosniff\n\
    Content-Length: \n\
    Content-Type: text/plain; charset=utf-8\n";
const MORE_FIELDS: &[u8] = b"ETag: \n\
    Last-Modified: \n\
    Repr-Digest: \n\
    Location: \n";

const DATE: u8 = 0;
const CACHE: u8 = 1;
const RANGES: u8 = 2;
const TYPE: u8 = 3;
const RANGE: u8 = 4;
const ALLOW: u8 = 5;
const RETRY: u8 = 6;
const CLOSE: u8 = 7;
const KEEP_ALIVE: u8 = 8;
const NO_SNIFF: u8 = 9;
const LENGTH: u8 = 10;
const PLAIN: u8 = 11;
const TAG: u8 = 12;
const MODIFIED: u8 = 13;
const DIGEST: u8 = 14;
const LOCATION: u8 = 15;
