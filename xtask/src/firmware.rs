//! Builds the images of three boards, boots them under QEMU and talks to them with `windlass talk`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use object::{Object, ObjectSection, SectionFlags, elf};

use crate::bare::is_installed;
use crate::ether::ether;
use crate::run::{
    Result, build_windlass, captured, cargo, has, program, root, run, skip, talk, within,
};
use crate::update;

/// A board of QEMU, and the limits of its image.
struct Board {
    target: &'static str,
    qemu: &'static str,
    /// The Debian package with that program.
    package: &'static str,
    machine: &'static [&'static str],
    /// The largest flash of the image, in bytes. If the image has to grow, raise it in the commit that
    /// needs it.
    flash_max: u64,
}

const BOARDS: [Board; 3] = [
    Board {
        target: "thumbv7em-none-eabihf",
        qemu: "qemu-system-arm",
        package: "qemu-system-arm",
        machine: &["-machine", "mps2-an386"],
        flash_max: 6 * 1024 + 768,
    },
    Board {
        target: "thumbv6m-none-eabi",
        qemu: "qemu-system-arm",
        package: "qemu-system-arm",
        machine: &["-machine", "microbit"],
        flash_max: 7 * 1024 + 256,
    },
    Board {
        target: "riscv32imac-unknown-none-elf",
        qemu: "qemu-system-riscv32",
        package: "qemu-system-misc",
        machine: &["-machine", "virt", "-bios", "none"],
        flash_max: 8 * 1024,
    },
];

/// The largest static memory of an image, in bytes.
const RAM_MAX: u64 = 192;

/// The largest flash of the updater, in bytes, with the simulated flash and line and the texts for the debugger.
const UPDATER_MAX: u64 = 28 * 1024;

/// How long a board may take to boot, and an image that ends by itself to end. It takes about a second.
const BOARD_MAX: Duration = Duration::from_secs(60);

pub(crate) fn firmware() -> Result<()> {
    let windlass = build_windlass()?;
    for board in &BOARDS {
        firmware_of(board, &windlass)?;
    }
    Ok(())
}

fn firmware_of(board: &Board, windlass: &Path) -> Result<()> {
    let name = board.machine[1];
    if !is_installed(board.target)? {
        return skip(name, &format!("rustup target add {}", board.target));
    }
    let image = build(board, "windlass-firmware")?;
    let (flash, ram) = sizes(&image)?;
    println!("{name}: {flash} bytes of flash, {ram} bytes of RAM");
    if flash > board.flash_max || ram > RAM_MAX {
        let flash_max = board.flash_max;
        return Err(format!("{name}: more than {flash_max} bytes of flash or {RAM_MAX} of RAM"));
    }
    if !has(board.qemu) {
        return skip(name, &format!("apt-get install {}", board.package));
    }
    if name == "mps2-an386" {
        stack(board)?;
        updater(board, windlass)?;
        ether(windlass)?;
    }
    for (what, text) in conversations() {
        let running = Running::boot(board, &image)?;
        match talk(windlass, &running.address, &text) {
            Ok(answer) if answer == text.to_ascii_uppercase() => {}
            Ok(_) => return Err(running.fault(&format!("{what}: no answer in capitals"))),
            Err(why) => return Err(running.fault(&format!("{what}: {why}"))),
        }
        println!("{name}: {what}: {} bytes there and back", text.len());
    }
    Ok(())
}

/// Builds the updater, and runs it.
fn updater(board: &Board, windlass: &Path) -> Result<()> {
    let image = build(board, "updater")?;
    let (flash, ram) = sizes(&image)?;
    println!("the updater: {flash} bytes of flash, {ram} bytes of RAM");
    if flash > UPDATER_MAX || ram > RAM_MAX {
        return Err(format!(
            "the updater: more than {UPDATER_MAX} bytes of flash or {RAM_MAX} of RAM"
        ));
    }
    update::updates(&image, windlass)
}

/// Builds an image, and returns its path. The features are named like the images that need them.
fn build(board: &Board, image: &str) -> Result<PathBuf> {
    let features = if image == "updater" { image } else { "" };
    let dir = root().join("firmware");
    run(cargo()
        .current_dir(&dir)
        .args(["build", "--release", "--locked", "--bin", image, "--target", board.target])
        .args(["--features", features])
        .env_remove("CARGO_TARGET_DIR"))?;
    Ok(dir.join("target").join(board.target).join("release").join(image))
}

/// Runs the image that measures what sessions take of the stack. It fails if a session takes too much.
fn stack(board: &Board) -> Result<()> {
    let image = build(board, "stack")?;
    let mut qemu = emulator(board, &image);
    let (text, status) = captured(qemu.args(["-serial", "null"]), BOARD_MAX)
        .map_err(|error| format!("{}: {error}", board.qemu))?;
    print!("{text}");
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("the image that measures the stack: {status}")),
        None => Err("the image that measures the stack hung".to_owned()),
    }
}

/// The board with an image, without its serial ports.
fn emulator(board: &Board, image: &Path) -> Command {
    let mut qemu = program(board.qemu);
    qemu.args(board.machine).args(["-display", "none", "-monitor", "none"]);
    qemu.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(image);
    qemu.stdin(Stdio::null());
    qemu
}

/// The text that is sent to the board.
fn conversations() -> [(&'static str, Vec<u8>); 2] {
    let every_byte = (0..=255).cycle().take(16 * 1024).collect();
    [
        ("a line", b"hello from the other end of the line\r\n".to_vec()),
        ("16 KiB of every byte", every_byte),
    ]
}

/// A board that runs. Dropping it switches it off.
struct Running {
    qemu: Child,
    log: BufReader<ChildStdout>,
    address: String,
    /// The socket of its UART, and the errors of QEMU.
    folder: tempfile::TempDir,
}

impl Running {
    fn boot(board: &Board, image: &Path) -> Result<Self> {
        let fail = |error: std::io::Error| format!("{}: {error}", board.qemu);
        let folder = tempfile::tempdir().map_err(fail)?;
        let socket = folder.path().join("uart");
        let errors = File::create(folder.path().join("errors")).map_err(fail)?;
        let mut qemu = emulator(board, image)
            .arg("-serial")
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(fail)?;
        let Some(stdout) = qemu.stdout.take() else {
            return Err(format!("{}: no pipe", board.qemu));
        };
        let address = format!("unix:{}", socket.display());
        let mut running = Self { qemu, log: BufReader::new(stdout), address, folder };
        let mut line = String::new();
        let (read, _) = within(BOARD_MAX, &running.qemu, || running.log.read_line(&mut line));
        read.map_err(fail)?;
        if !line.contains("upper on UART0") {
            return Err(running.fault(&format!("no boot line, but {line:?}")));
        }
        print!("{line}");
        Ok(running)
    }

    /// Switches it off. Returns an error with what it printed.
    fn fault(mut self, why: &str) -> String {
        let _ = self.qemu.kill();
        let mut log = String::new();
        let _ = self.log.read_to_string(&mut log);
        let errors = std::fs::read_to_string(self.folder.path().join("errors"));
        format!("the board: {why}\n{log}{}", errors.unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Flash and RAM of an image: the loaded sections, and the writable ones. The memory that is left for the
/// stack is a section of some runtimes.
fn sizes(image: &Path) -> Result<(u64, u64)> {
    let fail = |why: String| format!("{}: {why}", image.display());
    let bytes = std::fs::read(image).map_err(|error| fail(error.to_string()))?;
    let file = object::File::parse(&*bytes).map_err(|error| fail(error.to_string()))?;
    let (mut flash, mut ram) = (0, 0);
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & u64::from(elf::SHF_ALLOC) == 0 || section.name() == Ok(".stack") {
            continue;
        }
        if section.kind() != object::SectionKind::UninitializedData {
            flash += section.size();
        }
        if sh_flags & u64::from(elf::SHF_WRITE) != 0 {
            ram += section.size();
        }
    }
    Ok((flash, ram))
}
