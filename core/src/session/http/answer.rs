//! The head of an answer, and the few words behind it if it has no file.

use super::request::{Request, tag_of};
use super::site::Site;
use super::status::Status;
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
        let status = self.status;
        text.put(b"HTTP/1.1 ");
        text.put(status.text().as_bytes());
        if let Some(date) = self.date {
            text.put(b"\r\nDate: ");
            put_date(text, date);
        }
        if status.has_file() || status == Status::NotModified {
            self.write_version(site, text);
        }
        if status.has_file() {
            let kind = type_of(request.name(memory), site.types());
            text.put(b"\r\nAccept-Ranges: bytes\r\nContent-Type: ");
            text.put(kind.as_bytes());
            if kind.starts_with("text/") {
                text.put(b"; charset=utf-8");
            }
        }
        if site.digests().contains(DigestKind::Sha256)
            && let Some(digest) = request.digest(memory)
        {
            text.put(b"\r\nRepr-Digest: ");
            put_sha256(text, digest);
        }
        if matches!(status, Status::PartialContent | Status::RangeNotSatisfiable) {
            text.put(b"\r\nContent-Range: bytes ");
            if status == Status::PartialContent {
                text.number(self.part.offset, 0);
                text.put(b"-");
                text.number(self.part.offset.saturating_add(self.part.len).saturating_sub(1), 0);
            } else {
                text.put(b"*");
            }
            text.put(b"/");
            text.number(self.size, 0);
        }
        match status {
            Status::MovedPermanently => {
                text.put(b"\r\nLocation: ");
                put_path(text, request.name(memory));
                text.put(b"/");
                text.put(request.query(memory));
            }
            Status::MethodNotAllowed => text.put(b"\r\nAllow: GET, HEAD"),
            Status::ServiceUnavailable => text.put(b"\r\nRetry-After: 1"),
            _ => {}
        }
        if !request.keeps {
            text.put(b"\r\nConnection: close");
        } else if request.is_http_10 {
            text.put(b"\r\nConnection: keep-alive");
        }
        if status != Status::NotModified {
            text.put(b"\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ");
            if status.has_file() {
                text.number(self.part.len, 0);
            } else {
                text.number((status.text().len() as u64).saturating_add(1), 0);
                text.put(b"\r\nContent-Type: text/plain; charset=utf-8");
            }
        }
        text.put(b"\r\n\r\n");
        if !status.has_file() && status != Status::NotModified && !request.is_head {
            text.put(status.text().as_bytes());
            text.put(b"\n");
        }
    }

    /// The fields by which a client tells versions apart. A date is told only when no other version can
    /// have it.
    fn write_version(&self, site: &impl Site, text: &mut Text<'_>) {
        if let Some(tag) = tag_of(self.size, &self.facts) {
            text.put(b"\r\nETag: ");
            tag.put(text);
        }
        if let Some(modified) = self.facts.modified.filter(|_| self.facts.is_settled) {
            text.put(b"\r\nLast-Modified: ");
            put_date(text, modified);
        }
        if let Some(control) = site.cache_control() {
            text.put(b"\r\nCache-Control: ");
            text.put(control.as_bytes());
        }
    }
}
