//! A document by HTTP: the request to a server or its proxy, and the meaning of the answer.
//!
//! A part of an earlier transfer is resumed one byte before its end, so that a complete part gets
//! an answer too. The request has the validator of its version (If-Range): for another version the
//! server sends the whole document. A partial answer has to name its version, which is checked.

use tracing::{debug, info};

use super::facts::Facts;
use super::said::{Beginning, Cause, Said};
use crate::client::http::{Fed, Head, Proxy, Request, Response, Url};

/// A conversation about a document.
pub(super) struct Document {
    url: Url,
    proxy: Option<Proxy>,
    /// The URL of the user, which has led to this one.
    asked: String,
    earlier: Option<Earlier>,
    response: Response,
    /// Bytes that are still to arrive, by the range of a partial answer.
    left: Option<u64>,
}

/// The part of an earlier transfer.
pub(super) struct Earlier {
    /// The offset at which to resume.
    pub(super) from: u64,
    /// The validator of its version.
    pub(super) validator: String,
}

impl Document {
    pub(super) fn new(
        url: Url,
        proxy: Option<Proxy>,
        asked: String,
        earlier: Option<Earlier>,
    ) -> Self {
        Self { url, proxy, asked, earlier, response: Response::new(), left: None }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    pub(super) fn request(&self) -> String {
        let rest = self.earlier.as_ref().map(|earlier| (earlier.from, earlier.validator.as_str()));
        Request { url: &self.url, proxy: self.proxy.as_ref(), rest }.render()
    }

    pub(super) fn feed<'i>(&mut self, input: &'i [u8]) -> Result<Said<'i>, Cause> {
        match self.response.feed(input)? {
            Fed::More => Ok(Said::More),
            Fed::Head { head, rest } => self.answered(&head, rest),
            Fed::Body { bytes, rest } => {
                if let Some(left) = &mut self.left {
                    let less = left.checked_sub(bytes.len() as u64);
                    *left = less.ok_or("the answer is longer than its Content-Range")?;
                }
                Ok(Said::Store { bytes, rest })
            }
            Fed::End => self.is_whole().map(|()| Said::Commit(None)),
        }
    }

    pub(super) fn eof(&mut self) -> Result<(), Cause> {
        self.response.eof()?;
        self.is_whole()
    }

    fn is_whole(&self) -> Result<(), Cause> {
        match self.left {
            None | Some(0) => Ok(()),
            Some(left) => Err(format!("{left} bytes of the Content-Range did not come").into()),
        }
    }

    /// Evaluates the head of an answer.
    fn answered<'i>(&mut self, head: &Head, rest: &'i [u8]) -> Result<Said<'i>, Cause> {
        debug!(status = head.status, length = head.length, range = ?head.range, "answered");
        if let Some(location) = head.redirect() {
            return Ok(Said::Elsewhere(location.into()));
        }
        let begin = match (head.status, self.rest_of(head), &self.earlier) {
            (206, Some(total), earlier) => {
                let from = earlier.as_ref().map_or(0, |earlier| earlier.from);
                self.left = Some(total - from);
                Beginning { length: Some(total), from, facts: self.facts(head) }
            }
            // Not the requested range, or the document is shorter than the part.
            (206 | 416, _, Some(_)) => return Ok(Said::Again),
            (200..=205 | 207..=299, ..) => {
                Beginning { length: head.length, from: 0, facts: self.facts(head) }
            }
            // Also a partial answer without a request for a part: it must not be taken for the whole.
            _ => {
                let status = format!("{} {}", head.status, head.reason);
                return Err(status.trim_end().into());
            }
        };
        if let Some(coding) = &head.coding {
            info!("the document has the content coding '{coding}', and is written as it comes");
        }
        Ok(Said::Create { begin, rest })
    }

    /// The length of the document, if a partial answer has the whole requested range of the requested
    /// version.
    fn rest_of(&self, head: &Head) -> Option<u64> {
        let range = head.range?;
        let (from, is_it) = match &self.earlier {
            Some(earlier) => (earlier.from, head.version.is(&earlier.validator)),
            None => (0, true),
        };
        let is_rest = range.first == from && range.last == range.total - 1;
        let has_length = head.length.is_none_or(|length| length == range.total - from);
        (is_it && is_rest && has_length).then_some(range.total)
    }

    /// Of a part of the answer.
    fn facts(&self, head: &Head) -> Facts {
        let validator = match (head.status, &self.earlier) {
            (206, Some(earlier)) => Some(earlier.validator.clone()),
            _ => head.version.validator().map(str::to_owned),
        };
        Facts::of_http(&self.asked, validator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of an answer to a request for the rest from byte 4 of version `"v"`: from where
    /// it is written, the length, the validator that is kept, and the bytes.
    fn rest(answer: &str) -> Result<(u64, Option<u64>, Option<String>, String), String> {
        let earlier = Earlier { from: 4, validator: "\"v\"".into() };
        outcome(Some(earlier), answer)
    }

    fn outcome(
        earlier: Option<Earlier>,
        answer: &str,
    ) -> Result<(u64, Option<u64>, Option<String>, String), String> {
        let url = Url::parse("http://h/x").unwrap();
        let mut document = Document::new(url, None, "http://h/x".into(), earlier);
        let (mut input, mut begun, mut body) = (answer.as_bytes(), None, Vec::new());
        loop {
            match document.feed(input).map_err(|error| error.to_string())? {
                Said::More => {
                    document.eof().map_err(|error| error.to_string())?;
                    break;
                }
                Said::Commit(_) => break,
                Said::Create { begin, rest } => (begun, input) = (Some(begin), rest),
                Said::Store { bytes, rest } => {
                    body.extend_from_slice(bytes);
                    input = rest;
                }
                Said::Again => return Err("again".into()),
                Said::Elsewhere(_) => return Err("elsewhere".into()),
            }
        }
        let begun = begun.unwrap();
        let body = String::from_utf8(body).unwrap();
        Ok((begun.from, begun.length, begun.facts.validator, body))
    }

    #[test]
    fn the_rest_is_exactly_what_was_asked_for() {
        let v = || Some("\"v\"".to_owned());
        for (fields, expected) in [
            (
                "Content-Range: bytes 4-7/8\r\nETag: \"v\"\r\nContent-Length: 4\r\n\r\nrest",
                Ok((4, Some(8), v())),
            ),
            ("Content-Range: bytes 4-7/8\r\nETag: \"v\"\r\n\r\nrest", Ok((4, Some(8), v()))),
            (
                "Content-Range: bytes 4-7/8\r\nETag: \"v\"\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nrest\r\n0\r\n\r\n",
                Ok((4, Some(8), v())),
            ),
            // Another version, or an unknown one.
            ("Content-Range: bytes 4-7/8\r\nETag: \"w\"\r\n\r\nrest", Err("again")),
            ("Content-Range: bytes 4-7/8\r\nETag: W/\"v\"\r\n\r\nrest", Err("again")),
            ("Content-Range: bytes 4-7/8\r\n\r\nrest", Err("again")),
            // Other bytes.
            ("ETag: \"v\"\r\n\r\nrest", Err("again")),
            ("Content-Range: bytes 3-6/7\r\nETag: \"v\"\r\n\r\nrest", Err("again")),
            ("Content-Range: bytes 5-8/9\r\nETag: \"v\"\r\n\r\nrest", Err("again")),
            ("Content-Range: bytes 4-7/9\r\nETag: \"v\"\r\n\r\nrest", Err("again")),
            ("Content-Range: bytes 4-7/*\r\nETag: \"v\"\r\n\r\nrest", Err("again")),
            (
                "Content-Range: bytes 4-7/8\r\nETag: \"v\"\r\nContent-Length: 5\r\n\r\nrest!",
                Err("again"),
            ),
            // More or fewer of them.
            (
                "Content-Range: bytes 4-7/8\r\nETag: \"v\"\r\n\r\nres",
                Err("1 bytes of the Content-Range did not come"),
            ),
            (
                "Content-Range: bytes 4-7/8\r\nETag: \"v\"\r\n\r\nrest!",
                Err("the answer is longer than its Content-Range"),
            ),
            (
                "Content-Range: bytes 4-7/8\r\nETag: \"v\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nres\r\n0\r\n\r\n",
                Err("1 bytes of the Content-Range did not come"),
            ),
        ] {
            let found = rest(&format!("HTTP/1.1 206 Partial Content\r\n{fields}"));
            let expected = expected
                .map(|(from, length, validator)| (from, length, validator, "rest".to_owned()))
                .map_err(str::to_owned);
            assert_eq!(found, expected, "{fields}");
        }
    }

    #[test]
    fn another_answer_is_from_the_beginning_or_none() {
        for (answer, expected) in [
            (
                "HTTP/1.1 200 OK\r\nETag: \"w\"\r\nContent-Length: 3\r\n\r\nall",
                Ok((0, Some(3), Some("\"w\"".to_owned()), "all".to_owned())),
            ),
            ("HTTP/1.1 200 OK\r\nETag: W/\"w\"\r\n\r\nall", Ok((0, None, None, "all".to_owned()))),
            ("HTTP/1.1 416 No\r\nContent-Range: bytes */3\r\n\r\n", Err("again".to_owned())),
            ("HTTP/1.1 404 No\r\n\r\n", Err("404 No".to_owned())),
        ] {
            assert_eq!(rest(answer), expected, "{answer}");
        }
    }

    /// Some servers send the whole document as a part.
    #[test]
    fn a_part_without_a_request_for_it_is_all_or_an_error() {
        let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes ";
        let whole = outcome(None, &format!("{part}0-2/3\r\n\r\nall"));
        assert_eq!(whole, Ok((0, Some(3), None, "all".to_owned())));
        for range in ["0-2/4", "1-3/4", "0-2/*", "*/3"] {
            let found = outcome(None, &format!("{part}{range}\r\n\r\nall"));
            assert_eq!(found, Err("206 Partial Content".to_owned()), "{range}");
        }
        assert_eq!(outcome(None, "HTTP/1.1 416 No\r\n\r\n"), Err("416 No".into()));
    }
}
