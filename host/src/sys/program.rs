//! This program as a file: its path, and how the file at that path is started again.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf, absolute};
use std::process::Command;
use std::ptr;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::successor::Successor;
use crate::error::{Error, Result};
use crate::printable::printable;

/// How this program was started, to start it again.
#[derive(Debug, Clone)]
pub struct Program {
    name: OsString,
    place: Location,
    args: Vec<OsString>,
}

/// Where the file is. It is looked up each time, and links are followed each time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Location {
    /// In a folder of PATH, under the name of the command.
    Search(OsString),
    /// At this path.
    Path(PathBuf),
}

impl Program {
    /// Finds the program. Call it before the working directory changes.
    ///
    /// # Errors
    /// The path of the program is not known.
    pub fn current() -> Result<Self> {
        let mut args = std::env::args_os();
        let name = args.next().unwrap_or_default();
        let running = std::env::current_exe();
        let running = running.map_err(Error::of("find", "the path of this program"))?;
        let place = place(&name, std::env::var_os("PATH"), &running);
        Ok(Self { name, place, args: args.collect() })
    }

    /// Starts it again with the same arguments; in its environment `without` are removed and `with` is set.
    /// The descriptors of `keep` stay open.
    ///
    /// # Errors
    /// The file is not there any more, or it is not executable: text without `#!` too, which a shell's way of
    /// starting programs (`execvp(3)`) would give to `sh`.
    pub(super) fn execute(
        &self,
        without: &[&str],
        with: (&str, &str),
        keep: Vec<RawFd>,
    ) -> Result<Successor> {
        let path = self.path()?;
        let failed = || Error::of("start", printable(&path));
        let terminated = |text: &OsStr| CString::new(text.as_bytes());
        let file = terminated(path.as_os_str()).map_err(failed())?;
        let args = std::iter::once(&self.name).chain(&self.args);
        let args = Strings::of(args.map(|arg| terminated(arg))).map_err(failed())?;
        let of_others = std::env::vars_os()
            .filter(|(name, _)| !without.iter().any(|other| name == other) && name != with.0);
        let all = of_others.chain([(with.0.into(), with.1.into())]);
        let env =
            Strings::of(all.map(|(name, value)| {
                CString::new([name.into_vec(), value.into_vec()].join(&b'='))
            }))
            .map_err(failed())?;
        let execute = move || -> io::Result<()> {
            for &number in &keep {
                // SAFETY: it takes numbers; they are open in the parent, which waits for the exec.
                let done = unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
                Errno::result(done)?;
            }
            // SAFETY: the file is a terminated string, and both lists end with a null pointer.
            unsafe { libc::execve(file.as_ptr(), args.pointers(), env.pointers()) };
            Err(Errno::last().into())
        };
        // It makes system calls, and allocates nothing. It does not come back but with an error, which the parent
        // is told.
        Successor::spawn(Command::new(&path), execute).map_err(Error::of("start", printable(&path)))
    }

    /// Where the file is now.
    fn path(&self) -> Result<PathBuf> {
        match &self.place {
            Location::Path(path) => Ok(path.clone()),
            Location::Search(path) => search(&self.name, path)
                .ok_or_else(|| Error::new("start", printable(&self.name), "it is not in PATH")),
        }
    }
}

/// Where to look for the program that was called `name` and has the file `running`. A caller may
/// give any name to a program: then only the file is known.
fn place(name: &OsStr, path: Option<OsString>, running: &Path) -> Location {
    // A file that was replaced since the start has no path to compare.
    let is_it =
        |path: &PathBuf| path.canonicalize().is_ok_and(|path| path == running || !running.exists());
    let called = Path::new(name);
    if called.components().count() > 1 {
        let path = absolute(called).ok().filter(is_it);
        return Location::Path(path.unwrap_or_else(|| running.to_owned()));
    }
    match path {
        Some(path) if search(name, &path).is_some_and(|found| is_it(&found)) => {
            // A relative folder is resolved now.
            let folders = std::env::split_paths(&path).filter_map(|folder| match folder {
                empty if empty.as_os_str().is_empty() => std::env::current_dir().ok(),
                folder => absolute(folder).ok(),
            });
            Location::Search(std::env::join_paths(folders).unwrap_or(path))
        }
        _ => Location::Path(running.to_owned()),
    }
}

/// The first file of that name in the folders of `path` that this process may execute, as a shell finds it.
fn search(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    std::env::split_paths(path).map(|folder| folder.join(name)).find(is_program)
}

/// Strings for `execve(2)`.
struct Strings {
    /// The strings live as long as the pointers to them.
    _owned: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

// SAFETY: the pointers are to bytes on the heap, which this value owns and nothing changes.
unsafe impl Send for Strings {}
// SAFETY: as above.
unsafe impl Sync for Strings {}

impl Strings {
    fn of(
        strings: impl Iterator<Item = std::result::Result<CString, std::ffi::NulError>>,
    ) -> std::result::Result<Self, std::ffi::NulError> {
        let owned: Vec<CString> = strings.collect::<std::result::Result<_, _>>()?;
        let pointers = owned.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Ok(Self { _owned: owned, pointers })
    }

    fn pointers(&self) -> *const *const libc::c_char {
        self.pointers.as_ptr()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file(path: &Path, mode: u32) {
        write(path, "text").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_of_path_is_looked_for_there_again_and_any_other_name_is_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        for folder in ["v1", "bin", "empty"] {
            create_dir(at(folder)).unwrap();
        }
        file(&at("v1/windlass"), 0o755);
        file(&at("empty/windlass"), 0o644);
        symlink("../v1/windlass", at("bin/windlass")).unwrap();
        let path = std::env::join_paths([at("empty"), at("bin")]).unwrap();
        let running = at("v1/windlass");
        let of = |name: &str| place(OsStr::new(name), Some(path.clone()), &running);
        assert_eq!(of("windlass"), Location::Search(path.clone()));
        // The link is the name of the program; the file that it leads to may change.
        assert_eq!(search(OsStr::new("windlass"), &path), Some(at("bin/windlass")));
        let by_path = at("bin/windlass");
        assert_eq!(of(by_path.to_str().unwrap()), Location::Path(by_path));
        for other in ["-windlass", "", "/nowhere/windlass", "./windlass"] {
            assert_eq!(of(other), Location::Path(running.clone()), "{other}");
        }
        assert_eq!(place(OsStr::new("windlass"), None, &running), Location::Path(running.clone()));
    }
}
