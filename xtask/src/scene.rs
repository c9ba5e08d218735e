//! What an updater of `firmware/` has around it: its flash, the servers of this host, and the bridges to them.
//!
//! ```text
//!   image ── UART 0 ── windlass bridge ── windlass serve files
//!     │ │                     └── reports: a socket of this program
//!     │ └─── UART 1 ── windlass bridge ── windlass serve time       on a board that has one
//!     └ flash: memory of the board that is a file of the host, or the flash of the chip. It stays when the
//!              board starts again
//! ```
//!
//! The time of the board is that of its instructions (`-icount`). What the programs of the host need is real time,
//! and the board waits for them: a busy host makes the figures larger.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::UdpSocket;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use windlass_lossy::Random;

use crate::emulator::{EXACT, Emulator, Machine};
use crate::run::{Result, program};
use crate::servers::{Program, serve};

/// Bytes of an image, of a slot, and of the log before the slots.
pub(crate) const IMAGE: usize = 64 * 1024;
const SLOT: usize = 64 * 1024;
const LOG: usize = 8 * 1024;

/// Bytes of the flash.
const FLASH: usize = LOG + 2 * SLOT;

/// Bytes of the memory that is a file; most of it is a hole.
const MEMORY: u64 = 16 << 20;

/// How long a board may take, and a program of the host may take to answer.
const BOARD_MAX: Duration = Duration::from_secs(400);
const HOST_MAX: Duration = Duration::from_secs(30);

/// Where the flash of a board is.
pub(crate) enum Flash {
    /// In the memory `flash`, from this byte on. The arguments make it the memory of the machine.
    Memory { args: &'static [&'static str], at: u64 },
    /// In the chip, at this address.
    Chip { at: u64 },
}

/// A board that updates itself.
pub(crate) struct Updated {
    pub(crate) machine: &'static Machine,
    pub(crate) flash: Flash,
    /// Its UARTs: 1 or 2.
    pub(crate) uarts: usize,
    /// How long an update over a clean line may take, in milliseconds of the board. The server at the other end of the
    /// line needs real time, which a busy host makes long: this is several times what an idle one needs.
    pub(crate) clean_max_ms: u32,
}

/// A folder with the flash, the files of the server, and sockets.
pub(crate) struct Scene<'a> {
    pub(crate) of: &'a Updated,
    image: &'a Path,
    windlass: &'a Path,
    folder: TempDir,
    /// Where the reports arrive.
    reports: UdpSocket,
}

impl<'a> Scene<'a> {
    /// With an erased flash, and an image on the server.
    pub(crate) fn new(of: &'a Updated, image: &'a Path, windlass: &'a Path) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(text)?;
        let reports = UdpSocket::bind(("127.0.0.1", 0)).map_err(text)?;
        reports.set_read_timeout(Some(HOST_MAX)).map_err(text)?;
        let scene = Self { of, image, windlass, folder, reports };
        fs::create_dir(scene.root()).map_err(text)?;
        if let Flash::Memory { at, .. } = &of.flash {
            let file = File::create(scene.memory()).map_err(text)?;
            file.write_all_at(&vec![0xff; FLASH], *at).map_err(text)?;
            file.set_len(MEMORY).map_err(text)?;
        }
        scene.new_image(1)?;
        Ok(scene)
    }

    /// The folder of the server.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn memory(&self) -> PathBuf {
        self.folder.path().join("flash")
    }

    /// The server has a new image.
    pub(crate) fn new_image(&self, seed: u64) -> Result<()> {
        fs::write(self.root().join("image"), Random::new(seed).bytes(IMAGE)).map_err(text)
    }

    /// The image that the server has.
    pub(crate) fn image(&self) -> Result<Vec<u8>> {
        fs::read(self.root().join("image")).map_err(text)
    }

    /// All of the flash, which is a file.
    pub(crate) fn flash(&self) -> Result<Vec<u8>> {
        self.part(0, FLASH)
    }

    fn part(&self, from: u64, len: usize) -> Result<Vec<u8>> {
        let Flash::Memory { at, .. } = self.of.flash else { return Err("no file".to_owned()) };
        let mut bytes = vec![0; len];
        let file = File::open(self.memory()).map_err(text)?;
        file.read_exact_at(&mut bytes, at + from).map_err(text)?;
        Ok(bytes)
    }

    /// Changes bytes of a slot behind the back of the board.
    pub(crate) fn change_flash(&self, slot: usize, offset: usize) -> Result<()> {
        let Flash::Memory { at, .. } = self.of.flash else { return Err("no file".to_owned()) };
        let file = File::options().write(true).open(self.memory()).map_err(text)?;
        file.write_all_at(&[0x55, 0x55], at + in_flash(slot, offset)).map_err(text)
    }

    /// The slot of a flash that is a file has the image of the server.
    pub(crate) fn is_in_slot(&self, slot: usize) -> Result<()> {
        let at = LOG + slot * SLOT;
        if self.flash()?[at..].starts_with(&self.image()?) {
            return Ok(());
        }
        Err(format!("slot {slot} has other bytes than the image"))
    }

    /// Waits for the report with these numbers, the verdict and the time.
    pub(crate) fn is_reported(&self, code: i32, ms: u32) -> Result<()> {
        let code = u32::try_from(code).unwrap_or(u32::MAX);
        loop {
            let mut datagram = [0; 64];
            let len = self.reports.recv(&mut datagram).map_err(|error| match error.kind() {
                ErrorKind::WouldBlock => format!("no report of {code} after {ms} ms"),
                _ => text(error),
            })?;
            let [marks, name] = [&datagram[..8], &datagram[8..len.max(8)]];
            let expected = [code.to_be_bytes(), ms.to_be_bytes()].concat();
            if marks == expected && name.ends_with(b"\0") {
                return Ok(());
            }
        }
    }
}

/// A running board with its bridges and its servers. All of them end when it is dropped.
pub(crate) struct Device<'a> {
    scene: &'a Scene<'a>,
    pub(crate) board: Emulator,
    monitor: BufReader<UnixStream>,
    /// The server of the image.
    pub(crate) server: Program,
    /// The bridges, and the server of the time.
    others: Vec<Program>,
}

impl<'a> Device<'a> {
    /// Starts the servers, the board and the bridges, and then the processor of the board.
    pub(crate) fn start(scene: &'a Scene<'a>, words: &[&str]) -> Result<Self> {
        let (server, files) = serve(scene.windlass, &["files"], Some(&scene.root()), "tcp")?;
        let (clock, time) = serve(scene.windlass, &["time"], None, "tcp")?;

        let path = |name: &str| scene.folder.path().join(name);
        let uarts = &[path("uart0"), path("uart1")][..scene.of.uarts];
        let qmp = path("qmp");
        for socket in uarts.iter().chain([&qmp]) {
            let _ = fs::remove_file(socket);
        }
        let listener = UnixListener::bind(&qmp).map_err(text)?;
        let mut qemu = scene.of.machine.command(scene.image, words);
        if let Flash::Memory { args, .. } = scene.of.flash {
            let file = scene.memory();
            qemu.args(args).arg("-object");
            qemu.arg(format!(
                "memory-backend-file,id=flash,size={MEMORY},share=on,mem-path={}",
                file.display()
            ));
        }
        qemu.arg("-S").args(EXACT).arg("-qmp").arg(format!("unix:{}", qmp.display()));
        for uart in uarts {
            qemu.arg("-serial").arg(format!("unix:{},server=on,wait=off", uart.display()));
        }
        let mut board = Emulator::start(qemu, scene.image, BOARD_MAX)?;
        let monitor = BufReader::new(accepted(&mut board, &listener)?);
        let mut device = Self { scene, board, monitor, server, others: vec![clock] };
        // The greeting. With the answer to the first command, all sockets of the emulator are there.
        device.reply()?;
        device.command("qmp_capabilities", "{}")?;
        // A line that damages bytes has short packets, and is to be repaired soon.
        let is_bad = words.get(1).is_some_and(|damaged| *damaged != "0");
        let (payload, latency) = if is_bad { ("24", "0.005") } else { ("128", "0.05") };
        let reports = scene.reports.local_addr().map_err(text)?;
        for (uart, address) in uarts.iter().zip([files, time]) {
            let mut bridge = program(scene.windlass);
            bridge.arg("bridge").arg(format!("unix:{}", uart.display())).arg(address);
            bridge.args(["--payload", payload, "--latency", latency]);
            bridge.args(["--reports", &format!("udp:{reports}")]);
            let mut bridge = Program::start(bridge.stderr(Stdio::piped()))?;
            let line = bridge.first_line(|child| &mut child.stderr)?;
            device.others.push(bridge);
            if !line.contains("the line is open") {
                return Err(device.board.fault(&format!("the bridge: {line}")));
            }
        }
        device.command("cont", "{}")?;
        Ok(device)
    }

    /// Has the emulator do something, with arguments in JSON.
    fn command(&mut self, name: &str, arguments: &str) -> Result<()> {
        let line = format!("{{\"execute\": \"{name}\", \"arguments\": {arguments}}}\n");
        self.monitor.get_ref().write_all(line.as_bytes()).map_err(text)?;
        loop {
            let reply = self.reply()?;
            if reply.contains("\"error\"") {
                return Err(self.board.fault(&format!("{name}: {reply}")));
            }
            if reply.contains("\"return\"") {
                return Ok(());
            }
        }
    }

    fn reply(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.monitor.read_line(&mut line) {
            Ok(0) => Err(self.board.fault("the emulator has ended")),
            Ok(_) => Ok(line),
            Err(error) => Err(self.board.fault(&format!("no answer of the emulator: {error}"))),
        }
    }

    /// Waits for the end of the board. Returns its log and its exit code.
    pub(crate) fn finish(self) -> Result<(String, Option<i32>)> {
        self.board.finish()
    }

    /// Power fails, and the board starts again with the flash as it was.
    pub(crate) fn cut(&mut self) -> Result<()> {
        self.command("system_reset", "{}")
    }

    /// So many bytes of a slot while the board runs.
    pub(crate) fn read(&mut self, slot: usize, offset: usize, len: usize) -> Result<Vec<u8>> {
        let from = in_flash(slot, offset);
        match self.scene.of.flash {
            Flash::Memory { .. } => self.scene.part(from, len),
            Flash::Chip { at } => {
                let path = self.scene.folder.path().join("part");
                let (val, name) = (at + from, path.display());
                let words =
                    format!("{{\"val\": {val}, \"size\": {len}, \"filename\": \"{name}\"}}");
                self.command("memsave", &words)?;
                fs::read(&path).map_err(text)
            }
        }
    }

    /// Waits until the new image is programmed in this slot up to `at`.
    pub(crate) fn until_programmed(&mut self, slot: usize, at: usize) -> Result<()> {
        let image = self.scene.image()?;
        let expected = image.get(at..at + 16).unwrap_or_default();
        while self.read(slot, at, 16)? != expected {
            if self.board.is_over() {
                return Err(self.board.fault(&format!("the page at {at} was not programmed")));
            }
            // No event tells it.
            thread::park_timeout(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Where in the flash a byte of a slot is.
fn in_flash(slot: usize, offset: usize) -> u64 {
    (LOG + slot * SLOT + offset) as u64
}

/// The connection that the emulator makes.
fn accepted(board: &mut Emulator, listener: &UnixListener) -> Result<UnixStream> {
    listener.set_nonblocking(true).map_err(text)?;
    let end = Instant::now() + HOST_MAX;
    loop {
        if let Ok((stream, _)) = listener.accept() {
            let set = stream.set_nonblocking(false);
            set.and_then(|()| stream.set_read_timeout(Some(HOST_MAX))).map_err(text)?;
            return Ok(stream);
        }
        if Instant::now() > end || board.is_over() {
            return Err(board.fault("the emulator did not connect to its monitor"));
        }
        // It may also have ended.
        thread::park_timeout(Duration::from_millis(1));
    }
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    format!("the updater: {error}")
}
