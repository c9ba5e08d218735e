//! Files that come late: an event loop serves its other clients while a file system hangs.
//!
//! - While one read hangs, or one `open(2)`, a hundred clients have their files, also from the same file
//!   system; then the late one has its file too, whole, however it is sent.
//! - Clients that leave while they wait cost nothing, and a server stops while a read hangs.
//! - What is not in the page cache comes whole.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::thread;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use windlass_core::file::{Digest, DigestKind};
use windlass_core::session::files::Options;
use windlass_core::transfer::tftp::Offer;
use windlass_tests::transfer::get;
use windlass_tests::{
    Client, Download, LateFiles, Model, PATIENCE, Random, Server, every_model, models, request,
    serve, within,
};

models!(a_late_file_holds_up_no_other_client: select Select, poll Poll, epoll Epoll, epoll_et EpollEt,
    reactor Reactor);
models!(a_late_file_holds_up_no_other_transfer_at_a_single_port: select Select, poll Poll, epoll Epoll,
    epoll_et EpollEt, reactor Reactor);
models!(clients_that_leave_a_late_file_are_forgotten: select Select, poll Poll, epoll Epoll,
    epoll_et EpollEt, reactor Reactor);
every_model!(what_is_not_in_the_page_cache_comes_whole);

/// A root with the file `here`, and beneath it a folder for a file system that is late.
struct Root(tempfile::TempDir);

/// The content of every file here.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| Random::new(11).bytes(300_001));

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(root.path("late")).expect("mkdir");
        fs::write(root.path("here"), &*CONTENT).expect("write");
        root
    }

    fn late(&self) -> Option<LateFiles> {
        LateFiles::mount(&self.path("late"), CONTENT.clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn serve(&self, model: Model) -> Server {
        serve!("files", model).args(&format!("--root {}", self.0.path().display())).start()
    }
}

#[track_caller]
fn comes_whole(mut client: Client, digest: Option<DigestKind>) {
    let got = Download::of(&client.rest());
    assert!(got.whole && got.file == *CONTENT, "{} bytes: {:?}", got.file.len(), got.refused);
    let expected = Digest::Blake3(blake3::hash(&CONTENT).into());
    assert_eq!(got.digest, digest.map(|_| expected));
}

/// Each way of sending: small frames, large ones, and what is digested.
const WAYS: [Options; 3] = [
    Options::NONE,
    Options { frame: Some(1 << 20), ..Options::NONE },
    Options { frame: Some(1 << 20), digest: Some(DigestKind::Blake3), ..Options::NONE },
];

fn ask(server: &Server, name: &str, options: Options) -> Client {
    let mut client = server.connect();
    client.send(&request(name.as_bytes(), options));
    client
}

fn a_late_file_holds_up_no_other_client(model: Model) {
    let root = Root::new();
    for name in ["late/held", "late/shut"] {
        for options in WAYS {
            let Some(late) = root.late() else { return };
            let server = root.serve(model);
            let waits = ask(&server, name, options);
            late.until_asked();
            thread::scope(|scope| {
                for number in 0..100 {
                    let name = if number % 10 == 0 { "late/free" } else { "here" };
                    let client = ask(&server, name, WAYS[number % 3]);
                    scope.spawn(move || comes_whole(client, WAYS[number % 3].digest));
                }
            });
            assert!(late.is_held(), "nothing hung meanwhile");
            late.release();
            comes_whole(waits, options.digest);
            assert_eq!(server.stop().code, Some(0));
        }
    }
}

fn a_late_file_holds_up_no_other_transfer_at_a_single_port(model: Model) {
    let root = Root::new();
    for name in ["late/held", "late/shut"] {
        let Some(late) = root.late() else { return };
        let args = format!("--single-port --root {}", root.0.path().display());
        let server = serve!("tftp", model).listen("udp:127.0.0.1:0").args(&args).start();
        thread::scope(|scope| {
            let waits = scope.spawn(|| get(server.address(), name, Offer::DEFAULT));
            late.until_asked();
            for name in ["here", "late/free"] {
                get(server.address(), name, Offer::DEFAULT).came(&CONTENT);
            }
            assert!(late.is_held(), "nothing hung meanwhile");
            late.release();
            waits.join().expect("a client").came(&CONTENT);
        });
        assert_eq!(server.stop().code, Some(0));
    }
}

fn clients_that_leave_a_late_file_are_forgotten(model: Model) {
    let root = Root::new();
    let Some(late) = root.late() else { return };
    let server = root.serve(model);
    let idle = server.descriptors();
    let waits = ask(&server, "late/held", Options::NONE);
    late.until_asked();
    for _ in 0..100 {
        ask(&server, "late/held", Options::NONE).reset();
    }
    comes_whole(ask(&server, "here", Options::NONE), None);
    late.release();
    comes_whole(waits, None);
    within(PATIENCE, "no file is open", || server.descriptors() <= idle);
    drop(late);
    // One hangs while the server is told to stop, twice: at once.
    let Some(late) = root.late() else { return };
    let _waits = ask(&server, "late/held", Options::NONE);
    late.until_asked();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.until_refused();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(server.wait().code, Some(0));
}

fn what_is_not_in_the_page_cache_comes_whole(model: Model) {
    let root = Root::new();
    let server = root.serve(model);
    let file = File::open(root.path("here")).expect("open");
    file.sync_all().expect("sync");
    for options in WAYS {
        for from in [0, 131_072] {
            // All of it, or all behind the first pages.
            let drop = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            posix_fadvise(&file, from, 0, drop).expect("posix_fadvise");
            comes_whole(ask(&server, "here", options), options.digest);
        }
    }
    assert_eq!(server.stop().code, Some(0));
}
