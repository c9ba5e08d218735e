//! A file system that answers when the test lets it (FUSE).

use std::ffi::OsStr;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen,
    Request,
};

use crate::{PATIENCE, skipped};

/// A mounted folder with two files of the same content: `free`, and `held`, of which each read
/// hangs until it is [released](Self::release). With a third, `shut`, even `open(2)` hangs.
#[derive(Debug)]
pub struct LateFiles {
    held: Arc<Held>,
    asked: Receiver<()>,
    /// It is unmounted when this is dropped.
    _session: BackgroundSession,
}

/// What is to be answered, once it may be.
#[derive(Debug, Default)]
struct Held(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    released: bool,
    waiting: Vec<Answer>,
}

#[derive(Debug)]
enum Answer {
    Data(ReplyData, Vec<u8>),
    Opened(ReplyOpen),
}

struct Files {
    content: Vec<u8>,
    held: Arc<Held>,
    asked: Mutex<Sender<()>>,
}

const HELD: INodeNo = INodeNo(2);
const FREE: INodeNo = INodeNo(3);
const SHUT: INodeNo = INodeNo(4);

/// The kernel may believe what it heard for as long as the test lasts.
const FOR_EVER: Duration = Duration::from_secs(3600);

impl LateFiles {
    /// Mounts it on a folder. `None`, and a line that says so: this machine has no FUSE for this user.
    pub fn mount(folder: &Path, content: Vec<u8>) -> Option<Self> {
        let held = Arc::new(Held::default());
        let (tell, asked) = channel();
        let files = Files { content, held: Arc::clone(&held), asked: Mutex::new(tell) };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("windlass-late".into()), MountOption::RO];
        match fuser::spawn_mount(files, folder, &config) {
            Ok(session) => Some(Self { held, asked, _session: session }),
            Err(error) => {
                skipped(&format!("mount a file system of the test: {error}"));
                None
            }
        }
    }

    /// Waits until something is asked that hangs.
    #[track_caller]
    pub fn until_asked(&self) {
        self.asked.recv_timeout(PATIENCE).expect("nothing is asked of the file system");
    }

    /// Whether everything that was asked is still without an answer.
    pub fn is_held(&self) -> bool {
        let state = self.held.lock();
        !state.released && !state.waiting.is_empty()
    }

    /// Answers everything that was asked, and from now on at once.
    pub fn release(&self) {
        let waiting = {
            let mut state = self.held.lock();
            state.released = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Answer::give);
    }
}

impl Drop for LateFiles {
    fn drop(&mut self) {
        self.release();
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    fn give(self) {
        match self {
            Self::Data(reply, bytes) => reply.data(&bytes),
            Self::Opened(reply) => reply.opened(FileHandle(0), fuser::FopenFlags::empty()),
        }
    }
}

impl Files {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_root = inode == INodeNo::ROOT;
        FileAttr {
            ino: inode,
            size: self.content.len() as u64,
            blocks: 1,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_root { FileType::Directory } else { FileType::RegularFile },
            perm: 0o755,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn answer(&self, hangs: bool, answer: Answer) {
        let mut state = self.held.lock();
        if hangs && !state.released {
            state.waiting.push(answer);
            drop(state);
            let _ = self.asked.lock().unwrap_or_else(PoisonError::into_inner).send(());
        } else {
            drop(state);
            answer.give();
        }
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let inode = match name.to_str() {
            Some("held") => HELD,
            Some("free") => FREE,
            Some("shut") => SHUT,
            _ => return reply.error(Errno::ENOENT),
        };
        reply.entry(&FOR_EVER, &self.attributes(inode), Generation(0));
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &self.attributes(inode));
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.answer(inode == SHUT, Answer::Opened(reply));
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        len: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let end = self.content.len();
        let from = usize::try_from(offset).unwrap_or(end).min(end);
        let bytes = self.content[from..end.min(from + len as usize)].to_vec();
        self.answer(inode == HELD, Answer::Data(reply, bytes));
    }
}
