//! What is said on a connection, whatever the protocol: a request, and an answer that is taken apart
//! as it comes.

use tracing::{debug, info};
use windlass_core::fault::Peer;
use windlass_core::file::{Digest, DigestKind};
use windlass_core::session::files::{
    Answered, Options, REQUEST_MAX, ReceiveStep, Receiver, Request,
};

use crate::client::files::FilesUrl;
use crate::client::http::{self, Response, Url};
use crate::printable::words;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A conversation with a server.
pub(super) enum Dialogue {
    Http { url: Url, response: Response },
    Files { url: FilesUrl, options: Options, receiver: Receiver<Box<[u8]>> },
}

/// What a server said.
pub(super) enum Said<'i> {
    /// Nothing more so far.
    More,
    /// The document follows.
    Begin { begin: Beginning, rest: &'i [u8] },
    /// It is there.
    Elsewhere(Box<[u8]>),
    /// Some of it.
    Body { bytes: &'i [u8], rest: &'i [u8] },
    /// It is whole, and this is the digest of it.
    End(Option<Digest>),
}

/// What follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    /// Bytes of the whole document, if that is known.
    pub(super) length: Option<u64>,
    /// The first byte that comes.
    pub(super) from: u64,
}

/// Bytes of a frame that are asked for: each of them is sent by `sendfile(2)`.
const FRAME: u32 = 16 * 1024 * 1024;

impl Dialogue {
    /// Asks for a document.
    pub(super) fn http(url: &Url) -> Self {
        Self::Http { url: url.clone(), response: Response::new() }
    }

    /// Asks for a file; with `had`, for what is behind so many bytes of it, if their digest is that. With
    /// `verify`, for the digest of it too.
    pub(super) fn files(url: &FilesUrl, had: Option<(u64, Digest)>, verify: bool) -> Self {
        let options = Options {
            frame: Some(FRAME),
            offset: had.map(|(offset, _)| offset),
            prefix: had.map(|(_, digest)| digest),
            digest: verify.then_some(DigestKind::Blake3),
            size: None,
        };
        Self::Files {
            url: url.clone(),
            options,
            receiver: Receiver::new(vec![0; REQUEST_MAX].into()),
        }
    }

    /// What is sent first.
    pub(super) fn request(&self) -> Result<Vec<u8>, Cause> {
        match self {
            Self::Http { url, .. } => Ok(http::get(url).into_bytes()),
            // It sends unasked.
            Self::Files { url, .. } if url.name().is_empty() => Ok(Vec::new()),
            Self::Files { url, options, .. } => {
                let mut wire = vec![0; Request::WIRE_MAX];
                let len = Request { name: url.name(), options: *options }.render(&mut wire)?;
                wire.truncate(len);
                Ok(wire)
            }
        }
    }

    /// Takes input up to the next thing that was said.
    pub(super) fn feed<'i>(&mut self, input: &'i [u8]) -> Result<Said<'i>, Cause> {
        match self {
            Self::Http { response, .. } => Ok(match response.feed(input)? {
                http::Fed::More => Said::More,
                http::Fed::End => Said::End(None),
                http::Fed::Body { bytes, rest } => Said::Body { bytes, rest },
                http::Fed::Head { head, rest } => answered(&head, rest)?,
            }),
            Self::Files { url, options, receiver } => Ok(match receiver.feed(input)? {
                ReceiveStep::More => Said::More,
                ReceiveStep::Answered { answer, rest } => {
                    Said::Begin { begin: begin(&answer, url.name(), options)?, rest }
                }
                ReceiveStep::Refused(why) => {
                    let why = words(why);
                    return Err(format!("the server refused: {why}").into());
                }
                ReceiveStep::Body { bytes, rest } => Said::Body { bytes, rest },
                ReceiveStep::End { digest, .. } => Said::End(digest),
            }),
        }
    }

    /// The server sends no more. Whether the document is whole.
    pub(super) fn eof(&mut self) -> Result<(), Cause> {
        match self {
            Self::Http { response, .. } => Ok(response.eof()?),
            Self::Files { receiver, .. } => Ok(receiver.finish()?),
        }
    }
}

/// What the head of an answer says.
fn answered<'i>(head: &http::Head, rest: &'i [u8]) -> Result<Said<'i>, Cause> {
    debug!(status = head.status, length = head.length, "answered");
    if let Some(location) = head.redirect() {
        return Ok(Said::Elsewhere(location.into()));
    }
    // A part of a document (206) was not asked for, and must not pass for all of it.
    if !matches!(head.status, 200..=205 | 207..=299) {
        let status = format!("{} {}", head.status, head.reason);
        return Err(status.trim_end().into());
    }
    if let Some(coding) = &head.coding {
        info!("the document has the content coding '{coding}', and is written as it comes");
    }
    Ok(Said::Begin { begin: Beginning { length: head.length, from: 0 }, rest })
}

/// What a server does of what was asked.
fn begin(answer: &Answered<'_>, name: &[u8], asked: &Options) -> Result<Beginning, Cause> {
    if !name.is_empty() && answer.name != name {
        let other = words(answer.name);
        return Err(format!("the server sends another file: {other}").into());
    }
    let Options { size, offset, digest, .. } = answer.options;
    debug!(size, offset, digest = digest.is_some(), "answered");
    let from = offset.unwrap_or(0);
    if from != 0 && Some(from) != asked.offset {
        return Err(Peer::Malformed.into());
    }
    if asked.digest.is_some() && asked.digest != digest {
        return Err("the server does not say what the digest is: it cannot be verified".into());
    }
    Ok(Beginning { length: size, from })
}
