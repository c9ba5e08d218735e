//! Runs the images that download files over Ethernet, with their servers: the TFTP server of QEMU, one on
//! this host, and services of windlass; and two boards on one network, which report to each other.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::dissect::Capture;
use crate::emulator::{EXACT, Emulator, Machine};
use crate::run::{Result, root, skip};
use crate::servers::{Program, serve};

/// How long a board may run. On a host at rest it is half a minute.
const DOWNLOADS_MAX: Duration = Duration::from_secs(300);

/// How long a report may take.
const REPORT_MAX: Duration = Duration::from_secs(30);

/// A folder with the files for the board.
fn files() -> Result<TempDir> {
    let folder = tempfile::tempdir().map_err(fail)?;
    // The TFTP server changes to another user.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).map_err(fail)?;
    fs::write(folder.path().join("image"), file(256 * 1024)).map_err(fail)?;
    fs::write(folder.path().join("small"), file(64 * 1024)).map_err(fail)?;
    Ok(folder)
}

/// The bytes of the files. The image has the same rule.
fn file(len: u32) -> Vec<u8> {
    let byte = |at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0];
    (0..len).map(byte).collect()
}

/// The board with an image, and the network that has these files, without its serial ports.
fn command(machine: &Machine, image: &Path, folder: &Path) -> Command {
    let mut qemu = machine.command(image, &[]);
    qemu.arg("-nic").arg(format!("user,id=net,model=lan9118,tftp={}", folder.display()));
    qemu
}

/// Downloads from the TFTP server of QEMU, in exact times. Returns the log.
pub(crate) fn from_qemu(machine: &Machine, image: &Path) -> Result<String> {
    let folder = files()?;
    let mut qemu = command(machine, image, folder.path());
    qemu.args(EXACT);
    Emulator::start(qemu, image, DOWNLOADS_MAX)?.succeeds()
}

/// Downloads from servers of this host, and a report to one. Returns the log.
pub(crate) fn from_host(machine: &Machine, image: &Path, windlass: &Path) -> Result<String> {
    let folder = files()?;
    let write = |name: &str, port: &str| fs::write(folder.path().join(name), port).map_err(fail);
    let (mut servers, mut ports) = (Vec::new(), Vec::new());
    for (name, service, kind) in
        [("files", "files", "tcp"), ("own", "tftp", "udp"), ("xfer", "xfer", "udp")]
    {
        let words = [service, "--model", "epoll"];
        let (server, address) = serve(windlass, &words, Some(folder.path()), kind)?;
        servers.push(server);
        let port = address.rsplit(':').next().unwrap_or_default().to_owned();
        write(name, &port)?;
        ports.push(port);
    }
    let tftp = tftp_hpa(folder.path())?;
    write("tftp", &tftp.as_ref().map_or(0, |(_, port)| *port).to_string())?;
    let reports = UdpSocket::bind(("127.0.0.1", 0)).map_err(fail)?;
    reports.set_read_timeout(Some(REPORT_MAX)).map_err(fail)?;
    ports.push(reports.local_addr().map_err(fail)?.port().to_string());
    write("score", &ports[3])?;
    let (capture, mut qemu) = (Capture::new()?, command(machine, image, folder.path()));
    capture.of("net", &mut qemu);
    let log = Emulator::start(qemu, image, DOWNLOADS_MAX)?.succeeds()?;
    are_read(&capture, &ports).map_err(|why| format!("{why}\n{log}"))?;
    let mut report = [0; 64];
    let len = reports.recv(&mut report).map_err(|error| format!("no report: {error}\n{log}"))?;
    // The score of a board: 0 for success, the number of its downloads, and its name.
    let downloads = u32::from(tftp.is_some()) * 3 + 6;
    if !report[..len].starts_with(&[[0; 4], downloads.to_be_bytes()].concat()) {
        return Err(format!("another report than expected: {:?}\n{log}", &report[..len]));
    }
    Ok(log)
}

/// What the dissectors read in these downloads: the file by `xfer`, block by block, each request of `files`, and the
/// report.
fn are_read(capture: &Capture, ports: &[String]) -> Result<()> {
    let [files, _, xfer, score] = ports else { return Err("another number of ports".to_owned()) };
    let ports = [("files", files), ("xfer", xfer), ("score", score)];
    let ports = ports.map(|(name, port)| format!("-owindlass.{name}.port:{port}"));
    let options: Vec<&str> = ports.iter().map(String::as_str).collect();
    let read = |fields: &[&str]| capture.read(&options, fields);
    let Some(mut blocks) = read(&["windlass.xfer.data", "windlass.xfer.seq"])? else {
        return Ok(());
    };
    // A block that was sent again came in the same order as its number.
    blocks.sort_by_key(|block| block.last().and_then(|number| number.parse::<u32>().ok()));
    blocks.dedup();
    let data: String =
        blocks.iter().filter_map(|block| block.first()).map(String::as_str).collect();
    let is = file(64 * 1024).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    if data.replace(':', "") != is {
        return Err(format!("{} blocks of xfer are captured, and not the file", blocks.len()));
    }
    // A response shows the name of its request.
    let mut requests = read(&["windlass.files.name", "tcp.dstport"])?.unwrap_or_default();
    requests.retain(|message| message.get(1) == Some(files));
    let reports = read(&["windlass.score.name", "windlass.score.chinese"])?.unwrap_or_default();
    // One may be sent again.
    if requests.len() < 3 || reports.len() != 1 {
        return Err(format!("other messages were captured: {requests:?} {reports:?}"));
    }
    Ok(())
}

/// Runs the image of Embassy, and converses with its UART meanwhile. Returns the log.
pub(crate) fn at_once(machine: &Machine, image: &Path, windlass: &Path) -> Result<String> {
    let folder = files()?;
    let (_server, address) =
        serve(windlass, &["files", "--model", "epoll"], Some(folder.path()), "tcp")?;
    let port = address.rsplit(':').next().unwrap_or_default();
    fs::write(folder.path().join("files"), port).map_err(fail)?;
    let mut qemu = command(machine, image, folder.path());
    qemu.args(EXACT);

    let text: Vec<u8> = (0..=255).cycle().take(16 * 1024).collect();
    // The UART is a socket, which QEMU has for its standard input.
    let (mut uart, theirs) = UnixStream::pair().map_err(fail)?;
    uart.set_read_timeout(Some(DOWNLOADS_MAX)).map_err(fail)?;
    uart.set_write_timeout(Some(DOWNLOADS_MAX)).map_err(fail)?;
    let mut sending = uart.try_clone().map_err(fail)?;
    qemu.args(["-chardev", "socket,id=uart,fd=0", "-serial", "chardev:uart"]);
    let mut answer = vec![0; text.len()];
    // The command, which has a copy of the socket, is dropped when the board has started.
    let mut board =
        Emulator::start_beside(qemu, OwnedFd::from(theirs).into(), image, DOWNLOADS_MAX)?;
    let received = thread::scope(|scope| {
        scope.spawn(|| sending.write_all(&text));
        uart.read_exact(&mut answer)
    });
    received.map_err(|error| board.fault(&format!("its UART: {error}")))?;
    if answer != text.to_ascii_uppercase() {
        return Err(board.fault("no answer in capitals"));
    }
    board.succeeds()
}

/// Runs two boards on one network, a pair of sockets. Returns the logs.
pub(crate) fn two_boards(machine: &Machine, image: &Path) -> Result<String> {
    let (one, other) = UnixStream::pair().map_err(fail)?;
    let capture = Capture::new()?;
    let boards = [(one, "1"), (other, "2")].map(|(socket, number)| {
        let mut qemu = machine.command(image, &[number]);
        qemu.args(["-nic", "socket,id=net,model=lan9118,fd=0"]);
        if number == "1" {
            capture.of("net", &mut qemu);
        }
        Emulator::start_beside(qemu, OwnedFd::from(socket).into(), image, DOWNLOADS_MAX)
    });
    let [one, other] = boards;
    let log = one?.succeeds()? + &other?.succeeds()?;
    let fields = ["windlass.score.math", "ip.dst"];
    let Some(reports) = capture.read(&[], &fields)? else { return Ok(log) };
    // Each board reported to the group, and to the address of the other one.
    for report in
        [["1", "239.255.23.33"], ["2", "239.255.23.33"], ["1", "10.0.2.2"], ["2", "10.0.2.1"]]
    {
        if !reports.iter().any(|it| *it == report) {
            return Err(format!("{report:?} was not captured, but {reports:?}\n{log}"));
        }
    }
    Ok(log)
}

/// tftp-hpa, and its port. `None` if this host or this user cannot run it.
fn tftp_hpa(folder: &Path) -> Result<Option<(Program, u16)>> {
    let Some(path) = in_tftpd() else {
        skip("TFTP from a server on this host", "apt-get install tftpd-hpa")?;
        return Ok(None);
    };
    if !geteuid().is_root() {
        skip("TFTP from a server on this host", "its server needs root")?;
        return Ok(None);
    }
    // A port that was free a moment ago.
    let probe = UdpSocket::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    let port = probe.map_err(fail)?.port();
    let mut server = Command::new(&path);
    server.args(["--foreground", "--address", &format!("127.0.0.1:{port}"), "--secure"]);
    Ok(Some((Program::start(server.arg(folder).stdout(Stdio::null()))?, port)))
}

/// Where tftp-hpa is: installed, or unpacked by `.ci/run`.
fn in_tftpd() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let folders =
        folders.chain([PathBuf::from("/usr/sbin"), root().join("target/foreign/usr/sbin")]);
    folders.map(|folder| folder.join("in.tftpd")).find(|file| file.is_file())
}

fn fail(error: impl std::fmt::Display) -> String {
    format!("the network of the board: {error}")
}
