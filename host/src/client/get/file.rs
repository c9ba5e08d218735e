//! Replaces a file by a complete part, which takes its name, owner, mode and attributes.
//!
//! ```text
//!            ┌── nothing has the name ─────────────────────────────▶ rename(2)
//!  whole part┼── a file that the part can become the like of ──────▶ rename(2) ──EBUSY, EPERM, …─┐
//!            └── one with two names, or of an owner we cannot give it ─────────────────────────▶ copy
//! ```
//!
//! `rename(2)` is better: the name has the old content or the new one, whatever happens. A copy into the
//! existing file keeps all its properties. It is made if the rename would lose one of them, or if
//! the kernel refuses it: at a mount point, in a sticky folder.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use tracing::{info, warn};
use xattr::FileExt;

use crate::printable::printable;
use crate::sys::Errno;
use crate::sys::file::reserve;
use crate::sys::root::open_regular;

/// Puts the complete part `part`, with the name `path`, in the place of `name`.
pub(super) fn replace_by(part: &mut File, path: &Path, name: &Path) -> io::Result<()> {
    let before = match fs::symlink_metadata(name) {
        Ok(before) if before.is_file() => before,
        Ok(_) => return Err(io::Error::other("the name belongs to something that is no file now")),
        Err(error) if error.kind() == ErrorKind::NotFound => return fs::rename(path, name),
        Err(error) => return Err(error),
    };
    let mut lost = become_like(part, name, &before);
    if before.nlink() > 1 {
        lost.push("its other names");
    }
    if before.mode() & 0o6000 != 0 {
        // Set-user-ID is not copied: replacing a program must not grant its owner's rights to new
        // content.
        warn!("{}: the set-user-ID and set-group-ID bits are not kept", printable(name));
    }
    let why_not = if lost.is_empty() {
        match fs::rename(path, name) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        }
    } else {
        io::Error::other(format!("a new file would lose {}", lost.join(", ")))
    };
    let there = match open_regular(name, File::options().write(true)) {
        Ok(there) if is_same(&there.metadata()?, &before) => there,
        Ok(_) => return Err(io::Error::other("the name belongs to another file now")),
        // It can be replaced but not written.
        Err(_) if !lost.is_empty() => {
            fs::rename(path, name)?;
            warn!(
                "{}: it is a new file, without {} of the old one",
                printable(name),
                lost.join(", ")
            );
            return Ok(());
        }
        Err(_) => return Err(why_not),
    };
    info!("{}: written in place: {}", printable(name), reason(why_not));
    copy(part, &there)?;
    fs::remove_file(path)
}

/// Copies all of `part` into `there`. If that fails, `there` is left empty.
fn copy(part: &mut File, mut there: &File) -> io::Result<()> {
    // Most errors show here, while the old content is still there.
    reserve(there, part.metadata()?.len())?;
    part.rewind()?;
    there.set_len(0)?;
    let copied = io::copy(part, &mut there).and_then(|_| there.sync_data());
    copied.inspect_err(|_| {
        let _ = there.set_len(0);
    })
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Gives `part` the owner, group, attributes and mode of the file `name`. Returns what it cannot have.
fn become_like(part: &File, name: &Path, before: &Metadata) -> Vec<&'static str> {
    let mut lost = Vec::new();
    let mut note = |done: io::Result<()>, what| {
        if done.is_err() {
            lost.push(what);
        }
    };
    let Ok(now) = part.metadata() else { return vec!["its owner"] };
    // The mode comes last: the others change it.
    if now.gid() != before.gid() {
        note(fchown(part, None, Some(before.gid())), "its group");
    }
    if now.uid() != before.uid() {
        note(fchown(part, Some(before.uid()), None), "its owner");
    }
    note(copy_attributes(part, name), "its attributes");
    // On a file system without modes both have the same.
    let mode = before.mode() & 0o777;
    if part.metadata().map_or(true, |now| now.mode() & 0o7777 != mode) {
        note(part.set_permissions(Permissions::from_mode(mode)), "its mode");
    }
    lost
}

/// The access control list of the file (acl(5)).
const ACL: &str = "system.posix_acl_access";
/// The access control list of NFS 4.
const NFS_ACL: &str = "system.nfs4_acl";

/// Whether an attribute belongs to the file, and is not made by the kernel from the content.
/// Capabilities of a program are those of the content, as set-user-ID is.
fn is_kept(attribute: &OsStr) -> bool {
    attribute == ACL
        || attribute == NFS_ACL
        || attribute == "security.selinux"
        || attribute.as_bytes().starts_with(b"user.")
}

/// A file system without attributes has none to keep.
fn copy_attributes(part: &File, name: &Path) -> io::Result<()> {
    let attributes = match xattr::list_deref(name) {
        Ok(attributes) => attributes,
        Err(error) if is_unsupported(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut has_acl = false;
    for attribute in attributes.filter(|it| is_kept(it)) {
        has_acl |= attribute == ACL;
        let Some(value) = xattr::get_deref(name, &attribute)? else { continue };
        if part.get_xattr(&attribute).ok().flatten().as_ref() != Some(&value) {
            part.set_xattr(&attribute, &value)?;
        }
    }
    // An attribute that the folder gave it.
    if !has_acl && part.get_xattr(ACL).is_ok_and(|acl| acl.is_some()) {
        part.remove_xattr(ACL)?;
    }
    Ok(())
}

fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|it| Errno::from_raw(it) == Errno::EOPNOTSUPP)
}

/// The text of a system error, without its number.
pub(super) fn reason(error: io::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error.raw_os_error() {
        Some(errno) => Errno::from_raw(errno).desc().into(),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A folder with `name`, if it has content, and a complete part.
    fn place(old: Option<&[u8]>) -> (tempfile::TempDir, PathBuf, File, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let [name, path] = ["name", "part"].map(|name| folder.path().join(name));
        if let Some(old) = old {
            fs::write(&name, old).unwrap();
        }
        fs::write(&path, b"new").unwrap();
        let part = File::options().read(true).write(true).open(&path).unwrap();
        (folder, name, part, path)
    }

    fn is_installed(name: &Path, path: &Path) {
        assert_eq!(fs::read(name).unwrap(), b"new");
        assert!(!path.exists());
    }

    #[test]
    fn the_new_file_has_the_mode_of_the_old_one() {
        let (_folder, name, mut part, path) = place(None);
        replace_by(&mut part, &path, &name).unwrap();
        is_installed(&name, &path);
        for (before, after) in [(0o600, 0o600), (0o777, 0o777), (0o444, 0o444), (0o4755, 0o755)] {
            let (_folder, name, mut part, path) = place(Some(b"old"));
            fs::set_permissions(&name, Permissions::from_mode(before)).unwrap();
            replace_by(&mut part, &path, &name).unwrap();
            is_installed(&name, &path);
            assert_eq!(fs::metadata(&name).unwrap().mode() & 0o7777, after);
        }
    }

    #[test]
    fn a_file_with_two_names_keeps_both() {
        let (folder, name, mut part, path) = place(Some(b"old content"));
        let other = folder.path().join("other");
        fs::hard_link(&name, &other).unwrap();
        replace_by(&mut part, &path, &name).unwrap();
        is_installed(&name, &path);
        assert_eq!(fs::read(other).unwrap(), b"new");
    }

    #[test]
    fn attributes_of_the_user_stay() {
        let (_folder, name, mut part, path) = place(Some(b"old"));
        if xattr::set(&name, "user.note", b"mine").is_err() {
            return; // No attributes here.
        }
        replace_by(&mut part, &path, &name).unwrap();
        is_installed(&name, &path);
        assert_eq!(xattr::get(&name, "user.note").unwrap().as_deref(), Some(&b"mine"[..]));
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let (_folder, name, mut part, path) = place(None);
        std::os::unix::fs::symlink("elsewhere", &name).unwrap();
        assert!(replace_by(&mut part, &path, &name).is_err());
        assert!(name.is_symlink() && path.exists());
    }
}
