//! Measures the flash of each machine of the core on a device, and checks that none can panic.
//!
//! `firmware/sizes` has an image for each machine. All are linked for a Cortex-M0 and a Cortex-M4 at
//! `opt-level` z, s and 3, against a panic handler that calls a symbol which is nowhere: an image that
//! could panic does not link. The table of docs/DEVICE.md has the bytes that an image has more than
//! another one: the empty one, or one with all that is not the machine.

use std::fmt::Write;
use std::path::Path;

use object::{Object, ObjectSection, SectionFlags, elf};

use crate::bare::is_installed;
use crate::run::{Result, cargo, root, run, skip};

const TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "thumbv7em-none-eabi"];

/// The levels of the table, and level 3: it inlines more, so the optimiser sees other paths.
const LEVELS: [&str; 3] = ["z", "s", "3"];

/// An image, the one that it is compared with, its name in the table, and its largest flash at z and s, in bytes.
/// If an image has to grow, raise its number in the commit that needs it.
const IMAGES: [(&str, &str, &str, u64); 35] = [
    ("upper", "empty", "line session on the pump", 512),
    ("time_client", "empty", "`time` client on the pump", 1024),
    ("time_server", "empty", "`time` server on the pump", 768),
    ("frames", "empty", "frame decoder and encoder", 2048),
    ("encoder", "empty", "frame encoder, for a gathering write", 256),
    ("read_line", "empty", "`ReadLine`", 1280),
    ("read_n", "empty", "`ReadN` and `WriteN`", 1024),
    ("files_client", "empty", "`files` client complete, with CRC-32", 4736),
    ("files_server", "empty", "`files` server complete, with CRC-32", 10240),
    ("ticks", "empty", "32-bit timer, extended", 256),
    ("link", "empty", "line session over the link layer", 2560),
    ("device", "empty", "all that a device uses", 8192),
    ("device_link", "empty", "the same over the link layer", 10880),
    ("routines", "empty", "*the compiler's `memcpy`, `memset`, `memcmp`*", 2048),
    ("score", "routines", "`score`, sent and received", 512),
    ("smoltcp_udp", "routines", "*smoltcp with a UDP socket on Ethernet*", 26 * 1024),
    ("smoltcp_tcp", "routines", "*smoltcp with a TCP socket on Ethernet*", 26 * 1024),
    ("session_loop", "routines", "*the loop of a session, and flash with CRC-32*", 2560),
    ("http_images", "session_loop", "HTTP server: GET, HEAD, ranges", 6144),
    ("http_server", "session_loop", "HTTP server: GET, HEAD, ranges, conditions, dates", 10240),
    ("transfer_loop", "routines", "*the loop of a transfer, and flash with CRC-32*", 1152),
    ("xfer_client", "transfer_loop", "`xfer` client", 2848),
    ("xfer_client_bare", "transfer_loop", "`xfer` client without parts", 2208),
    ("xfer_server", "transfer_loop", "`xfer` server", 3344),
    ("xfer_server_bare", "transfer_loop", "`xfer` server without parts", 2144),
    ("tftp_get", "transfer_loop", "TFTP client that reads, with all parts and a digest", 4864),
    ("tftp_get_options", "transfer_loop", "the same with `OPTIONS` alone", 3584),
    ("tftp_get_bare", "transfer_loop", "the same without parts, as in RFC 1350", 2432),
    ("tftp_put", "transfer_loop", "TFTP client that writes, with all parts and a digest", 4480),
    ("tftp_put_options", "transfer_loop", "the same with `OPTIONS` alone", 2752),
    ("tftp_put_bare", "transfer_loop", "the same without parts, as in RFC 1350", 1728),
    ("tftp_server", "transfer_loop", "TFTP server, both directions, with all parts", 9152),
    ("tftp_server_bare", "transfer_loop", "the same with `READS`, `WRITES`, as in RFC 1350", 4224),
    ("tftp_server_reads", "transfer_loop", "the same with `READS` alone", 2944),
    ("tftp_server_writes", "transfer_loop", "the same with `WRITES` alone", 3392),
];

/// The bytes that the link layer may add to an image.
const LINK: [(&str, &str, u64); 2] = [("upper", "link", 2176), ("device", "device_link", 3456)];

/// The machines of which docs/DEVICE.md says that they fit into so many bytes on a Cortex-M4 at level s.
const PROMISES: [(&str, u64); 8] = [
    ("score", 512),
    ("xfer_client_bare", 2048),
    ("xfer_server_bare", 2048),
    ("tftp_get_options", 3072),
    ("tftp_put_options", 3072),
    ("tftp_server_reads", 3072),
    ("tftp_server_writes", 3072),
    ("http_images", 6144),
];

/// The page with the table, and the lines of it between which the table stands.
const PAGE: &str = "docs/DEVICE.md";
const BEGIN: &str = "<!-- sizes: cargo xtask size -->\n";
const END: &str = "<!-- end of sizes -->\n";

/// Links all images, prints the table, and compares it with [`PAGE`] and with the budgets.
pub(crate) fn size() -> Result<()> {
    let Some(table) = table()? else { return Ok(()) };
    println!("{table}");
    let path = root().join(PAGE);
    let page = read(&path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("docs/DEVICE.md has no table of sizes")?;
    let (old, after) =
        rest.split_once(END).ok_or("the table of sizes in docs/DEVICE.md has no end")?;
    // Another compiler makes images that differ by a few percent.
    if is_close(old, &table) {
        return Ok(());
    }
    let new = format!("{before}{BEGIN}{table}{END}{after}");
    std::fs::write(&path, new).map_err(|error| format!("write {}: {error}", path.display()))?;
    Err("the sizes differed from the table in docs/DEVICE.md; the table was rewritten: see git diff".into())
}

fn table() -> Result<Option<String>> {
    for target in TARGETS {
        if !is_installed(target)? {
            skip("sizes", &format!("rustup target add {target}"))?;
            return Ok(None);
        }
    }
    let mut columns = Vec::new();
    for target in TARGETS {
        for level in LEVELS {
            build(target, level)?;
            if level != "3" {
                let mut column = Vec::new();
                for (image, base, _, most) in IMAGES {
                    let size = flash(target, image)?.saturating_sub(flash(target, base)?);
                    if size > most {
                        return Err(format!(
                            "{image} weighs {size} bytes for {target} at {level}, and may weigh {most}"
                        ));
                    }
                    column.push(size);
                }
                let of = |name| IMAGES.iter().zip(&column).find(|((image, ..), _)| *image == name);
                for (image, most) in PROMISES {
                    let Some((_, &size)) = of(image) else { continue };
                    if (target, level) == (TARGETS[1], "s") && size > most {
                        return Err(format!(
                            "{image} weighs {size} bytes for {target} at {level}, and docs/DEVICE.md promises {most}"
                        ));
                    }
                }
                for (without, with, most) in LINK {
                    let (Some((_, less)), Some((_, more))) = (of(without), of(with)) else {
                        continue;
                    };
                    let size = more.saturating_sub(*less);
                    if size > most {
                        return Err(format!(
                            "the link layer adds {size} bytes to {without} for {target} at {level}, and may add {most}"
                        ));
                    }
                }
                columns.push(column);
            }
        }
    }
    let mut table =
        String::from("| bytes of flash | M0, z | M0, s | M4, z | M4, s |\n|---|---|---|---|---|\n");
    for (row, (_, _, name, _)) in IMAGES.iter().enumerate() {
        write!(table, "| {name} |").map_err(|error| error.to_string())?;
        for column in &columns {
            write!(table, " {} |", column[row]).map_err(|error| error.to_string())?;
        }
        table.push('\n');
    }
    Ok(Some(table))
}

/// Links every image. An image that could panic does not link.
fn build(target: &str, level: &str) -> Result<()> {
    run(cargo()
        .current_dir(root().join("firmware/sizes"))
        .args(["build", "--quiet", "--release", "--locked", "--bins", "--target", target])
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", level)
        .env_remove("CARGO_TARGET_DIR"))
    .map_err(|error| format!("{error}: at opt-level {level} for {target} an image can panic"))
}

/// The bytes that an image loads. It must have no `.data` and no `.bss`.
fn flash(target: &str, image: &str) -> Result<u64> {
    let path = root().join("firmware/sizes/target").join(target).join("release").join(image);
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file =
        object::File::parse(&*bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut flash = 0;
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
            continue;
        }
        if sh_flags & u64::from(elf::SHF_WRITE) != 0 && section.size() > 0 {
            let name = section.name().unwrap_or_default();
            return Err(format!("{image} for {target} has memory of its own: {name}"));
        }
        flash += section.size();
    }
    Ok(flash)
}

/// Whether the tables have the same words, and numbers that differ by 5 % or 32 bytes at most.
fn is_close(old: &str, new: &str) -> bool {
    let (old, new): (Vec<_>, Vec<_>) = (old.split('|').collect(), new.split('|').collect());
    old.len() == new.len()
        && old.iter().zip(&new).all(|(old, new)| {
            match (old.trim().parse::<u64>(), new.trim().parse::<u64>()) {
                (Ok(old), Ok(new)) => old.abs_diff(new) <= 32.max(new / 20),
                _ => old == new,
            }
        })
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_may_differ_by_what_a_compiler_does() {
        let table = |n: u64| format!("| name | {n} |\n");
        for (old, new, close) in [
            (1000, 1000, true),
            (1000, 1050, true),
            (1000, 1100, false),
            (10, 40, true),
            (10, 50, false),
        ] {
            assert_eq!(is_close(&table(old), &table(new)), close, "{old} {new}");
        }
        assert!(!is_close("| a | 1 |", "| b | 1 |"));
        assert!(!is_close("", &table(1)));
    }
}
