//! What is said on a connection, whatever the protocol: a request, and an answer that is taken apart
//! as it comes.

use tracing::debug;
use windlass_core::fault::Peer;
use windlass_core::file::{Digest, DigestKind};
use windlass_core::session::files::{
    Answered, Options, REQUEST_MAX, ReceiveStep, Receiver, Request,
};

use super::document::Document;
use super::facts::Facts;
use crate::addr::HostPort;
use crate::client::files::FilesUrl;
use crate::client::http::Proxy;
use crate::printable::words;

pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A conversation with a server.
pub(super) enum Dialogue {
    Http(Document),
    Files { url: FilesUrl, options: Options, receiver: Receiver<Box<[u8]>> },
}

/// What a server said.
pub(super) enum Said<'i> {
    /// Nothing more so far.
    More,
    /// The document follows.
    Begin { begin: Beginning, rest: &'i [u8] },
    /// It has not the rest that was asked for: it is to be asked for all.
    Again,
    /// It is there.
    Elsewhere(Box<[u8]>),
    /// Some of it.
    Body { bytes: &'i [u8], rest: &'i [u8] },
    /// It is whole, and this is the digest of it.
    End(Option<Digest>),
}

/// What follows.
#[derive(Debug)]
pub(super) struct Beginning {
    /// Bytes of the whole document, if that is known.
    pub(super) length: Option<u64>,
    /// The first byte that comes.
    pub(super) from: u64,
    /// Of the part that is written.
    pub(super) facts: Facts,
}

/// Bytes of a frame that are asked for: each of them is sent by `sendfile(2)`.
const FRAME: u32 = 16 * 1024 * 1024;

impl Dialogue {
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

    /// Where to connect.
    pub(super) fn server(&self) -> &HostPort {
        match self {
            Self::Http(document) => document.proxy().map_or(document.url().server(), Proxy::server),
            Self::Files { url, .. } => url.server(),
        }
    }

    /// The variable that says to connect there, if the user's URL does not.
    pub(super) fn variable(&self) -> Option<&'static str> {
        match self {
            Self::Http(document) => document.proxy().map(Proxy::variable),
            Self::Files { .. } => None,
        }
    }

    /// What is sent first.
    pub(super) fn request(&self) -> Result<Vec<u8>, Cause> {
        match self {
            Self::Http(document) => Ok(document.request().into_bytes()),
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
            Self::Http(document) => document.feed(input),
            Self::Files { url, options, receiver } => Ok(match receiver.feed(input)? {
                ReceiveStep::More => Said::More,
                ReceiveStep::Answered { answer, rest } => {
                    Said::Begin { begin: begin(&answer, url, options)?, rest }
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
            Self::Http(document) => document.eof(),
            Self::Files { receiver, .. } => Ok(receiver.finish()?),
        }
    }
}

/// What a server does of what was asked.
fn begin(answer: &Answered<'_>, url: &FilesUrl, asked: &Options) -> Result<Beginning, Cause> {
    let name = url.name();
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
    Ok(Beginning { length: size, from, facts: Facts::of_files(url) })
}
