//! The dialogue on a connection, for any protocol: a request, and an answer that is parsed
//! as it arrives.

use tracing::debug;
use windlass_core::fault::{Peer, StorageFault};
use windlass_core::file::{Answer, Digest, DigestKind, FileUser, Head, Op};
use windlass_core::session::Session;
use windlass_core::session::files::{FilesClient, Options, REQUEST_MAX, Request};
use windlass_core::want::Close;

use super::document::Document;
use super::facts::Facts;
use super::said::{Beginning, Cause, Said};
use crate::addr::HostPort;
use crate::client::file_url::FileUrl;
use crate::client::http::Proxy;
use crate::printable::words;
use crate::sys::clock;

/// A conversation with a server.
pub(super) enum Dialogue {
    Http(Document),
    Files { url: FileUrl, options: Options, client: FilesClient<'static, Box<[u8]>> },
}

/// The requested size of frames in bytes: the server sends each by `sendfile(2)`.
const FRAME: u32 = 16 * 1024 * 1024;

impl Dialogue {
    /// Requests a file; with `had`, the bytes behind this offset, if the digest of the bytes before
    /// agrees. With `verify`, also its digest.
    pub(super) fn files(url: &FileUrl, had: Option<(u64, Digest)>, verify: bool) -> Self {
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
            client: FilesClient::new(&[], vec![0; REQUEST_MAX].into()),
        }
    }

    /// The host and port to connect to.
    pub(super) fn server(&self) -> &HostPort {
        match self {
            Self::Http(document) => document.proxy().map_or(document.url().server(), Proxy::server),
            Self::Files { url, .. } => url.server(),
        }
    }

    /// The variable that names this server, if it is not that of the user's URL.
    pub(super) fn variable(&self) -> Option<&'static str> {
        match self {
            Self::Http(document) => document.proxy().map(Proxy::variable),
            Self::Files { .. } => None,
        }
    }

    /// The request.
    pub(super) fn request(&self) -> Result<Vec<u8>, Cause> {
        match self {
            Self::Http(document) => Ok(document.request().into_bytes()),
            // It sends without a request.
            Self::Files { url, .. } if url.name().is_empty() => Ok(Vec::new()),
            Self::Files { url, options, .. } => {
                let mut wire = vec![0; Request::WIRE_MAX];
                let len = Request { name: url.name(), options: *options }.render(&mut wire)?;
                wire.truncate(len);
                Ok(wire)
            }
        }
    }

    /// Takes input up to the next part of the answer. Do the operation of that part, and
    /// [answer](Self::answer) it, before you feed more.
    pub(super) fn feed<'i>(&mut self, input: &'i [u8]) -> Result<Said<'i>, Cause> {
        let (url, options, client) = match self {
            Self::Http(document) => return document.feed(input),
            Self::Files { url, options, client } => (url, options, client),
        };
        let rest = client.receive(input);
        match client.op() {
            Some(Op::Create(head)) => Ok(Said::Create { begin: begin(&head, url, options)?, rest }),
            Some(Op::Store(extent)) => {
                let len = usize::try_from(extent.len).unwrap_or(usize::MAX).min(rest.len());
                let (bytes, rest) = rest.split_at(len);
                Ok(Said::Store { bytes, rest })
            }
            Some(Op::Commit(digest)) => Ok(Said::Commit(digest.map(Digest::copied))),
            // Only a sender has these operations.
            Some(
                Op::Open(_)
                | Op::Examine
                | Op::Read { .. }
                | Op::Digest { .. }
                | Op::FinishDigest(_)
                | Op::Close,
            ) => Err(StorageFault::Unsupported.into()),
            None => over(client).map(|()| Said::More),
        }
    }

    /// Takes the answer to an operation.
    pub(super) fn answer(&mut self, answer: Answer) {
        match self {
            // Its bytes are consumed already: it does not wait for an answer.
            Self::Http(_) => {}
            Self::Files { client, .. } => client.answer(clock::now(), answer),
        }
    }

    /// The server sends no more. Returns whether the document is complete.
    pub(super) fn eof(&mut self) -> Result<(), Cause> {
        match self {
            Self::Http(document) => document.eof(),
            Self::Files { client, .. } => {
                client.eof(clock::now());
                over(client)
            }
        }
    }
}

/// The error with which a client ended, if there is one.
fn over(client: &FilesClient<'_, Box<[u8]>>) -> Result<(), Cause> {
    if let Some(why) = client.reason() {
        return Err(format!("the server refused: {}", words(why)).into());
    }
    match client.want().close {
        Close::Done(Err(fault)) => Err(fault.into()),
        Close::Done(Ok(())) | Close::WriteHalf | Close::Open => Ok(()),
    }
}

/// The options that the server granted.
fn begin(head: &Head<'_>, url: &FileUrl, asked: &Options) -> Result<Beginning, Cause> {
    let name = url.name();
    if !name.is_empty() && head.name != name {
        let other = words(head.name);
        return Err(format!("the server sends another file: {other}").into());
    }
    let &Head { size, offset, digest, .. } = head;
    debug!(size, offset, digest = digest.is_some(), "answered");
    if offset != 0 && Some(offset) != asked.offset {
        return Err(Peer::Malformed.into());
    }
    if asked.digest.is_some() && asked.digest != digest {
        return Err("the server does not say what the digest is: it cannot be verified".into());
    }
    Ok(Beginning { length: size, from: offset, facts: Facts::of_file(url) })
}
