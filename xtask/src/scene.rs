//! Boots the updater of `firmware/` in the emulator, with `windlass serve files` at the other end of a bridge, and
//! cuts its power.
//!
//! ```text
//!   image ── UART 0 ── windlass bridge ── windlass serve files
//!     │ └─── UART 1 ── windlass bridge ── windlass serve time
//!     │ flash: a file that is the PSRAM of the board, and stays when the board starts again
//! ```
//!
//! The time of the board is that of its instructions (`-icount`). What the programs of the host need is real time,
//! and the board waits for them: a busy host makes the figures larger.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use windlass_lossy::Random;

use crate::run::{Result, program, within};

/// Bytes of an image, of a slot, and of the log before the slots.
const IMAGE: usize = 64 * 1024;
const SLOT: u64 = 64 * 1024;
const LOG: u64 = 8 * 1024;

/// Bytes that are erased together, and bytes that are programmed together.
const SECTOR: u64 = 4096;
const PAGE: u64 = 256;

/// Of the file, these bytes are flash; the rest of the PSRAM is a hole.
const FLASH: usize = 1 << 20;
const PSRAM: u64 = 16 << 20;

/// How long an update may take in milliseconds of the board: a third more than it takes while the host is busy.
const CLEAN_MAX_MS: u64 = 15_000;
const BAD_MAX_MS: u64 = 90_000;

/// How long a board may take, and a program of the host may take to answer.
const BOARD_MAX: Duration = Duration::from_secs(600);
const HOST_MAX: Duration = Duration::from_secs(30);

/// Updates, and power failures in each.
const CUTS: [usize; 2] = [3, 8];

/// Runs every case.
pub(crate) fn updates(image: &Path, windlass: &Path) -> Result<()> {
    let scene = Scene::new(image, windlass)?;
    let ms = scene.ends("a clean line", "image", "updated", 0, &[])?;
    is_within("a clean line", ms, CLEAN_MAX_MS)?;
    scene.is_in_slot(0)?;
    scene.new_image(2)?;
    let ms =
        scene.ends("1 % of the bytes dropped, 1 % changed", "image 10 1", "updated", 0, &[])?;
    is_within("a line that damages bytes", ms, BAD_MAX_MS)?;
    scene.is_in_slot(1)?;
    let before = scene.flash_bytes()?;
    fs::write(scene.root().join("large"), vec![0; IMAGE + 1]).map_err(text)?;
    scene.ends("an image that is too large", "large", "too large", 13, &[])?;
    scene.ends("a name that is not there", "missing", "refused", 14, &[])?;
    if scene.flash_bytes()? != before {
        return Err("a refused image changed the flash".to_owned());
    }
    scene.new_image(3)?;
    scene.ends("a flash that is worn out", "image 0 0 100", "flash failed", 12, &[])?;
    scene.ends("a server that ends", "image", "server gone", 11, &[(80, Deed::EndServer)])?;
    scene.ends("a flash that changes", "image", "wrong digest", 10, &[(200, Deed::ChangeFlash)])?;
    scene.cuts()
}

fn is_within(what: &str, ms: u64, most: u64) -> Result<()> {
    if ms <= most {
        Ok(())
    } else {
        Err(format!("{what}: {ms} ms of the board, and at most {most}"))
    }
}

/// Whether the board printed the time of some moment in the last ten minutes.
fn has_the_time(log: &str) -> bool {
    let printed = log.lines().find_map(|line| line.strip_prefix("updater: time ")?.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    printed.is_some_and(|printed: u64| printed <= now && printed + 600 > now)
}

/// What happens to an update at a page.
enum Deed {
    EndServer,
    ChangeFlash,
}

/// A folder with the flash, the files of the server, and sockets.
struct Scene<'a> {
    image: &'a Path,
    windlass: &'a Path,
    folder: TempDir,
}

impl<'a> Scene<'a> {
    fn new(image: &'a Path, windlass: &'a Path) -> Result<Self> {
        let scene = Self { image, windlass, folder: tempfile::tempdir().map_err(text)? };
        fs::create_dir(scene.root()).map_err(text)?;
        let mut flash = File::create(scene.flash()).map_err(text)?;
        flash.write_all(&vec![0xff; FLASH]).map_err(text)?;
        flash.set_len(PSRAM).map_err(text)?;
        scene.new_image(1)?;
        Ok(scene)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn flash(&self) -> PathBuf {
        self.folder.path().join("flash")
    }

    /// Starts a server in the folder, and returns it with its address.
    fn server(&self, args: &[&str]) -> Result<(Program, String)> {
        let mut server = program(self.windlass);
        server.arg("serve").args(args).args(["--listen", "tcp:127.0.0.1:0"]);
        server.current_dir(self.folder.path());
        server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = Program(server.spawn().map_err(text)?);
        let line = server.first_line(|child| &mut child.stdout)?;
        match line.split(' ').nth(1) {
            Some(address) => Ok((server, address.to_owned())),
            None => Err(format!("the updater: a server that does not listen: {line:?}")),
        }
    }

    /// The server has a new image. Returns its bytes.
    fn new_image(&self, seed: u64) -> Result<Vec<u8>> {
        let bytes = Random::new(seed).bytes(IMAGE);
        fs::write(self.root().join("image"), &bytes).map_err(text)?;
        Ok(bytes)
    }

    fn flash_bytes(&self) -> Result<Vec<u8>> {
        self.read(0, FLASH)
    }

    fn read(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        File::open(self.flash())
            .and_then(|file| file.read_exact_at(&mut bytes, at))
            .map_err(text)?;
        Ok(bytes)
    }

    /// The slot has the image of the server.
    fn is_in_slot(&self, slot: u64) -> Result<()> {
        let image = fs::read(self.root().join("image")).map_err(text)?;
        if self.read(LOG + slot * SLOT, IMAGE)? == image {
            return Ok(());
        }
        Err(format!("slot {slot} has other bytes than the image"))
    }

    /// A run with these arguments is to end with this verdict and this exit code. Returns how many milliseconds of
    /// the board it took. Each deed is done when this page
    /// of slot 0 is programmed.
    fn ends(
        &self,
        what: &str,
        args: &str,
        verdict: &str,
        code: i32,
        deeds: &[(u64, Deed)],
    ) -> Result<u64> {
        let begin = Instant::now();
        let mut device = Device::start(self, args)?;
        for (page, deed) in deeds {
            self.until_programmed(&mut device, 0, page * PAGE)?;
            match deed {
                Deed::EndServer => device.server.end(),
                Deed::ChangeFlash => {
                    let file = File::options().write(true).open(self.flash()).map_err(text)?;
                    file.write_all_at(&[0x55, 0x55], LOG + 10 * PAGE).map_err(text)?;
                }
            }
        }
        let (log, ended) = device.finish()?;
        let last = log.lines().last().unwrap_or_default();
        let said = last.strip_prefix("updater: ").unwrap_or_default();
        let (said, ms) = said.split_once(" after ").unwrap_or_default();
        if said != verdict || ended != Some(code) {
            return Err(format!("{what}: not {verdict}, but exit code {ended:?}\n{log}"));
        }
        if verdict == "updated" && !has_the_time(&log) {
            return Err(format!("{what}: the board did not get the time\n{log}"));
        }
        let seconds = begin.elapsed().as_secs_f64();
        println!("updater: {what}: {said} after {ms} of the board, {seconds:.1} s");
        Ok(ms.split(' ').next().and_then(|ms| ms.parse().ok()).unwrap_or(u64::MAX))
    }

    /// Waits until the new image is programmed in this slot up to `at`.
    fn until_programmed(&self, device: &mut Device, slot: u64, at: u64) -> Result<()> {
        let image = fs::read(self.root().join("image")).map_err(text)?;
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let expected = image.get(from..from + 16).unwrap_or_default();
        let end = Instant::now() + BOARD_MAX;
        while self.read(LOG + slot * SLOT + at, 16)? != expected {
            if Instant::now() > end || device.has_ended() {
                return Err(device.fault(&format!("the page at {at} was not programmed")));
            }
            // No event tells it.
            thread::park_timeout(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Power fails in the middle of updates, and the board starts again with the flash as it was.
    fn cuts(&self) -> Result<()> {
        let begin = Instant::now();
        let mut random = Random::new(24);
        let [updates, cuts] = CUTS;
        let mut torn = 0;
        for update in 0..updates {
            // The image before is in slot 1, from the case with noise.
            let slot = update as u64 % 2;
            let boots = self.read(LOG + (1 - slot) * SLOT, IMAGE)?;
            self.new_image(100 + update as u64)?;
            let mut device = Device::start(self, "image")?;
            device.until("bytes of the next image")?;
            for cut in 0..cuts {
                let page = 25 * cut as u64 + random.up_to(18) as u64;
                self.until_programmed(&mut device, slot, page * PAGE)?;
                device.command("system_reset")?;
                let line = device.until("bytes of the next image")?;
                let kept: u64 = line.split(' ').nth(2).and_then(|n| n.parse().ok()).unwrap_or(0);
                if kept + SECTOR < page * PAGE {
                    return Err(device.fault(&format!("power failed at page {page}: {line}")));
                }
                if self.read(LOG + (1 - slot) * SLOT, IMAGE)? != boots {
                    return Err(device.fault("the image that was booted changed"));
                }
                torn += 1;
            }
            let (log, ended) = device.finish()?;
            if ended != Some(0) {
                return Err(format!("after power failures: exit code {ended:?}\n{log}"));
            }
            self.is_in_slot(slot)?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        println!(
            "updater: {torn} power failures in {updates} updates: all finished, {seconds:.1} s"
        );
        Ok(())
    }
}

/// A running board with its bridge and its server. All of them end when it is dropped.
struct Device {
    qemu: Program,
    output: BufReader<ChildStdout>,
    /// What the image has printed.
    log: String,
    monitor: BufReader<UnixStream>,
    /// The server of the image.
    server: Program,
    /// The bridges, and the server of the time.
    others: Vec<Program>,
}

impl Device {
    /// Starts the server, the board and the bridge, and then the processor of the board.
    fn start(scene: &Scene<'_>, args: &str) -> Result<Self> {
        let (server, files) = scene.server(&["files", "--root", "root"])?;
        let (clock, time) = scene.server(&["time"])?;

        let path = |name| scene.folder.path().join(name);
        let (uarts, qmp) = ([path("uart0"), path("uart1")], path("qmp"));
        for socket in uarts.iter().chain([&qmp]) {
            let _ = fs::remove_file(socket);
        }
        let listener = UnixListener::bind(&qmp).map_err(text)?;
        let words: Vec<_> = args.split(' ').map(|word| format!(",arg={word}")).collect();
        let mut qemu = program("qemu-system-arm");
        qemu.args(["-machine", "mps2-an386,memory-backend=psram", "-object"]);
        qemu.arg(format!(
            "memory-backend-file,id=psram,size={PSRAM},share=on,mem-path={}",
            scene.flash().display()
        ));
        qemu.args(["-display", "none", "-monitor", "none", "-S", "-icount", "shift=5,sleep=off"]);
        qemu.arg("-qmp").arg(format!("unix:{}", qmp.display()));
        for uart in &uarts {
            qemu.arg("-serial").arg(format!("unix:{},server=on,wait=off", uart.display()));
        }
        qemu.arg("-semihosting-config");
        qemu.arg(format!("enable=on,target=native,arg=updater{}", words.concat()));
        qemu.arg("-kernel").arg(scene.image);
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut qemu = Program(qemu.spawn().map_err(|error| format!("qemu-system-arm: {error}"))?);
        let output = qemu.0.stdout.take().ok_or("no pipe")?;
        let monitor = qemu.accepted(&listener)?;

        let mut device = Self {
            qemu,
            output: BufReader::new(output),
            log: String::new(),
            monitor: BufReader::new(monitor),
            server,
            others: vec![clock],
        };
        // The greeting. With the answer to the first command, all sockets of the emulator are there.
        device.reply()?;
        device.command("qmp_capabilities")?;
        // A line that damages bytes has short packets, and is to be repaired soon.
        let is_bad = args.contains(" 10 ");
        let (payload, latency) = if is_bad { ("24", "0.005") } else { ("128", "0.05") };
        for (uart, address) in uarts.iter().zip([files, time]) {
            let mut bridge = program(scene.windlass);
            bridge.arg("bridge").arg(format!("unix:{}", uart.display())).arg(address);
            bridge.args(["--payload", payload, "--latency", latency]);
            bridge.stdin(Stdio::null()).stderr(Stdio::piped());
            let mut bridge = Program(bridge.spawn().map_err(text)?);
            let line = bridge.first_line(|child| &mut child.stderr)?;
            device.others.push(bridge);
            if !line.contains("the line is open") {
                return Err(device.fault(&format!("the bridge: {line}")));
            }
        }
        device.command("cont")?;
        Ok(device)
    }

    /// Reads what the image prints up to the next line with `words`.
    fn until(&mut self, words: &str) -> Result<String> {
        loop {
            let mut line = String::new();
            let read = || self.output.read_line(&mut line);
            let (read, hung) = within(BOARD_MAX, &self.qemu.0, read);
            self.log.push_str(&line);
            if hung || read.map_err(text)? == 0 {
                return Err(self.fault(&format!("it did not print {words:?}")));
            }
            if line.contains(words) {
                return Ok(line);
            }
        }
    }

    /// Has the emulator do something.
    fn command(&mut self, name: &str) -> Result<()> {
        let line = format!("{{\"execute\": \"{name}\"}}\n");
        self.monitor.get_ref().write_all(line.as_bytes()).map_err(text)?;
        while !self.reply()?.contains("\"return\"") {}
        Ok(())
    }

    fn reply(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.monitor.read_line(&mut line) {
            Ok(0) => Err(self.fault("the emulator has ended")),
            Ok(_) => Ok(line),
            Err(error) => Err(self.fault(&format!("the emulator does not answer: {error}"))),
        }
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.qemu.0.try_wait(), Ok(None))
    }

    /// Waits for the end of the board. Returns its log and its exit code.
    fn finish(mut self) -> Result<(String, Option<i32>)> {
        let read = || std::io::read_to_string(&mut self.output);
        let (rest, hung) = within(BOARD_MAX, &self.qemu.0, read);
        self.log.push_str(&rest.map_err(text)?);
        if hung {
            return Err(self.fault("it hung"));
        }
        let status = self.qemu.0.wait().map_err(text)?;
        Ok((std::mem::take(&mut self.log), status.code()))
    }

    /// An error with what the image printed.
    fn fault(&mut self, why: &str) -> String {
        self.qemu.end();
        let rest = std::io::read_to_string(&mut self.output).unwrap_or_default();
        format!("the updater: {why}\n{}{rest}", self.log)
    }
}

/// A program that is ended when it is dropped.
struct Program(Child);

impl Program {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// The first line that it prints to this pipe, which stays open.
    fn first_line<R: std::io::Read>(
        &mut self,
        pipe: impl Fn(&mut Child) -> &mut Option<R>,
    ) -> Result<String> {
        let mut line = Vec::new();
        let Some(mut from) = pipe(&mut self.0).take() else { return Err("no pipe".to_owned()) };
        let read = || {
            let mut byte = [0];
            while !line.ends_with(b"\n") && from.read(&mut byte)? == 1 {
                line.push(byte[0]);
            }
            std::io::Result::Ok(())
        };
        within(HOST_MAX, &self.0, read).0.map_err(text)?;
        *pipe(&mut self.0) = Some(from);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// The connection that it makes.
    fn accepted(&mut self, listener: &UnixListener) -> Result<UnixStream> {
        listener.set_nonblocking(true).map_err(text)?;
        let end = Instant::now() + HOST_MAX;
        loop {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(false).map_err(text)?;
                stream.set_read_timeout(Some(HOST_MAX)).map_err(text)?;
                return Ok(stream);
            }
            if Instant::now() > end || !matches!(self.0.try_wait(), Ok(None)) {
                return Err("the emulator did not connect to its monitor".to_owned());
            }
            // It may also have ended.
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

fn text(error: impl std::fmt::Display) -> String {
    format!("the updater: {error}")
}
