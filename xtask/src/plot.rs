//! Pictures of what `cargo xtask bench` measures, in `target/bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Result, program, root, run};

/// `windlass bench`, which draws what it measures.
pub(crate) fn bench(windlass: &Path, name: &str) -> Result<Command> {
    let mut command = program(windlass);
    command.arg("bench").arg("--plot").arg(place(name, "svg")?);
    Ok(command)
}

/// Prints a table, and draws it.
pub(crate) fn table(windlass: &Path, name: &str, text: &str) -> Result<()> {
    print!("{text}");
    let path = place(name, "md")?;
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    run(bench(windlass, name)?.arg("--table").arg(&path))
}

fn place(name: &str, kind: &str) -> Result<PathBuf> {
    let folder = root().join("target/bench");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.join(name).with_extension(kind))
}
