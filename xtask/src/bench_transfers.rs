//! Transfers beside the TFTP servers of others, and beside `xfer` in C.
//!
//! Server and client have one processor together: what is measured is their work. On two processors of a virtual
//! machine each datagram of a transfer with a window of one block wakes the other one, which takes longer than all the
//! rest.

pub(crate) mod losses;
pub(crate) mod many;

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::group::{Group, pinned};
use crate::plot;
use crate::run::{Result, captured, has, program, root};

const ROUNDS: usize = 5;

/// Bytes of the file that one client downloads.
const SIZE: usize = 64 << 20;

/// What is measured with.
pub(crate) struct Bench<'a> {
    windlass: &'a Path,
    /// The folder of the peers in C.
    c: &'a Path,
    folder: tempfile::TempDir,
    group: Group,
}

/// Runs one part of it.
pub(crate) fn transfers(
    windlass: &Path,
    c: &Path,
    work: &dyn Fn(&Bench<'_>) -> Result<()>,
) -> Result<()> {
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => {
            println!("left out: {why}");
            return Ok(());
        }
    };
    // In memory, where there is such a place.
    let memory = Path::new("/dev/shm");
    let at = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::tempdir_in(at).map_err(|error| format!("a folder: {error}"))?;
    let bench = Bench { windlass, c, folder, group };
    for (name, len) in [("64m", SIZE), ("256k", 256 << 10), ("64k", 64 << 10)] {
        bench.file(name, len)?;
    }
    work(&bench)
}

/// Blocks and windows, and the servers that take part; the first one is what the others are compared with.
const CASES: [(u16, u16, &[&str]); 4] = [
    (512, 1, &["tftpd-hpa", "atftpd", "epoll", "thread", "fork"]),
    (8192, 1, &["tftpd-hpa", "atftpd", "epoll", "thread", "fork"]),
    (65464, 1, &["tftpd-hpa", "atftpd", "epoll", "thread", "fork"]),
    (1428, 64, &["atftpd", "epoll", "thread", "fork"]),
];

/// MB/s and CPU seconds per GiB of one download.
type Figures = (f64, f64);

impl Bench<'_> {
    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Bytes that differ from block to block.
    fn file(&self, name: &str, len: usize) -> Result<()> {
        let path = self.root().join(name);
        let written = fs::create_dir_all(self.root()).and_then(|()| {
            let mut file = fs::File::create(&path)?;
            let piece: Vec<u8> = (0..4099_u32).map(|n| (n * n) as u8).collect();
            let bytes: Vec<u8> = piece.iter().copied().cycle().take(len).collect();
            file.write_all(&bytes)
        });
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Starts a server of `service`: one of Windlass's models, or another program. `None`: it is not here.
    fn start(&self, service: &str, name: &str) -> Result<Option<Server<'_>>> {
        let fail = |error: std::io::Error| format!("{name}: {error}");
        let socket = UdpSocket::bind(("127.0.0.1", 0)).map_err(fail)?;
        let at = socket.local_addr().map_err(fail)?;
        drop(socket);
        let root = self.root();
        let mut command = match name {
            "tftpd-hpa" | "atftpd" => {
                let Some(path) = stock(if name == "atftpd" { name } else { "in.tftpd" }) else {
                    println!("no {name}");
                    return Ok(None);
                };
                let mut command = self.group.command(&path);
                if name == "atftpd" {
                    command.args(["--daemon", "--no-fork", "--user", "root", "--group", "root"]);
                    command.args(["--bind-address", "127.0.0.1", "--logfile", "-", "--verbose=0"]);
                    command.args(["--port", &at.port().to_string()]);
                } else {
                    command.args(["--foreground", "--user", "root", "--secure"]);
                    command.args(["--address", &at.to_string()]);
                }
                command.arg(root);
                command
            }
            "C" => {
                let mut command = self.group.command(&self.c.join("xfer_raw"));
                command.args(["serve", &at.port().to_string()]).arg(root);
                command
            }
            model => {
                let mut command = self.group.command(self.windlass);
                command.args(["serve", service, "--listen", &format!("udp:{at}")]);
                command.args(["--model", model, "--root"]).arg(root);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(fail)?;
        let server = Server { child, group: &self.group, at };
        // A request for a file that is not there.
        let probe: &[u8] =
            if service == "tftp" { b"\0\x01none\0octet\0" } else { b"\0\0\0\x01none\0" };
        let client = UdpSocket::bind(("127.0.0.1", 0)).map_err(fail)?;
        client.set_read_timeout(Some(Duration::from_millis(100))).map_err(fail)?;
        for _ in 0..100 {
            client.send_to(probe, at).map_err(fail)?;
            if client.recv_from(&mut [0; 512]).is_ok() {
                return Ok(Some(server));
            }
        }
        Err(format!("{name} does not answer"))
    }

    /// One download of `name` by a client of these words, which has to write the file `out`.
    fn download(&self, words: &[&str], name: &str) -> Result<Figures> {
        let out = self.folder.path().join("out");
        let _ = fs::remove_file(&out);
        let mut words = pinned("0").into_iter().chain(words.iter().copied());
        let mut command = program(words.next().unwrap_or_default());
        command.args(words).current_dir(self.folder.path());
        let processes = self.group.processes();
        let (cpu, begin) = (self.group.seconds(), Instant::now());
        let (said, status) =
            captured(&mut command, Duration::from_secs(60)).map_err(|error| error.to_string())?;
        let seconds = begin.elapsed().as_secs_f64();
        // A process of the server ends a little later than its client.
        self.group.settle(processes);
        let cpu = self.group.seconds() - cpu;
        let len = fs::metadata(&out).map_or(0, |it| it.len());
        if fs::read(&out).ok() != fs::read(self.root().join(name)).ok() {
            return Err(format!("{command:?}: {status:?}, {len} bytes of {name} came: {said}"));
        }
        let bytes = len as f64;
        Ok((bytes / 1e6 / seconds, cpu / bytes * f64::from(1 << 30)))
    }

    pub(crate) fn tftp(&self) -> Result<()> {
        if !has("atftp") {
            println!("no atftp");
            return Ok(());
        }
        let mut text = header("blksize, window");
        for (block, window, servers) in CASES {
            let what = format!("{block}, {window}");
            let (block, window) = (format!("{block}"), format!("{window}"));
            let options = [format!("blksize {block}"), format!("windowsize {window}")];
            let clients: &[&str] = if window == "1" { &["atftp"] } else { &["atftp", "get"] };
            let mut table = Table::new(servers, clients);
            for _ in 0..ROUNDS {
                for &name in servers {
                    let Some(server) = self.start("tftp", name)? else { continue };
                    let (port, url) =
                        (server.at.port().to_string(), format!("tftp://{}/64m", server.at));
                    let mut words = vec!["atftp", "--option", &options[0]];
                    if window != "1" {
                        words.extend(["--option", &options[1]]);
                    }
                    words.extend(["-g", "-r", "64m", "-l", "out", "127.0.0.1", &port]);
                    table.add(name, "atftp", self.download(&words, "64m")?);
                    if clients.contains(&"get") {
                        let windlass = self.windlass.display().to_string();
                        let words = [&*windlass, "get", &url, "-o", "out"];
                        let words = [&words[..], &["--blksize", &block, "--window", &window]];
                        table.add(name, "get", self.download(&words.concat(), "64m")?);
                    }
                }
            }
            text.push_str(&table.rows(&what));
        }
        plot::table(self.windlass, "tftp", &text)
    }

    pub(crate) fn xfer(&self) -> Result<()> {
        let windlass = self.windlass.display().to_string();
        let c = self.c.join("xfer_raw").display().to_string();
        let servers = ["C", "epoll", "thread", "fork"];
        let mut table = Table::new(&servers, &["C", "get"]);
        for _ in 0..ROUNDS {
            for name in servers {
                let Some(server) = self.start("xfer", name)? else { continue };
                let port = server.at.port().to_string();
                let url = format!("xfer://{}/64m", server.at);
                table.add(name, "C", self.download(&[&c, "get", &port, "64m", "out"], "64m")?);
                let words = [&*windlass, "get", &url, "-o", "out"];
                table.add(name, "get", self.download(&words, "64m")?);
            }
        }
        plot::table(self.windlass, "xfer", &(header("") + &table.rows("xfer")))
    }
}

/// A server. Dropping it ends it.
struct Server<'a> {
    child: Child,
    group: &'a Group,
    at: SocketAddr,
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.group.end();
        let _ = self.child.wait();
    }
}

/// The figures of pairs of a server and a client.
struct Table<'a>(Vec<(&'a str, &'a str, Vec<Figures>)>);

impl<'a> Table<'a> {
    fn new(servers: &[&'a str], clients: &[&'a str]) -> Self {
        let pairs = clients.iter().flat_map(|&client| servers.iter().map(move |&it| (it, client)));
        Self(pairs.map(|(server, client)| (server, client, Vec::new())).collect())
    }

    fn add(&mut self, server: &str, client: &str, figures: Figures) {
        if let Some(row) = self.0.iter_mut().find(|row| (row.0, row.1) == (server, client)) {
            row.2.push(figures);
        }
    }

    /// Medians; ratios are to the first pair.
    fn rows(&self, what: &str) -> String {
        let (mut first, mut text) = (None, String::new());
        for (server, client, figures) in self.0.iter().filter(|row| !row.2.is_empty()) {
            let sorted = |of: fn(&Figures) -> f64| {
                let mut sorted: Vec<_> = figures.iter().map(of).collect();
                sorted.sort_by(f64::total_cmp);
                sorted
            };
            let (rates, cpu) = (sorted(|it| it.0), sorted(|it| it.1));
            let (rate, cpu) = (rates[rates.len() / 2], cpu[cpu.len() / 2]);
            let (one, other) = *first.get_or_insert((rate, cpu));
            let (min, max) = (rates[0], rates[rates.len() - 1]);
            let _ = writeln!(
                text,
                "| {what} | {server} | {client} | {rate:.1} | {min:.1}–{max:.1} | {:.2} | {cpu:.2} | {:.2} |",
                rate / one,
                cpu / other
            );
        }
        text
    }
}

/// Above the rows of a [`Table`].
fn header(what: &str) -> String {
    let columns = "server | client | MB/s | min–max | ratio | CPU s/GiB | ratio";
    format!("| {what} | {columns} |\n|---|---|---|---|---|---|---|---|\n")
}

/// Where a stock server is: installed, or unpacked by `.ci/run`.
fn stock(name: &str) -> Option<PathBuf> {
    let folders = [PathBuf::from("/usr/sbin"), root().join("target/foreign/usr/sbin")];
    folders.map(|folder| folder.join(name)).into_iter().find(|file| file.is_file())
}
