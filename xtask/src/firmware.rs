//! Builds the images of three boards, runs them under QEMU with what they talk to, and compares flash, RAM, stack and
//! time with limits.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use object::{Object, ObjectSection, SectionFlags, elf};

use crate::bare::is_installed;
use crate::emulator::{Emulator, Machine};
use crate::jobs::{self, Job};
use crate::run::{Result, build_windlass, cargo, has, root, run, skip, talk};
use crate::scene::{Flash, Updated};
use crate::{ether, update};

/// A board of QEMU, and the limits of its images. If an image has to grow, raise the limit in the commit that needs it.
struct Board {
    name: &'static str,
    target: &'static str,
    machine: &'static Machine,
    /// The largest flash of the line server, in bytes.
    flash_max: u64,
    /// The largest flash of the updater.
    updater_max: u64,
    updated: Updated,
}

const MPS2: Machine = Machine {
    qemu: "qemu-system-arm",
    package: "qemu-system-arm",
    args: &["-machine", "mps2-an386"],
};
const MICROBIT: Machine = Machine {
    qemu: "qemu-system-arm",
    package: "qemu-system-arm",
    args: &["-machine", "microbit"],
};
const VIRT: Machine = Machine {
    qemu: "qemu-system-riscv32",
    package: "qemu-system-misc",
    args: &["-machine", "virt", "-m", "16M", "-bios", "none"],
};

const BOARDS: [Board; 3] = [
    Board {
        name: "mps2-an386",
        target: "thumbv7em-none-eabihf",
        machine: &MPS2,
        flash_max: 5 * 1024 + 512,
        updater_max: 24 * 1024,
        updated: Updated {
            machine: &MPS2,
            // The PSRAM.
            flash: Flash::Memory { args: &["-machine", "memory-backend=flash"], at: 0 },
            uarts: 2,
            clean_max_ms: 45_000,
        },
    },
    Board {
        name: "microbit",
        target: "thumbv6m-none-eabi",
        machine: &MICROBIT,
        flash_max: 6 * 1024,
        updater_max: 22 * 1024,
        updated: Updated {
            machine: &MICROBIT,
            flash: Flash::Chip { at: 120 << 10 },
            uarts: 1,
            clean_max_ms: 45_000,
        },
    },
    Board {
        name: "virt",
        target: "riscv32imac-unknown-none-elf",
        machine: &VIRT,
        flash_max: 7 * 1024,
        updater_max: 26 * 1024,
        updated: Updated {
            machine: &VIRT,
            // The RAM, behind what the linker fills.
            flash: Flash::Memory { args: &["-machine", "memory-backend=flash"], at: 2 << 20 },
            uarts: 1,
            // Its pause gives the other threads of the emulator no turn, so its time goes on.
            clean_max_ms: 120_000,
        },
    },
];

/// The largest static memory of a line server and of an updater, in bytes.
const RAM_MAX: u64 = 192;

/// How long a board may take to boot, to answer, and to measure its stack. It takes about a second.
const BOARD_MAX: Duration = Duration::from_secs(120);

/// Builds all images, and runs what has `word` in its name.
pub(crate) fn firmware(word: &str) -> Result<()> {
    // Fast enough, and the tests have built most of it.
    let windlass = build_windlass("dev")?;
    let mut images = Vec::new();
    for board in &BOARDS {
        if !is_installed(board.target)? {
            skip(board.name, &format!("rustup target add {}", board.target))?;
            continue;
        }
        let folder =
            build(board, "release", "updater", &["windlass-firmware", "stack", "updater"])?;
        fits(board, &folder.join("windlass-firmware"), board.flash_max)?;
        fits(board, &folder.join("updater"), board.updater_max)?;
        let fast = match board.name {
            "mps2-an386" => {
                Some(build(board, "fast", "embassy,updater", &["ether", "embassy", "group"])?)
            }
            _ => None,
        };
        if has(board.machine.qemu) {
            images.push((board, folder, fast));
        } else {
            skip(board.name, &format!("apt-get install {}", board.machine.package))?;
        }
    }
    // The longest one first.
    let (mut long, mut short) = (Vec::new(), Vec::new());
    for (board, folder, fast) in &images {
        let (name, machine) = (board.name, board.machine);
        let of = |work: &str| format!("{name}: {work}");
        let (updater, windlass) = (folder.join("updater"), &*windlass);
        if let Some(fast) = fast {
            short.extend(over_ethernet(name, machine, fast, windlass));
            let image = updater.clone();
            long.push(Job::new(of("an update over a bad line"), move || {
                update::over_a_bad_line(&board.updated, &image, windlass)
            }));
            let image = updater.clone();
            short.push(Job::new(of("verdicts"), move || {
                update::verdicts(&board.updated, &image, windlass)
            }));
        }
        short.push(Job::new(of("power failures"), move || {
            update::power_failures(&board.updated, &updater, windlass)
        }));
        let image = folder.join("stack");
        short.push(Job::new(of("stack"), move || {
            Emulator::start(machine.command(&image, &[]), &image, BOARD_MAX)?.succeeds()
        }));
        let image = folder.join("windlass-firmware");
        short.push(Job::new(of("lines"), move || lines(machine, &image, windlass)));
    }
    let all: Vec<Job<'_>> = long.into_iter().chain(short).collect();
    let names: Vec<_> = all.iter().map(|job| job.name.clone()).collect();
    let jobs: Vec<_> = all.into_iter().filter(|job| job.name.contains(word)).collect();
    if jobs.is_empty() && !names.is_empty() {
        return Err(format!("nothing has {word:?} in its name. There are:\n{}", names.join("\n")));
    }
    jobs::run(jobs)
}

/// What the images of the board with a network do.
fn over_ethernet<'a>(
    name: &str,
    machine: &'a Machine,
    images: &Path,
    windlass: &'a Path,
) -> Vec<Job<'a>> {
    let of = |work: &str| format!("{name}: {work}");
    let [ether, embassy, group] = ["ether", "embassy", "group"].map(|image| images.join(image));
    let exact = ether.clone();
    vec![
        Job::new(of("downloads from this host"), move || {
            ether::from_host(machine, &ether, windlass)
        }),
        Job::new(of("downloads from QEMU"), move || ether::from_qemu(machine, &exact)),
        Job::new(of("sessions and a transfer at once"), move || {
            ether::at_once(machine, &embassy, windlass)
        }),
        Job::new(of("two boards on a network"), move || ether::two_boards(machine, &group)),
    ]
}

/// Boots a line server, and talks to it. Returns its log.
fn lines(machine: &Machine, image: &Path, windlass: &Path) -> Result<String> {
    let every_byte: Vec<u8> = (0..=255).cycle().take(16 * 1024).collect();
    let mut log = String::new();
    for text in [&b"hello from the other end of the line\r\n"[..], &every_byte] {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let socket = format!("unix:{}", folder.path().join("uart").display());
        let mut qemu = machine.command(image, &[]);
        qemu.args(["-serial", &format!("{socket},server=on,wait=off")]);
        let mut board = Emulator::start(qemu, image, BOARD_MAX)?;
        log += &board.until("upper on UART0")?;
        match talk(windlass, &socket, text) {
            Ok(answer) if answer == text.to_ascii_uppercase() => {}
            Ok(_) => return Err(board.fault("no answer in capitals")),
            Err(why) => return Err(board.fault(&why)),
        }
    }
    Ok(log)
}

/// Builds images at once, so that they share what they are made of, and returns their folder.
fn build(board: &Board, profile: &str, features: &str, images: &[&str]) -> Result<PathBuf> {
    let dir = root().join("firmware");
    let mut cargo = cargo();
    cargo.current_dir(&dir).args(["build", "--locked", "--profile", profile]);
    cargo.args(["--target", board.target, "--features", features]);
    for image in images {
        cargo.args(["--bin", image]);
    }
    run(cargo.env_remove("CARGO_TARGET_DIR"))?;
    Ok(dir.join("target").join(board.target).join(profile))
}

/// Compares an image with its limits.
fn fits(board: &Board, image: &Path, flash_max: u64) -> Result<()> {
    let (flash, ram) = sizes(image)?;
    let name = image.file_name().unwrap_or_default().display();
    println!("{name} on {}: {flash} bytes of flash, {ram} bytes of RAM", board.name);
    if flash <= flash_max && ram <= RAM_MAX {
        return Ok(());
    }
    Err(format!(
        "{name} on {}: more than {flash_max} bytes of flash or {RAM_MAX} of RAM",
        board.name
    ))
}

/// Flash and RAM of an image: the loaded sections, and the writable ones. The memory that is left for the
/// stack is a section of some runtimes.
fn sizes(image: &Path) -> Result<(u64, u64)> {
    let fail = |why: String| format!("{}: {why}", image.display());
    let bytes = fs::read(image).map_err(|error| fail(error.to_string()))?;
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
