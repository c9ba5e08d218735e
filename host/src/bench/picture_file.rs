//! The file of a picture: it is there, whole, when the measurement is over, or not at all.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::picture::Picture;
use super::plot;
use crate::error::{Error, Result};
use crate::printable::printable;

/// A place for a picture. Dropping it leaves the file as it was.
pub(super) struct PictureFile {
    path: PathBuf,
    part: NamedTempFile,
}

impl PictureFile {
    /// Makes sure that the file can be written, before minutes are spent on what it will show.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let fail = |error: io::Error| Error::new("write the picture", printable(path), error);
        if path.is_dir() {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // The umask takes from these.
        let readable = Permissions::from_mode(0o666);
        let made = Builder::new()
            .prefix(".windlass-")
            .suffix(".svg")
            .permissions(readable)
            .tempfile_in(folder);
        let part = made.map_err(fail)?;
        Ok(Self { path: path.to_owned(), part })
    }

    /// Draws the picture, and gives it its name.
    pub(super) fn keep(self, picture: &Picture) -> Result<()> {
        let Self { path, mut part } = self;
        let svg = plot::draw(picture).map_err(Error::of("draw", printable(&path)))?;
        let written = part.write_all(svg.as_bytes());
        let kept = written.and_then(|()| Ok(part.persist(&path)?));
        kept.map(drop).map_err(Error::of("write the picture", printable(&path)))
    }
}
