//! Runs the image that downloads files over Ethernet, with its servers: the TFTP server of QEMU, one on
//! this host, and `windlass serve files`.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::unistd::geteuid;

use crate::run::{Result, captured, cargo, program, root, run, skip, within};

const TARGET: &str = "thumbv7em-none-eabihf";
const QEMU: &str = "qemu-system-arm";

/// How long all downloads may take. On a host at rest it is half a minute.
const DOWNLOADS_MAX: Duration = Duration::from_secs(300);

/// How long a server may take to start.
const START_MAX: Duration = Duration::from_secs(30);

pub(crate) fn ether(windlass: &Path) -> Result<()> {
    let dir = root().join("firmware");
    run(cargo()
        .current_dir(&dir)
        .args(["build", "--profile", "fast", "--locked", "--bin", "ether", "--features", "ether"])
        .args(["--target", TARGET])
        .env_remove("CARGO_TARGET_DIR"))?;
    let image = dir.join("target").join(TARGET).join("fast/ether");
    let fail = |error: std::io::Error| format!("the files for the board: {error}");
    let folder = tempfile::tempdir().map_err(fail)?;
    // The TFTP server changes to another user.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).map_err(fail)?;
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).map_err(fail);
    write("image", &file(256 * 1024))?;
    write("small", &file(64 * 1024))?;
    let (_files, port) = Server::files(windlass, folder.path())?;
    write("files", port.as_bytes())?;
    let (_tftp, port) = match Server::tftp(folder.path())? {
        Some((server, port)) => (Some(server), port),
        None => (None, 0),
    };
    write("tftp", port.to_string().as_bytes())?;
    let mut qemu = program(QEMU);
    qemu.args(["-machine", "mps2-an386", "-display", "none", "-monitor", "none"]);
    qemu.args(["-serial", "null", "-semihosting-config", "enable=on,target=native"]);
    // The time on the board is the number of its instructions.
    qemu.args(["-icount", "shift=5,sleep=off", "-nic"]);
    qemu.arg(format!("user,model=lan9118,tftp={}", folder.path().display()));
    let (text, status) = captured(qemu.arg("-kernel").arg(image), DOWNLOADS_MAX)
        .map_err(|error| format!("{QEMU}: {error}"))?;
    print!("{text}");
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("files over Ethernet: {status}")),
        None => Err("files over Ethernet: the board hung".to_owned()),
    }
}

/// The bytes of the files. The image has the same rule.
fn file(len: u32) -> Vec<u8> {
    let byte = |at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0];
    (0..len).map(byte).collect()
}

/// A server on this host. Dropping it ends it.
struct Server(Child);

impl Server {
    /// `windlass serve files`, and its port.
    fn files(windlass: &Path, folder: &Path) -> Result<(Self, String)> {
        let fail = |error: std::io::Error| format!("windlass serve files: {error}");
        let mut child = program(windlass)
            .args(["serve", "files", "--model", "epoll", "--listen", "tcp:127.0.0.1:0", "--root"])
            .arg(folder)
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
            None => Err(format!("windlass serve files: no address, but {line:?}")),
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
        let fail = |error: std::io::Error| format!("{}: {error}", path.display());
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
