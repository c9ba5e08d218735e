//! What the dissectors of `contrib/wireshark` read in the frames of an emulated network.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::run::{Result, has, output, program, root, skip};

/// The frames of a board's network port, which QEMU writes to a file.
pub(crate) struct Capture {
    folder: TempDir,
}

impl Capture {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| format!("a capture: {error}"))?;
        Ok(Self { folder })
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("frames.pcap")
    }

    /// Has the emulator capture the network of this name.
    pub(crate) fn of(&self, network: &str, qemu: &mut Command) {
        let file = self.file();
        qemu.arg("-object");
        qemu.arg(format!("filter-dump,id=dump,netdev={network},file={}", file.display()));
    }

    /// Has `tshark` read it with these options: the fields of each frame in which the first one of them is. A frame that
    /// a dissector takes for malformed is a failure. `None` without `tshark`.
    pub(crate) fn read(
        &self,
        options: &[&str],
        fields: &[&str],
    ) -> Result<Option<Vec<Vec<String>>>> {
        if !has("tshark") {
            skip("a capture of a board", "apt-get install tshark")?;
            return Ok(None);
        }
        let shown = |filter: &str, fields: &[&str]| {
            // No settings of this user.
            let mut tshark = program("tshark");
            tshark.env("HOME", self.folder.path()).env("XDG_CONFIG_HOME", self.folder.path());
            tshark.arg("-X").arg(format!("lua_script:{}", dissectors().display()));
            tshark.args(["-2", "-n", "-Q"]).args(options).arg("-r").arg(self.file());
            tshark.args(["-Y", filter, "-T", "fields"]);
            output(tshark.args(fields.iter().flat_map(|field| ["-e", field])))
        };
        let protocols = ["score", "files", "frame", "xfer"];
        let is_bad = protocols.map(|name| format!("windlass.{name}.malformed")).join(" || ");
        let bad = shown(&format!("{is_bad} || _ws.lua.error"), &["frame.number"])?;
        if !bad.trim().is_empty() {
            return Err(format!("the dissectors take frames of a board for malformed: {bad}"));
        }
        let first = fields.first().ok_or("no field")?;
        let lines = shown(first, fields)?;
        let cut = |line: &str| line.split('\t').map(str::to_owned).collect();
        Ok(Some(lines.lines().map(cut).collect()))
    }
}

fn dissectors() -> PathBuf {
    root().join(Path::new("contrib/wireshark/windlass.lua"))
}
