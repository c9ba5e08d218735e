//! The `files` service, with a client that checks the bytes on the wire.
//!
//! - A file arrives complete under every model and on every transport, in small frames and in large
//!   ones.
//! - A request that cannot be served is refused with a reason; the next client is served.
//! - A client notices that a file became shorter while it was sent.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use sha2::Digest as _;
use windlass_core::file::{Digest, DigestKind};
use windlass_core::session::files::Options;
use windlass_tests::{
    Client, Download, Model, PATIENCE, Random, Server, every_concurrent_model, every_model, models,
    request, serve, unique, within,
};

every_model!(
    files_come_whole_on_every_transport,
    what_is_not_to_be_had_is_refused,
    a_file_is_pushed_to_every_client,
    no_descriptor_stays_behind,
);
every_concurrent_model!(
    clients_have_their_files_at_once,
    a_client_that_takes_nothing_is_cut,
    no_work_is_done_for_a_client_that_is_gone,
);
// One for each way of sending and each way of waiting.
models!(a_file_that_shrinks_is_seen_to_be_cut: iterative Iterative, thread Thread, epoll Epoll,
    epoll_et EpollEt, reactor Reactor, prefork Prefork);
models!(what_the_kernel_makes_up_comes_whole: thread Thread, epoll Epoll, prefork Prefork);

const SIZES: [usize; 7] = [0, 1, 4095, 4096, 4097, 65_536, 3_000_001];

/// A root with files of all sizes, named by them, and with what is none; a secret beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        let root = place.root();
        fs::create_dir_all(root.join("folder")).expect("mkdir");
        for size in SIZES {
            fs::write(root.join(size.to_string()), content(size)).expect("write");
        }
        fs::write(root.join("folder/file"), b"in a folder").expect("write");
        fs::write(place.0.path().join("x"), b"secret").expect("write");
        mkfifo(&root.join("fifo"), Mode::S_IRWXU).expect("mkfifo");
        symlink("../x", root.join("out")).expect("symlink");
        symlink("/etc/passwd", root.join("passwd")).expect("symlink");
        symlink("folder/file", root.join("link")).expect("symlink");
        place
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn serve(&self, model: Model, more: &str) -> Server {
        let args = format!("--root {} {more}", self.root().display());
        serve!("files", model).args(&args).start()
    }
}

fn content(size: usize) -> Vec<u8> {
    Random::new(size as u64).bytes(size)
}

fn ask(client: &mut Client, name: &[u8], options: Options) -> Download {
    client.send(&request(name, options));
    Download::of(&client.rest())
}

const BLAKE3: Option<DigestKind> = Some(DigestKind::Blake3);

fn digest_of(kind: DigestKind, bytes: &[u8]) -> Digest {
    match kind {
        DigestKind::Blake3 => Digest::Blake3(blake3::hash(bytes).into()),
        DigestKind::Crc32 => {
            let mut crc = windlass_core::crc::Crc32::new();
            crc.update(bytes);
            Digest::Crc32(crc.finish())
        }
        DigestKind::Sha256 => Digest::Sha256(sha2::Sha256::digest(bytes).into()),
    }
}

#[track_caller]
fn is_file(got: &Download, size: usize) {
    assert!(got.whole, "not whole: {:?}", got.refused);
    assert_eq!((got.file.len(), got.size), (size, Some(size as u64)));
    assert!(got.file == content(size), "other bytes than those of the file");
}

/// They say that they have no byte (`/proc`), or a page (`/sys`).
fn what_the_kernel_makes_up_comes_whole(model: Model) {
    for (root, name) in [("/proc", "sys/kernel/ostype"), ("/sys", "devices/system/cpu/possible")] {
        let Ok(expected) = fs::read(format!("{root}/{name}")) else { continue };
        let server = serve!("files", model).args(&format!("--root {root}")).start();
        for digest in [None, BLAKE3] {
            let options = Options { digest, ..Options::default() };
            let got = ask(&mut server.connect(), name.as_bytes(), options);
            assert!(got.whole, "{name}: {:?}", got.refused);
            assert_eq!((&got.file, got.size), (&expected, Some(expected.len() as u64)));
        }
        assert_eq!(server.stop().code, Some(0));
    }
}

fn files_come_whole_on_every_transport(model: Model) {
    let place = Place::new();
    let small = Options::default();
    let large = Options { frame: Some(1 << 20), ..small };
    let odd = Options { frame: Some(100_003), digest: BLAKE3, ..small };
    let crc = Options { digest: Some(DigestKind::Crc32), ..large };
    for address in ["tcp:127.0.0.1:0".to_owned(), format!("unix:@{}", unique("files"))] {
        let args = format!("--root {}", place.root().display());
        let server = serve!("files", model).args(&args).listen(address).start();
        for size in SIZES {
            let name = size.to_string();
            for options in [small, large, odd, crc] {
                let got = ask(&mut server.connect(), name.as_bytes(), options);
                is_file(&got, size);
                assert_eq!(got.name, name.as_bytes());
                if let Some(frame) = options.frame {
                    let frame = format!("frame\0{frame}\0");
                    assert!(String::from_utf8_lossy(&got.answer).contains(&frame));
                }
                assert_eq!(got.digest, options.digest.map(|kind| digest_of(kind, &content(size))));
            }
        }
        for name in ["folder/file", "link", "./folder//file"] {
            let got = ask(&mut server.connect(), name.as_bytes(), small);
            assert_eq!(got.file, b"in a folder", "{name}");
        }
        // A client that knows of no options sends the bare name, and one that half-closes then.
        let mut client = server.connect();
        client.send(b"\0\0\0\x044096");
        client.finish();
        is_file(&Download::of(&client.rest()), 4096);
    }
}

fn what_is_not_to_be_had_is_refused(model: Model) {
    let place = Place::new();
    let server = place.serve(model, "");
    let frame =
        |name: &[u8]| [&u32::try_from(name.len()).expect("short").to_be_bytes()[..], name].concat();
    let too_long = "the name is too long";
    for (request, reason) in [
        (frame(b"../x"), "the name must be relative and not empty, without `..` and NUL"),
        (frame(b"/etc/passwd"), "the name must be relative and not empty, without `..` and NUL"),
        (frame(b"folder/../../x"), "the name must be relative and not empty, without `..` and NUL"),
        (frame(b""), "the name must be relative and not empty, without `..` and NUL"),
        (frame(b"\0"), "the name must be relative and not empty, without `..` and NUL"),
        (frame(b"out"), "the file may not be read"),
        (frame(b"passwd"), "the file may not be read"),
        (frame(b"fifo"), "the name is not of a regular file"),
        (frame(b"folder"), "the name is not of a regular file"),
        (frame(b"."), "the name is not of a regular file"),
        (frame(b"nothing"), "there is no such file"),
        (frame(b"4096/"), "there is no such file"),
        (frame(&[b'x'; 4095]), too_long),
        (frame(&[b'x'; 4096]), too_long),
        (frame(&[b'x'; 5000]), too_long),
        (b"\xff\xff\xff\xff".to_vec(), too_long),
        (b"\xff\xff\xff\xffabcdefgh".to_vec(), too_long),
    ] {
        let mut client = server.connect();
        client.send(&request);
        let got = Download::of(&client.rest());
        assert_eq!(got.refused.as_deref(), Some(reason), "{}", request.escape_ascii());
        assert!(!got.whole && got.file.is_empty());
    }
    // A client that sends nothing, or stops in the middle of a name, gets nothing.
    for request in [&b""[..], b"\0\0", b"\0\0\0\x0440"] {
        let mut client = server.connect();
        client.send(request);
        client.ends_with(b"");
    }
    is_file(&ask(&mut server.connect(), b"4097", Options::default()), 4097);
    assert_eq!(server.stop().code, Some(0));
}

fn a_file_is_pushed_to_every_client(model: Model) {
    let place = Place::new();
    let file = place.root().join("65536");
    for args in [
        format!("--push {}", file.display()),
        format!("--root {} --push 65536", place.root().display()),
    ] {
        let server = serve!("files", model).args(&args).start();
        for _ in 0..2 {
            let got = Download::of(&server.connect().rest());
            is_file(&got, 65_536);
            assert_eq!(got.name, b"65536");
        }
    }
}

fn clients_have_their_files_at_once(model: Model) {
    let place = Place::new();
    let server = place.serve(model, "");
    thread::scope(|scope| {
        for number in 0..12 {
            let mut client = server.connect();
            scope.spawn(move || {
                let frame = (number % 3 > 0).then_some(1 << (10 * (number % 3)));
                let options = Options { frame, ..Options::default() };
                is_file(&ask(&mut client, b"3000001", options), 3_000_001);
            });
        }
    });
}

/// Opens a file, reads the head of the answer, and leaves the rest where it is.
fn stall(server: &Server, name: &str, options: Options) -> Client {
    let mut client = server.connect();
    client.send(&request(name.as_bytes(), options));
    client.expect(&[0, 0, 0]);
    client
}

fn a_client_that_takes_nothing_is_cut(model: Model) {
    let place = Place::new();
    let sparse = File::create(place.root().join("sparse")).expect("create");
    sparse.set_len(1 << 30).expect("a large file");
    let server = place.serve(model, "--idle-timeout 1");
    let frame = |frame| Options { frame, ..Options::default() };
    is_file(&ask(&mut server.connect(), b"4097", Options::default()), 4097);
    let files = || server.open_files("sparse");
    let mut stalled = [None, Some(1 << 24)].map(|size| stall(&server, "sparse", frame(size)));
    assert_eq!(files(), 2);
    is_file(&ask(&mut server.connect(), b"4097", Options::default()), 4097);
    within(PATIENCE, "they are cut", || files() == 0);
    for client in &mut stalled {
        let came = client.rest().len();
        assert!(came < 1 << 30, "{came} bytes came");
    }
}

fn a_file_that_shrinks_is_seen_to_be_cut(model: Model) {
    let place = Place::new();
    let server = place.serve(model, "");
    for options in [
        Options::default(),
        Options { frame: Some(1 << 24), ..Options::default() },
        Options { frame: Some(1 << 24), digest: BLAKE3, ..Options::default() },
    ] {
        let path = place.root().join("sparse");
        let file = File::create(&path).expect("create");
        file.set_len(1 << 30).expect("a large file");
        let mut client = stall(&server, "sparse", options);
        file.set_len(100).expect("a small one");
        let came = client.rest();
        assert!(came.len() < 1 << 30, "{} bytes came", came.len());
        let got = Download::of(&[&[0, 0, 0], &came[..]].concat());
        assert!(!got.whole, "{} bytes passed for a file", got.file.len());
        is_file(&ask(&mut server.connect(), b"4097", Options::default()), 4097);
    }
    let said = server.stop();
    assert!(said.stderr.contains("a file became shorter while it was sent"), "{}", said.stderr);
}

fn no_descriptor_stays_behind(model: Model) {
    let place = Place::new();
    let server = place.serve(model, "");
    let round = || {
        for name in ["4096", "nothing", "folder", "fifo", "../x"] {
            let _ = ask(&mut server.connect(), name.as_bytes(), Options::default());
        }
        let frame = Some(1 << 20);
        let client = stall(&server, "3000001", Options { frame, ..Options::default() });
        client.reset();
    };
    for _ in 0..10 {
        round();
    }
    let files = || ["4096", "3000001", "folder", "fifo"].map(|name| server.open_files(name));
    within(PATIENCE, "no file is open", || files() == [0; 4]);
}

/// What is to be compared or verified is digested first, which a short request can ask for. A
/// client that resets the connection ends that, and so does a stop.
fn no_work_is_done_for_a_client_that_is_gone(model: Model) {
    let place = Place::new();
    let sparse = File::create(place.root().join("sparse")).expect("create");
    sparse.set_len(1 << 40).expect("a large file");
    let server = place.serve(model, "--grace 300");
    let offset = Some(windlass_core::session::files::UNSENT_MAX);
    let options = Options { offset, digest: BLAKE3, ..Options::default() };
    let ask = || {
        let mut client = server.connect();
        client.send(&request(b"sparse", options));
        client
    };
    let gone: Vec<Client> = (0..3).map(|_| ask()).collect();
    within(PATIENCE, "the file is open", || server.open_files("sparse") > 0);
    gone.into_iter().for_each(Client::reset);
    within(PATIENCE, "no worker has it open", || server.open_files("sparse") == 0);
    is_file(&ask_for(&server, "4097"), 4097);
    let _stays = ask();
    within(PATIENCE, "the file is open", || server.open_files("sparse") > 0);
    server.signal(Signal::SIGTERM);
    server.until_refused();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code, Some(0));
}

fn ask_for(server: &Server, name: &str) -> Download {
    ask(&mut server.connect(), name.as_bytes(), Options::default())
}
