//! A session over the pump, with a file in memory.

use std::num::NonZeroUsize;

use windlass_core::fault::Fault;
use windlass_core::file::Storage;
use windlass_core::pump::{Need, Pump};
use windlass_core::session::Session;
use windlass_core::sim::Disk;
use windlass_core::time::{Instant, Wake};

/// What came of a conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// All that the session sent.
    pub output: Vec<u8>,
    /// How it ended, or that it waits.
    pub how: Option<Result<(), Fault>>,
    /// The file that became valid.
    pub file: Option<Vec<u8>>,
}

/// Runs a session to its end, on a stream that arrives in pieces and then ends.
pub fn talk<'i>(
    session: &mut dyn Session,
    pieces: impl Iterator<Item = &'i [u8]>,
    disk: &mut Disk<Vec<u8>>,
) -> Told {
    let (mut rx, mut tx) = ([0; 512], [0; 96]);
    let mut pump = Pump::new(&mut rx, &mut tx);
    let (mut output, mut now, mut has_ended) = (Vec::new(), Instant::ZERO, false);
    let mut pieces = pieces.peekable();
    let mut piece: &[u8] = &[];
    // Each call sends, takes, stores or ends something.
    for _ in 0..1_000_000 {
        now = now.after(1);
        match pump.next(session, now) {
            Need::Send { bytes, .. } => {
                let sent = bytes.len();
                output.extend_from_slice(bytes);
                pump.sent(sent);
            }
            Need::Recv { buf, .. } => {
                if piece.is_empty() {
                    piece = pieces.next().unwrap_or_default();
                }
                let taken = NonZeroUsize::new(piece.len().min(buf.len()));
                match taken {
                    Some(taken) => {
                        let (now, later) = piece.split_at(taken.get());
                        buf[..now.len()].copy_from_slice(now);
                        piece = later;
                        pump.received(taken.get());
                    }
                    None if has_ended => return Told { output, how: None, file: whole(disk) },
                    None => {
                        has_ended = true;
                        pump.eof();
                    }
                }
            }
            Need::File { op, memory } => {
                let answer = disk.perform(now, op, memory);
                pump.answer(session, now, answer);
            }
            Need::Wait(Wake::Never) => return Told { output, how: None, file: whole(disk) },
            Need::Shutdown | Need::Wait(_) => {}
            Need::Over(how) => return Told { output, how: Some(how), file: whole(disk) },
        }
    }
    panic!("it spins");
}

fn whole(disk: &Disk<Vec<u8>>) -> Option<Vec<u8>> {
    disk.whole().map(<[u8]>::to_vec)
}
