//! Runs the images that download files over Ethernet, with their servers: the TFTP server of QEMU, one on
//! this host, and services of windlass.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::run::{Result, captured, captured_beside, cargo, program, root, run, skip, within};

const TARGET: &str = "thumbv7em-none-eabihf";
const QEMU: &str = "qemu-system-arm";

/// How long all downloads may take. On a host at rest it is half a minute.
const DOWNLOADS_MAX: Duration = Duration::from_secs(300);

/// How long a server may take to start.
const START_MAX: Duration = Duration::from_secs(30);

/// Runs both images: downloads on a bad network one after another, and under Embassy at once.
pub(crate) fn ether(windlass: &Path) -> Result<()> {
    let (downloads, embassy) = (build("ether")?, build("embassy")?);
    let fail = |error: io::Error| format!("the files for the board: {error}");
    let folder = tempfile::tempdir().map_err(fail)?;
    // The TFTP server changes to another user.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).map_err(fail)?;
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).map_err(fail);
    write("image", &file(256 * 1024))?;
    write("small", &file(64 * 1024))?;
    // The time on the board is the number of its instructions.
    let exact = ["-icount", "shift=5,sleep=off"];
    verdict(
        "TFTP from QEMU",
        captured(emulator(&downloads, folder.path()).args(exact), DOWNLOADS_MAX),
    )?;

    let mut servers = Vec::new();
    for (name, service, kind) in
        [("files", "files", "tcp"), ("own", "tftp", "udp"), ("xfer", "xfer", "udp")]
    {
        let (server, port) = Server::windlass(windlass, service, kind, folder.path())?;
        servers.push(server);
        write(name, port.as_bytes())?;
    }
    let (_tftp, port) = match Server::tftp(folder.path())? {
        Some((server, port)) => (Some(server), port),
        None => (None, 0),
    };
    write("tftp", port.to_string().as_bytes())?;
    verdict(
        "files from this host",
        captured(&mut emulator(&downloads, folder.path()), DOWNLOADS_MAX),
    )?;
    let mut embassy = emulator(&embassy, folder.path());
    embassy.args(exact);
    at_once(embassy)
}

/// Builds an image, and returns its path.
fn build(image: &str) -> Result<PathBuf> {
    let dir = root().join("firmware");
    run(cargo()
        .current_dir(&dir)
        .args(["build", "--profile", "fast", "--locked", "--bin", image, "--features", image])
        .args(["--target", TARGET])
        .env_remove("CARGO_TARGET_DIR"))?;
    Ok(dir.join("target").join(TARGET).join("fast").join(image))
}

/// The board with an image, and the network that has these files, without its serial ports.
fn emulator(image: &Path, folder: &Path) -> Command {
    let mut qemu = program(QEMU);
    qemu.args(["-machine", "mps2-an386", "-display", "none", "-monitor", "none"]);
    qemu.args(["-semihosting-config", "enable=on,target=native"]);
    qemu.arg("-nic")
        .arg(format!("user,model=lan9118,tftp={}", folder.display()))
        .arg("-kernel")
        .arg(image);
    qemu
}

/// Prints what a board printed, and takes its exit status for a verdict.
fn verdict(what: &str, ended: io::Result<(String, Option<ExitStatus>)>) -> Result<()> {
    let (text, status) = ended.map_err(|error| format!("{QEMU}: {error}"))?;
    print!("{text}");
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{what}: {status}")),
        None => Err(format!("{what}: the board hung")),
    }
}

/// Runs the image of Embassy, and converses with its UART meanwhile.
fn at_once(mut qemu: Command) -> Result<()> {
    let text: Vec<u8> = (0..=255).cycle().take(16 * 1024).collect();
    let fail = |error: io::Error| format!("the UART of the board: {error}");
    // The UART is a socket, which QEMU has for its standard input.
    let (mut uart, theirs) = UnixStream::pair().map_err(fail)?;
    uart.set_read_timeout(Some(DOWNLOADS_MAX)).map_err(fail)?;
    uart.set_write_timeout(Some(DOWNLOADS_MAX)).map_err(fail)?;
    let mut sending = uart.try_clone().map_err(fail)?;
    qemu.args(["-chardev", "socket,id=uart,fd=0", "-serial", "chardev:uart"]);
    let mut answer = vec![0; text.len()];
    thread::scope(|scope| {
        // The command has a copy of the socket; it is dropped when QEMU has ended, and ends the conversation.
        let board = scope
            .spawn(move || captured_beside(&mut qemu, OwnedFd::from(theirs).into(), DOWNLOADS_MAX));
        let sender = scope.spawn(|| sending.write_all(&text));
        let received = uart.read_exact(&mut answer);
        let _ = sender.join();
        let ended = board.join().map_err(|_| "a thread panicked".to_owned())?;
        verdict("sessions and a transfer at once", ended)?;
        received.map_err(fail)
    })?;
    if answer != text.to_ascii_uppercase() {
        return Err("the UART of the board: no answer in capitals".to_owned());
    }
    Ok(())
}

/// The bytes of the files. The image has the same rule.
fn file(len: u32) -> Vec<u8> {
    let byte = |at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0];
    (0..len).map(byte).collect()
}

/// A server on this host. Dropping it ends it.
struct Server(Child);

impl Server {
    /// `windlass serve`, and its port.
    fn windlass(
        windlass: &Path,
        service: &str,
        kind: &str,
        folder: &Path,
    ) -> Result<(Self, String)> {
        let fail = |error: io::Error| format!("windlass serve {service}: {error}");
        let mut child = program(windlass)
            .args(["serve", service, "--model", "epoll", "--root"])
            .arg(folder)
            .args(["--listen", &format!("{kind}:127.0.0.1:0")])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(fail)?;
        let stdout = child.stdout.take();
        let server = Self(child);
        let mut line = String::new();
        if let Some(stdout) = stdout {
            let read = || BufReader::new(stdout).read_line(&mut line);
            within(START_MAX, &server.0, read).0.map_err(fail)?;
        }
        let address = line.split(' ').nth(1).and_then(|address| address.rsplit_once(':'));
        match address {
            Some((_, port)) => Ok((server, port.to_owned())),
            None => Err(format!("windlass serve {service}: no address, but {line:?}")),
        }
    }

    /// tftp-hpa, and its port. `None` if this host or this user cannot run it.
    fn tftp(folder: &Path) -> Result<Option<(Self, u16)>> {
        let Some(path) = in_tftpd() else {
            skip("TFTP from a server on this host", "apt-get install tftpd-hpa")?;
            return Ok(None);
        };
        if !geteuid().is_root() {
            skip("TFTP from a server on this host", "its server needs root")?;
            return Ok(None);
        }
        let fail = |error: io::Error| format!("{}: {error}", path.display());
        // A port that was free a moment ago.
        let probe = UdpSocket::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
        let port = probe.map_err(fail)?.port();
        let mut server = Command::new(&path);
        server.args(["--foreground", "--address", &format!("127.0.0.1:{port}"), "--secure"]);
        let server = server.arg(folder).stdin(Stdio::null()).spawn().map_err(fail)?;
        Ok(Some((Self(server), port)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where tftp-hpa is: installed, or unpacked by `.ci/run`.
fn in_tftpd() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let folders =
        folders.chain([PathBuf::from("/usr/sbin"), root().join("target/foreign/usr/sbin")]);
    folders.map(|folder| folder.join("in.tftpd")).find(|file| file.is_file())
}
