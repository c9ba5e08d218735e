//! Builds the Cortex-M4 image, boots it under QEMU and talks to it with `windlass talk`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use object::{Object, ObjectSection, SectionFlags, elf};

use crate::bare::is_installed;
use crate::run::{Result, build_windlass, cargo, has, program, root, run, skip, talk};

const TARGET: &str = "thumbv7em-none-eabihf";
const QEMU: &str = "qemu-system-arm";

/// The largest flash of the image, in bytes. If the image has to grow, raise it in the commit that
/// needs it.
const FLASH_MAX: u64 = 6 * 1024 + 512;

/// The largest static memory of the image, in bytes.
const RAM_MAX: u64 = 512;

pub(crate) fn firmware() -> Result<()> {
    if !is_installed(TARGET)? {
        return skip("firmware", &format!("rustup target add {TARGET}"));
    }
    let dir = root().join("firmware");
    // The target and the linker scripts are in the configuration of that folder.
    run(cargo()
        .current_dir(&dir)
        .args(["build", "--release", "--locked"])
        .env_remove("CARGO_TARGET_DIR"))?;
    let image = dir.join("target").join(TARGET).join("release/windlass-firmware");
    let (flash, ram) = sizes(&image)?;
    println!("image: {flash} bytes of flash, {ram} bytes of RAM");
    if flash > FLASH_MAX || ram > RAM_MAX {
        return Err(format!("the image outgrew {FLASH_MAX} bytes of flash or {RAM_MAX} of RAM"));
    }
    if !has(QEMU) {
        return skip("booting the firmware", "apt-get install qemu-system-arm");
    }
    stack(&image.with_file_name("stack"))?;
    let windlass = build_windlass()?;
    for (name, text) in conversations() {
        let board = Board::boot(&image)?;
        let answer = talk(&windlass, &board.address, &text)?;
        if answer != text.to_ascii_uppercase() {
            return Err(format!("{name}: the board did not answer in capitals"));
        }
        println!("{name}: {} bytes there and back over {}", text.len(), board.address);
    }
    Ok(())
}

/// Runs the image that measures what sessions take of the stack. It fails if a session takes too much.
fn stack(image: &Path) -> Result<()> {
    run(program(QEMU)
        .args(["-machine", "mps2-an386", "-display", "none", "-monitor", "none"])
        .args(["-serial", "null", "-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(image)
        .stdin(Stdio::null()))
}

/// The text that is sent to the board.
fn conversations() -> [(&'static str, Vec<u8>); 2] {
    let every_byte = (0..=255).cycle().take(16 * 1024).collect();
    [
        ("a line", b"hello from the other end of the line\r\n".to_vec()),
        ("16 KiB of every byte", every_byte),
    ]
}

/// A running board. Dropping it switches it off.
struct Board {
    qemu: Child,
    address: String,
    socket: PathBuf,
}

impl Board {
    fn boot(image: &Path) -> Result<Self> {
        let socket = std::env::temp_dir().join(format!("windlass-uart-{}", std::process::id()));
        let mut qemu = program(QEMU)
            .args(["-machine", "mps2-an386", "-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native", "-serial"])
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .arg("-kernel")
            .arg(image)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{QEMU}: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = qemu.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|error| format!("{QEMU}: {error}"))?;
        }
        let board = Self { qemu, address: format!("unix:{}", socket.display()), socket };
        if !line.contains("upper on UART0") {
            return Err(format!("the board did not boot, it said {line:?}"));
        }
        print!("{line}");
        Ok(board)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Flash and RAM of an image: the loaded sections, and the writable ones.
fn sizes(image: &Path) -> Result<(u64, u64)> {
    let fail = |why: String| format!("{}: {why}", image.display());
    let bytes = std::fs::read(image).map_err(|error| fail(error.to_string()))?;
    let file = object::File::parse(&*bytes).map_err(|error| fail(error.to_string()))?;
    let (mut flash, mut ram) = (0, 0);
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
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
