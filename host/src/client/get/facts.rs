//! The facts beside a part: where it came from, and how to check whether the version is still the same.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::client::file_url::{FileUrl, Scheme};
use crate::sys::file::open_own;

/// The facts of a part. On disk they are one line of JSON, and mark the part as ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The version of this format.
    #[serde(rename = "windlass-part")]
    version: u32,
    /// The URL of the user.
    pub(super) source: String,
    /// The validator to request the rest with: the entity tag or the
    /// date of an HTTP answer, as it was sent. `files` compares the content itself, and has none.
    #[serde(default)]
    pub(super) validator: Option<String>,
    /// Whether a later transfer can resume from here.
    #[serde(default)]
    pub(super) resumable: bool,
}

const VERSION: u32 = 1;

/// The largest length of the file in bytes.
const MAX: u64 = 1 << 20;

impl Facts {
    /// Facts of bytes that a digest identifies.
    pub(super) fn of_file(source: &impl ToString) -> Self {
        let (source, validator) = (source.to_string(), None);
        Self { version: VERSION, source, validator, resumable: true }
    }

    /// Facts of a file that comes in a transfer: a later one can go on where this one stopped, if the file is not
    /// translated on its way and the protocol has offsets.
    pub(super) fn of_transfer(url: &FileUrl) -> Self {
        let resumable = url.scheme() == Scheme::Tftp && !url.is_text();
        Self { resumable, ..Self::of_file(url) }
    }

    /// Facts of the body of an answer. Without a validator it cannot be resumed.
    pub(super) fn of_http(source: &impl ToString, validator: Option<String>) -> Self {
        let resumable = validator.is_some();
        Self { version: VERSION, source: source.to_string(), validator, resumable }
    }

    /// Reads what [`write`](Self::write) wrote. `None` if there are no facts, or if they are of
    /// another version of the format.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let file = match open_own(path, File::options().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(MAX).read_to_end(&mut text)?;
        let facts = serde_json::from_slice(&text).ok();
        Ok(facts.filter(|facts: &Self| facts.version == VERSION))
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        // A URL may hold a secret.
        let how = &mut File::options();
        let mut file = open_own(path, how.write(true).create(true).mode(0o600))?;
        file.set_len(0)?;
        file.write_all(&text)
    }

    pub(super) fn remove(path: &Path) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts");
        assert_eq!(Facts::read(&path).unwrap(), None);
        for facts in [
            Facts::of_http(&"http://host/a long name", Some("W/\"\u{1b}tag\"".into())),
            Facts::of_file(&"files://host/name"),
        ] {
            facts.write(&path).unwrap();
            assert_eq!(Facts::read(&path).unwrap(), Some(facts));
        }
    }

    #[test]
    fn other_text_is_no_facts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts");
        for text in ["", "{}", "precious", r#"{"windlass-part":2,"source":"http://host/"}"#] {
            fs::write(&path, text).unwrap();
            assert_eq!(Facts::read(&path).unwrap(), None, "{text}");
        }
    }
}
