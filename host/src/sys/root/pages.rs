//! The page of a folder: its `index.html`, or a list of its names that is made for one request.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};

/// What is served for the name of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pages {
    /// A folder without `index.html` is a list of its names.
    pub lists: bool,
    /// Names that begin with a dot are in the list.
    pub dot_files: bool,
}

/// The largest number of names in a list: it is made in memory.
const NAMES_MAX: usize = 10_000;

/// Makes the list of the names in a folder, which is open; `name` is the name of the folder, for the title.
/// Returns a file, and its size.
///
/// # Errors
/// The folder cannot be read, or there is no memory for the list.
pub(super) fn list(folder: OwnedFd, name: &[u8], pages: Pages) -> Result<(File, u64), Errno> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(folder)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let is_hidden =
            name.starts_with(b".") && (!pages.dot_files || matches!(name, b"." | b".."));
        let is_folder = match entry.file_type() {
            Some(Type::Directory) => true,
            // Of a link only opening it shows where it leads.
            Some(Type::File | Type::Symlink) | None => false,
            Some(Type::Fifo | Type::Socket | Type::CharacterDevice | Type::BlockDevice) => continue,
        };
        if !is_hidden {
            names.push((name.to_vec(), is_folder));
        }
        if names.len() == NAMES_MAX {
            break;
        }
    }
    names.sort_unstable();
    let page = page(name, &names);
    let mut file = File::from(memfd_create(c"windlass-page", MFdFlags::MFD_CLOEXEC)?);
    let written = file.write_all(page.as_bytes());
    written.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    Ok((file, page.len() as u64))
}

fn page(folder: &[u8], names: &[(Vec<u8>, bool)]) -> String {
    let mut page = String::from("<!doctype html>\n<meta charset=\"utf-8\">\n<title>/");
    text(&mut page, folder);
    page += "</title>\n<h1>/";
    text(&mut page, folder);
    page += "</h1>\n<ul>\n";
    if !folder.is_empty() {
        page += "<li><a href=\"../\">../</a>\n";
    }
    for (name, is_folder) in names {
        let end = if *is_folder { "/" } else { "" };
        // `./`, or a name with a colon would be a scheme.
        page += "<li><a href=\"./";
        link(&mut page, name);
        let _ = write!(page, "{end}\">");
        text(&mut page, name);
        let _ = writeln!(page, "{end}</a>");
    }
    page += "</ul>\n";
    if names.len() == NAMES_MAX {
        let _ = writeln!(page, "<p>There may be more names than these {NAMES_MAX}.");
    }
    page
}

/// A name as text of the page.
fn text(page: &mut String, name: &[u8]) {
    for letter in String::from_utf8_lossy(name).chars() {
        match letter {
            '&' => *page += "&amp;",
            '<' => *page += "&lt;",
            '>' => *page += "&gt;",
            '"' => *page += "&quot;",
            letter if letter.is_control() => page.push('\u{fffd}'),
            letter => page.push(letter),
        }
    }
}

/// A name as a part of a path.
fn link(page: &mut String, name: &[u8]) {
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            page.push(byte.into());
        } else {
            let _ = write!(page, "%{byte:02X}");
        }
    }
}
