//! A Debian for a test of the package: a base system from the mirror of this machine, made once by `debootstrap`, and a
//! layer above it (`debian_layer.sh`), in memory, which is gone with the namespaces of the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dist::{Dist, failed};
use crate::run::{Result, captured, output, program, root, run};

const DEBOOTSTRAP_MAX: Duration = Duration::from_mins(10);

/// The folder of the base system `name`, which has `packages`: the release of this machine.
pub(crate) fn base(name: &str, packages: &str) -> Result<PathBuf> {
    let folder = root().join("target").join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let release =
        fs::read_to_string("/etc/os-release").map_err(failed(Path::new("/etc/os-release")))?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename.ok_or("/etc/os-release has no VERSION_CODENAME")?;
    let indexes =
        output(program("apt-get").args(["indextargets", "--format", "$(REPO_URI) $(CODENAME)"]))?;
    let of_release = |line: &str| {
        let (mirror, name) = line.split_once(' ')?;
        (name == codename).then(|| mirror.to_owned())
    };
    let mirror = indexes.lines().find_map(of_release);
    let mirror = mirror.ok_or_else(|| format!("apt has no mirror of {codename}"))?;
    let part = folder.with_extension("part");
    let _ = fs::remove_dir_all(&part);
    let mut command = program("debootstrap");
    command.args(["--variant=minbase", &format!("--include={packages}"), codename]);
    let (said, status) = captured(command.arg(&part).arg(&mirror), DEBOOTSTRAP_MAX)
        .map_err(|error| format!("debootstrap: {error}"))?;
    if !status.is_some_and(|status| status.success()) {
        return Err(format!("{said}\ndebootstrap of {codename} from {mirror} failed"));
    }
    // Whole, or not there.
    fs::rename(&part, &folder).map_err(failed(&folder))?;
    Ok(folder)
}

/// The folder that a run has as /packages: three revisions of the package, from one binary, and `files`.
pub(crate) fn packages(name: &str, dist: &Dist, files: &[String]) -> Result<PathBuf> {
    let folder = root().join("target").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let files = files.iter().map(|file| root().join(file));
    run(program("cp").args(files).arg(dist.package_path()).arg(&folder))?;
    for nth in [2, 3] {
        dist.package(nth, &folder, &["--fast"])?;
    }
    Ok(folder)
}
