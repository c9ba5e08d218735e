//! The `files` service as a client sees it, which has the whole answer.

use windlass_core::file::{Answer, Digest, FileUser, Op};
use windlass_core::session::files::{FilesClient, Options, REQUEST_MAX, Request};
use windlass_core::time::Instant;

/// A request as it travels.
#[track_caller]
pub fn request(name: &[u8], options: Options) -> Vec<u8> {
    let mut wire = vec![0; Request::WIRE_MAX];
    let len = Request { name, options }.render(&mut wire).expect("a good name");
    wire.truncate(len);
    wire
}

/// What a server has sent.
#[derive(Debug, Default)]
pub struct Download {
    /// The name of the file, as the server says it.
    pub name: Vec<u8>,
    /// The name and the options, in the bytes of the server.
    pub answer: Vec<u8>,
    /// The size of the file, if the server says it.
    pub size: Option<u64>,
    /// The bytes that came.
    pub file: Vec<u8>,
    /// The server's digest of the file.
    pub digest: Option<Digest>,
    /// Why the file is refused.
    pub refused: Option<String>,
    /// The file is complete.
    pub whole: bool,
}

impl Download {
    /// Takes the stream of a server apart.
    #[track_caller]
    pub fn of(mut stream: &[u8]) -> Self {
        let (mut client, mut got) = (FilesClient::new(&[], [0; REQUEST_MAX]), Self::default());
        if let Some((header, rest)) = stream.split_first_chunk() {
            let len = u32::from_be_bytes(*header) as usize;
            got.answer = rest.get(..len).unwrap_or_default().to_vec();
        }
        loop {
            stream = client.receive(stream);
            let answer = match client.op() {
                Some(Op::Create(head)) => {
                    (got.name, got.size) = (head.name.to_vec(), head.size);
                    Answer::Done
                }
                Some(Op::Store(extent)) => {
                    let len = usize::try_from(extent.len).expect("it is in memory");
                    let (bytes, rest) = stream.split_at(len);
                    got.file.extend_from_slice(bytes);
                    stream = rest;
                    Answer::Kept(len)
                }
                Some(Op::Commit(digest)) => {
                    (got.digest, got.whole) = (digest.map(Digest::copied), true);
                    assert!(stream.is_empty(), "{} bytes behind the end", stream.len());
                    Answer::Done
                }
                Some(other) => panic!("a client asked for {other:?}"),
                None => {
                    let reason = client.reason();
                    got.refused = reason.map(|why| String::from_utf8_lossy(why).into_owned());
                    return got;
                }
            };
            client.answer(Instant::ZERO, answer);
        }
    }
}
