//! Foreign clients of `windlass serve tftp`: curl, tftp-hpa, atftp and busybox, and nginx between client and server.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use windlass_lossy::{Lossy, Path as Way};
use windlass_tests::{Model, Program, Random, Server, Site, every_model, has, models, serve};

every_model!(each_client_fetches_a_file, each_client_stores_a_file);
models!(each_client_fetches_through_one_port: select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor);

/// Larger than 64 KiB, and with a last block that is not full.
const SIZE: usize = 150_001;

/// A foreign client, and one choice of its options.
#[derive(Debug, Clone, Copy)]
struct Foreign {
    program: &'static str,
    /// Its options.
    words: &'static str,
}

const CLIENTS: [Foreign; 10] = [
    Foreign { program: "curl", words: "-sS" },
    Foreign { program: "curl", words: "-sS --tftp-blksize 1428" },
    Foreign { program: "curl", words: "-sS --tftp-no-options" },
    Foreign { program: "tftp", words: "-m binary" },
    Foreign { program: "atftp", words: "" },
    Foreign { program: "atftp", words: "--option|blksize 8192" },
    Foreign { program: "atftp", words: "--option|blksize 1428|--option|windowsize 8" },
    Foreign {
        program: "atftp",
        words: "--option|blksize 65464|--option|tsize 0|--option|timeout 3",
    },
    Foreign { program: "busybox", words: "" },
    Foreign { program: "busybox", words: "-b 1428" },
];

impl Foreign {
    /// Its command that fetches `name` into `local`, or stores it; `None` if this machine does not have it.
    fn command(&self, at: SocketAddr, store: bool, name: &str, local: &Path) -> Option<Program> {
        if !has(self.program) {
            return None;
        }
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        let program = Program::new(self.program);
        let program = match self.program {
            "curl" => {
                let way = if store { "-T" } else { "-o" };
                let url = format!("tftp://{at}/{name}");
                program.words("--max-time 60").words(self.words).arg(way).arg(local).arg(url)
            }
            "tftp" => {
                let local = local.display();
                let (verb, files) = if store {
                    ("put", format!("{local} {name}"))
                } else {
                    ("get", format!("{name} {local}"))
                };
                let program = program.words(self.words).arg(host).arg(port);
                program.arg("-c").arg(verb).words(&files)
            }
            "atftp" => {
                let options = self.words.split('|').filter(|word| !word.is_empty());
                let program = options.fold(program, Program::arg);
                let program = program.arg(if store { "--put" } else { "--get" });
                let program = program.arg("-r").arg(name).arg("-l").arg(local);
                program.arg(host).arg(port)
            }
            _ => {
                let program = program.arg("tftp").words(self.words);
                let program = program.arg(if store { "-p" } else { "-g" });
                let program = program.arg("-r").arg(name).arg("-l").arg(local);
                program.arg(host).arg(port)
            }
        };
        Some(program)
    }

    /// Fetches `name` from `at` into `folder`, and returns its content; `None` if the client is missing.
    #[track_caller]
    fn fetches(&self, at: SocketAddr, name: &str, folder: &Path) -> Option<Vec<u8>> {
        let local = folder.join("fetched");
        let _ = fs::remove_file(&local);
        let outcome = self.command(at, false, name, &local)?.run();
        assert_eq!(outcome.code, Some(0), "{self:?}: {outcome}");
        // curl makes no file for an empty one.
        Some(fs::read(&local).unwrap_or_default())
    }
}

/// Where a server answers.
fn address(server: &Server) -> SocketAddr {
    let address = server.address();
    address
        .strip_prefix("udp:")
        .and_then(|address| address.parse().ok())
        .expect("an address of UDP")
}

/// A folder to serve and one for clients.
struct Folders {
    _whole: tempfile::TempDir,
    root: PathBuf,
    local: PathBuf,
}

impl Folders {
    fn new() -> Self {
        let whole = tempfile::tempdir().expect("a folder");
        let (root, local) = (whole.path().join("root"), whole.path().join("local"));
        fs::create_dir(&root).expect("a folder");
        fs::create_dir(&local).expect("a folder");
        Self { _whole: whole, root, local }
    }

    /// A file of random bytes in the served folder.
    fn file(&self, name: &str, size: usize) -> Vec<u8> {
        let bytes = Random::new(size as u64 + 1).bytes(size);
        fs::write(self.root.join(name), &bytes).expect("write");
        bytes
    }

    fn serve(&self, model: Model, args: &str) -> Server {
        let server = serve!("tftp", model).listen("udp:127.0.0.1:0").args(args);
        server.args(&format!("--root {}", self.root.display())).start()
    }
}

fn each_client_fetches_a_file(model: Model) {
    let folders = Folders::new();
    let bytes = folders.file("image", SIZE);
    let server = folders.serve(model, "");
    for client in CLIENTS {
        if let Some(fetched) = client.fetches(address(&server), "image", &folders.local) {
            assert!(fetched == bytes, "{client:?}: {} bytes", fetched.len());
        }
    }
}

fn each_client_fetches_through_one_port(model: Model) {
    let folders = Folders::new();
    let bytes = folders.file("image", SIZE);
    let server = folders.serve(model, "--single-port");
    for client in CLIENTS {
        if let Some(fetched) = client.fetches(address(&server), "image", &folders.local) {
            assert!(fetched == bytes, "{client:?}: {} bytes", fetched.len());
        }
    }
}

fn each_client_stores_a_file(model: Model) {
    let folders = Folders::new();
    let local = folders.local.join("report");
    let bytes = Random::new(5).bytes(SIZE);
    fs::write(&local, &bytes).expect("write");
    let server = folders.serve(model, "--allow-write");
    // The iterative server repeats its last acknowledgement for seconds before it hears the next client.
    let clients = if model == Model::Iterative { &CLIENTS[..2] } else { &CLIENTS[..] };
    for (nth, client) in clients.iter().enumerate() {
        let name = format!("stored-{nth}");
        let Some(command) = client.command(address(&server), true, &name, &local) else { continue };
        let outcome = command.run();
        assert_eq!(outcome.code, Some(0), "{client:?}: {outcome}");
        // The name appears when the last block is stored, which the client has heard of.
        let stored = fs::read(folders.root.join(&name));
        assert!(stored.is_ok_and(|stored| stored == bytes), "{client:?}: another file");
    }
}

/// No block, a part of one, exactly one, exactly two, and around them.
#[test]
fn every_client_knows_the_end_of_a_file() {
    let folders = Folders::new();
    let server = folders.serve(Model::Epoll, "");
    for size in [0, 1, 511, 512, 513, 1024, 1428, 2856] {
        let bytes = folders.file("edge", size);
        for client in CLIENTS {
            if let Some(fetched) = client.fetches(address(&server), "edge", &folders.local) {
                assert!(fetched == bytes, "{client:?}, {size} bytes: {}", fetched.len());
            }
        }
    }
}

/// Plain clients, as they are: they do not repeat themselves for seconds, so the server has to.
#[test]
fn plain_clients_fetch_a_file_where_datagrams_are_lost() {
    let folders = Folders::new();
    let bytes = folders.file("image", 64 << 10);
    let server = folders.serve(Model::Epoll, "");
    let ways = [Way::PERFECT, Way::losing(50)];
    let lossy = Lossy::start("127.0.0.1:0", address(&server), 7, ways).expect("a proxy");
    for client in CLIENTS {
        if let Some(fetched) = client.fetches(lossy.address(), "image", &folders.local) {
            assert!(fetched == bytes, "{client:?}: {} bytes", fetched.len());
        }
    }
}

/// For atftp a second OACK is an error.
#[test]
fn a_client_that_takes_one_oack_fetches_a_file_where_requests_are_doubled() {
    let folders = Folders::new();
    let bytes = folders.file("image", 64 << 10);
    let ways = [Way { duplicate: 1000, ..Way::PERFECT }, Way::PERFECT];
    for (model, args) in [
        (Model::Thread, ""),
        (Model::Epoll, ""),
        (Model::Prefork, ""),
        (Model::Epoll, "--single-port"),
        (Model::Select, "--single-port"),
    ] {
        let server = folders.serve(model, args);
        let lossy = Lossy::start("127.0.0.1:0", address(&server), 7, ways).expect("a proxy");
        for client in CLIENTS.iter().filter(|client| client.program == "atftp") {
            if let Some(fetched) = client.fetches(lossy.address(), "image", &folders.local) {
                assert!(fetched == bytes, "{client:?}: {} bytes", fetched.len());
            }
        }
    }
}

/// CR LF, a lone CR and a lone LF, some of them across the ends of blocks.
#[test]
fn lines_are_translated_by_both_ends() {
    let folders = Folders::new();
    let line = "a line of thirty characters..\n";
    let text = format!("{}\r{}", line.repeat(40), line.repeat(40));
    fs::write(folders.root.join("text"), &text).expect("write");
    let server = folders.serve(Model::Epoll, "--allow-write");
    let client = Foreign { program: "tftp", words: "-m netascii" };
    let Some(fetched) = client.fetches(address(&server), "text", &folders.local) else { return };
    assert_eq!(String::from_utf8_lossy(&fetched), text);
    let local = folders.local.join("fetched");
    let command = client.command(address(&server), true, "again", &local).expect("it is there");
    command.run().succeeds();
    assert_eq!(fs::read_to_string(folders.root.join("again")).expect("stored"), text);
}

/// What must fail at the client: no such file, a name that leads out, a store that is not allowed.
#[test]
fn every_client_hears_a_refusal() {
    let folders = Folders::new();
    folders.file("there", 10);
    fs::write(folders.root.with_file_name("secret"), b"secret").expect("write");
    let server = folders.serve(Model::Epoll, "");
    let (local, source) = (folders.local.join("fetched"), folders.local.join("source"));
    fs::write(&source, b"source").expect("write");
    for client in CLIENTS {
        for (store, name) in
            [(false, "missing"), (false, "../secret"), (true, "there"), (true, "new")]
        {
            let path = if store { &source } else { &local };
            let Some(command) = client.command(address(&server), store, name, path) else {
                continue;
            };
            let outcome = command.run();
            let fetched = fs::read(&local).unwrap_or_default();
            assert!(fetched.is_empty(), "{client:?} {name}: {outcome}");
            // tftp-hpa says so, and exits with 0.
            assert!(
                outcome.code != Some(0) || client.program == "tftp",
                "{client:?} {name}: {outcome}"
            );
        }
    }
    assert!(!folders.root.join("new").exists());
    assert_eq!(fs::read(folders.root.join("there")).expect("there").len(), 10);
}

/// A balancer remembers the server of a client by the client's address, so the server has to answer from the
/// port that was asked.
#[test]
fn a_balancer_stands_before_two_servers_with_one_port_each() {
    let site = Site::new();
    let folders = Folders::new();
    let bytes = folders.file("image", SIZE);
    let hosts = [("192.0.2.11", Model::Epoll), ("192.0.2.12", Model::Reactor)];
    let _servers = hosts.map(|(host, model)| {
        let serve = serve!("tftp", model).listen(format!("udp:{}:6969", site.host(host)));
        serve.args(&format!("--single-port --root {}", folders.root.display())).start()
    });
    let Some(_nginx) = site.nginx() else { return };
    for _ in 0..2 {
        for client in CLIENTS {
            if let Some(fetched) =
                client.fetches(site.front_of_datagrams(), "image", &folders.local)
            {
                assert!(fetched == bytes, "{client:?}: {} bytes", fetched.len());
            }
        }
    }
}
