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

/// A place for a picture.
pub(super) struct PictureFile(PathBuf);

impl PictureFile {
    /// Makes sure that the file can be written, before minutes are spent on what it will show.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let fail = Error::of("write the picture", printable(path));
            return Err(fail(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let file = Self(path.to_owned());
        // Nothing of it is left if the measurement is interrupted.
        drop(file.part()?);
        Ok(file)
    }

    /// Draws the picture, and gives it its name.
    pub(super) fn keep(&self, picture: &Picture) -> Result<()> {
        let path = printable(&self.0);
        let svg = plot::draw(picture).map_err(Error::of("draw", &path))?;
        let mut part = self.part()?;
        let written = part.write_all(svg.as_bytes());
        let kept = written.and_then(|()| Ok(part.persist(&self.0)?));
        kept.map(drop).map_err(Error::of("write the picture", &path))
    }

    /// An empty file beside it, until it is whole.
    fn part(&self) -> Result<NamedTempFile> {
        let folder = match self.0.parent() {
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
        made.map_err(Error::of("write the picture", printable(&self.0)))
    }
}
