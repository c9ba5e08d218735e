//! Files that come late: an event loop serves its other clients while a file system hangs.
//!
//! - While one read hangs, or one `open(2)`, a hundred clients have their files, also from the same file
//!   system; then the late one has its file too, whole, however it is sent.
//! - Clients that leave while they wait cost nothing, and a server stops while a read hangs.
//! - What is not in the page cache comes whole.

use std::fs::{self, File};
use std::path::PathBuf;
use std::thread;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use windlass_core::file::{Answer, Digest, DigestKind, FileUser, Op};
use windlass_core::session::files::{FilesClient, Options, REQUEST_MAX, Request};
use windlass_core::time::Instant;
use windlass_tests::{
    Client, LateFiles, Model, PATIENCE, Random, Server, every_model, models, serve, within,
};

models!(a_late_file_holds_up_no_other_client: select Select, poll Poll, epoll Epoll, epoll_et EpollEt,
    reactor Reactor);
models!(clients_that_leave_a_late_file_are_forgotten: select Select, poll Poll, epoll Epoll,
    epoll_et EpollEt, reactor Reactor);
every_model!(what_is_not_in_the_page_cache_comes_whole);

const SIZE: usize = 300_001;

/// A root with the file `here`, and beneath it a folder for a file system that is late.
struct Place {
    folder: tempfile::TempDir,
    content: Vec<u8>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Random::new(11).bytes(SIZE);
        fs::create_dir(folder.path().join("late")).expect("mkdir");
        fs::write(folder.path().join("here"), &content).expect("write");
        Self { folder, content }
    }

    fn late(&self) -> Option<LateFiles> {
        LateFiles::mount(&self.path("late"), self.content.clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn serve(&self, model: Model) -> Server {
        let args = format!("--root {}", self.folder.path().display());
        serve!("files", model).args(&args).start()
    }

    #[track_caller]
    fn comes_whole(&self, mut client: Client, digest: Option<DigestKind>) {
        let stream = client.rest();
        let (file, found) = whole(&stream);
        assert!(file == self.content, "other bytes than those of the file");
        let expected = Digest::Blake3(blake3::hash(&self.content).into());
        assert_eq!(found, digest.map(|_| expected));
    }
}

/// Each way of sending: small frames, large ones, and what is digested.
const WAYS: [Options; 3] = [
    Options::NONE,
    Options { frame: Some(1 << 20), ..Options::NONE },
    Options { frame: Some(1 << 20), digest: Some(DigestKind::Blake3), ..Options::NONE },
];

fn ask(server: &Server, name: &str, options: Options) -> Client {
    let mut wire = vec![0; Request::WIRE_MAX];
    let len = Request { name: name.as_bytes(), options }.render(&mut wire).expect("a good name");
    let mut client = server.connect();
    client.send(&wire[..len]);
    client
}

/// The file of a stream, and its digest.
#[track_caller]
fn whole(mut stream: &[u8]) -> (Vec<u8>, Option<Digest>) {
    let (mut client, mut file) = (FilesClient::new(&[], [0; REQUEST_MAX]), Vec::new());
    loop {
        stream = client.receive(stream);
        let answer = match client.op() {
            Some(Op::Store(extent)) => {
                let (bytes, rest) = stream.split_at(extent.len as usize);
                file.extend_from_slice(bytes);
                stream = rest;
                Answer::Kept(bytes.len())
            }
            Some(Op::Commit(digest)) => return (file, digest.map(Digest::copied)),
            Some(_) => Answer::Done,
            None => panic!("{} bytes and no end: {:?}", file.len(), client.reason()),
        };
        client.answer(Instant::ZERO, answer);
    }
}

fn a_late_file_holds_up_no_other_client(model: Model) {
    let place = Place::new();
    for name in ["late/held", "late/shut"] {
        for options in WAYS {
            let Some(late) = place.late() else { return };
            let server = place.serve(model);
            let waits = ask(&server, name, options);
            late.until_asked();
            thread::scope(|scope| {
                for number in 0..100 {
                    let name = if number % 10 == 0 { "late/free" } else { "here" };
                    let client = ask(&server, name, WAYS[number % 3]);
                    let place = &place;
                    scope.spawn(move || place.comes_whole(client, WAYS[number % 3].digest));
                }
            });
            assert!(late.is_held(), "nothing hung meanwhile");
            late.release();
            place.comes_whole(waits, options.digest);
            assert_eq!(server.stop().code, Some(0));
        }
    }
}

fn clients_that_leave_a_late_file_are_forgotten(model: Model) {
    let place = Place::new();
    let Some(late) = place.late() else { return };
    let server = place.serve(model);
    let idle = server.descriptors();
    let waits = ask(&server, "late/held", Options::NONE);
    late.until_asked();
    for _ in 0..100 {
        ask(&server, "late/held", Options::NONE).reset();
    }
    place.comes_whole(ask(&server, "here", Options::NONE), None);
    late.release();
    place.comes_whole(waits, None);
    within(PATIENCE, "no file is open", || server.descriptors() <= idle);
    drop(late);
    // One hangs while the server is told to stop, twice: at once.
    let Some(late) = place.late() else { return };
    let _waits = ask(&server, "late/held", Options::NONE);
    late.until_asked();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.until_refused();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(server.wait().code, Some(0));
}

fn what_is_not_in_the_page_cache_comes_whole(model: Model) {
    let place = Place::new();
    let server = place.serve(model);
    let file = File::open(place.path("here")).expect("open");
    file.sync_all().expect("sync");
    for options in WAYS {
        for from in [0, 131_072] {
            // All of it, or all behind the first pages.
            let drop = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            posix_fadvise(&file, from, 0, drop).expect("posix_fadvise");
            place.comes_whole(ask(&server, "here", options), options.digest);
        }
    }
    assert_eq!(server.stop().code, Some(0));
}
