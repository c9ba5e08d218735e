//! The files of a transfer, wherever they are, and what is read from them to be sent.

use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::{Answer, Extent, Op, Storage};
use windlass_core::time::{Instant, Wake};
use windlass_core::transfer::{HEAD_MAX, Transfer, Tx};

use super::super::access_log;
use super::super::buffers::Buffers;
use super::super::files::{self, Found, Late, Waits};
use super::super::gather::Gather;
use super::super::layout::Layout;
use super::super::rules::RulesId;
use super::folder::Folder;

/// The files of a transfer, and the operation that is not answered yet.
pub(super) struct Store {
    /// A server's, of the folder in the rules. Without it a storage is lent to each turn, and it may wait.
    pub(super) folder: Option<Box<Folder>>,
    late: Late,
    /// When storage that was busy is to be asked again.
    busy: Wake,
}

/// What is lent to a turn.
pub(super) struct Lent<'t> {
    pub(super) buffers: &'t mut Buffers,
    /// A client's.
    pub(super) storage: Option<&'t mut dyn Storage>,
}

impl Store {
    pub(super) fn new(folder: Option<Folder>) -> Self {
        Self { folder: folder.map(Box::new), late: Late::default(), busy: Wake::Never }
    }

    /// Whether an operation is not answered yet.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.late, Late::Asked(_)) || self.busy != Wake::Never
    }

    /// When it is to be asked again.
    pub(super) fn wake(&self) -> Wake {
        self.busy
    }

    /// A helper has answered.
    pub(super) fn came(&mut self, answer: files::Answer) {
        if let Late::Asked(_) = self.late {
            self.late = Late::Came(answer);
        }
    }

    /// Does an operation; `block` is what is to be stored.
    pub(super) fn perform(
        &mut self,
        now: Instant,
        (op, text): (Op<'_>, bool),
        block: &[u8],
        Lent { buffers, storage }: &mut Lent<'_>,
        rules: RulesId,
    ) -> Found<Answer> {
        if let Late::Asked(_) = self.late {
            return Found::Later;
        }
        let answer = match (&mut self.folder, storage) {
            (Some(folder), _) => {
                match op {
                    Op::Open(name) => access_log::asked_file("get", name),
                    Op::Create(head) => access_log::asked_file("put", head.name),
                    _ => {}
                }
                if let Some(why) = buffers.refusal {
                    return Found::Now(folder.turn_away(op, why));
                }
                let root = buffers.rules(rules).root.clone();
                let waits = Waits { late: &mut self.late, helpers: buffers.helpers.as_ref() };
                match folder.perform(op, text, block, root.as_ref(), &mut buffers.input, waits) {
                    Found::Now(answer) => answer,
                    Found::Later => return Found::Later,
                }
            }
            (None, Some(storage)) => {
                // The contract lends memory that could be filled.
                let memory = buffers.input.get_mut(..block.len());
                let memory = memory.unwrap_or_default();
                memory.copy_from_slice(&block[..memory.len()]);
                storage.perform(now, op, memory)
            }
            (None, None) => Answer::Failed(StorageFault::Unsupported.into()),
        };
        if let Answer::Busy(wake) = answer {
            self.busy = wake;
            return Found::Later;
        }
        self.busy = Wake::Never;
        Found::Now(answer)
    }

    /// Lays out what the machine owes, and reads the blocks: of the first datagram all, of the others what
    /// takes no time.
    pub(super) fn lay_out(
        &mut self,
        now: Instant,
        machine: &(impl Transfer + ?Sized),
        layout: &mut Layout,
        Lent { buffers, storage }: &mut Lent<'_>,
    ) -> Result<Found<()>, Fault> {
        layout.clear();
        if let Late::Asked(_) = self.late {
            return Ok(Found::Later);
        }
        let Buffers { input, helpers, most, .. } = &mut **buffers;
        let mut head = [0; HEAD_MAX];
        match &mut self.folder {
            Some(folder) => {
                let (mut gather, mut first) = (Gather::new(input), None);
                while let Some(nth) = layout.next()
                    && let Some(Tx { head: len, body }) = machine.render(now, nth, &mut head)
                {
                    let body_len = len_of(body);
                    let whole = len.saturating_add(body_len);
                    let is_too_much = nth > 0 && gather.len() + whole > *most;
                    if gather.left() < whole || !gather.fits(body) || is_too_much {
                        break;
                    }
                    gather.head(len, |room| {
                        room.copy_from_slice(&head[..room.len()]);
                        room.len()
                    });
                    if body_len > 0 {
                        gather.part(body);
                    }
                    first.get_or_insert(body_len);
                    layout.push(gather.len(), body);
                }
                let waits = Waits { late: &mut self.late, helpers: helpers.as_ref() };
                let Found::Now(valid) = folder.read(&mut gather, first.unwrap_or(0), waits)? else {
                    return Ok(Found::Later);
                };
                layout.valid = valid;
            }
            None => {
                while let Some(nth) = layout.next()
                    && let Some(Tx { head: len, body }) = machine.render(now, nth, &mut head)
                    && let Some(place) =
                        input.get_mut(layout.valid..layout.valid + len + len_of(body))
                {
                    let (front, block) = place.split_at_mut(len);
                    front.copy_from_slice(&head[..len]);
                    read_whole(storage, now, body, block)?;
                    layout.valid += place.len();
                    layout.push(layout.valid, body);
                }
            }
        }
        Ok(Found::Now(()))
    }

    /// It is over: a file that is not whole is removed, also by a process that ends without cleaning up.
    pub(super) fn close(&mut self) {
        self.late = Late::Nothing;
        if let Some(folder) = &mut self.folder {
            folder.close();
        }
    }
}

/// Reads all of a block, from a storage that may wait.
fn read_whole(
    storage: &mut Option<&mut dyn Storage>,
    now: Instant,
    Extent { mut offset, .. }: Extent,
    mut block: &mut [u8],
) -> Result<(), Fault> {
    while !block.is_empty() {
        let extent = Extent { offset, len: block.len() as u64 };
        let op = Op::Read { extent, digest: None };
        match storage.as_mut().map(|storage| storage.perform(now, op, block)) {
            Some(Answer::Read(n)) if n > 0 => {
                offset += n as u64;
                block = block.get_mut(n..).unwrap_or_default();
            }
            Some(Answer::Failed(fault)) => return Err(fault),
            _ => return Err(StorageFault::Failed.into()),
        }
    }
    Ok(())
}

fn len_of(body: Extent) -> usize {
    usize::try_from(body.len).unwrap_or(usize::MAX)
}
