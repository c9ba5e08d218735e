//! The package in a Debian of its own: it is installed, serves, is upgraded under load, removed and purged
//! (`package_test.sh`). The static binary runs beside no library.
//!
//! The base system comes from the mirror of this machine by `debootstrap`, once: `target/debian`. A run changes a layer
//! above it, in memory, which is gone with the namespaces of the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;

use crate::demo;
use crate::dist::{Dist, MUSL, failed};
use crate::run::{Result, captured, has, output, program, root, run, skip};

/// How long all of it may take.
const SCENARIO_MAX: Duration = Duration::from_mins(5);
const DEBOOTSTRAP_MAX: Duration = Duration::from_mins(10);

/// Lays the layer above the base system, and runs the scenario in it. Its arguments: the base system, and the folder of
/// the packages and the scenario.
const NAMESPACE: &str = r#"
set -eu
ip link set lo up
work="$2/layer"
mkdir "$work"
mount -t tmpfs tmpfs "$work"
mkdir "$work/above" "$work/work" "$work/merged"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$work/above,workdir=$work/work" "$work/merged"
mkdir "$work/merged/packages"
mount --bind "$2" "$work/merged/packages"
mount -t proc proc "$work/merged/proc"
mount -t tmpfs -o mode=1777 tmpfs "$work/merged/tmp"
chroot "$work/merged" sh /packages/package_test.sh
"#;

pub(crate) fn package_test() -> Result<()> {
    if !geteuid().is_root() {
        return skip("packages", "root is needed for a root folder of its own");
    }
    for (tool, package) in
        [("debootstrap", "debootstrap"), ("lintian", "lintian"), ("ip", "iproute2")]
    {
        if !has(tool) {
            return skip("packages", &format!("apt-get install {package}"));
        }
    }
    let Some(dist) = Dist::make()? else { return Ok(()) };
    run(program("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(&dist.folder))?;
    materials(&dist)?;
    run(program("lintian").args(["--allow-root", "--fail-on", "error"]).arg(dist.package_path()))?;
    scenario(&dist)?;
    static_binary(&dist)
}

/// The package, and two revisions of it that it is upgraded to.
fn scenario(dist: &Dist) -> Result<()> {
    let base = base()?;
    let folder = root().join("target/package-test");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let files = ["xtask/src/package_test.sh", "contrib/debian/supervisors.sh"]
        .map(|file| root().join(file));
    run(program("cp").args(files).arg(dist.package_path()).arg(&folder))?;
    for nth in [2, 3] {
        dist.package(nth, &folder, &["--fast"])?;
    }
    let mut command = program("unshare");
    command
        .args(["--mount", "--pid", "--net", "--fork", "--kill-child"])
        .args(["sh", "-c", NAMESPACE, "scenario"])
        .args([&base, &folder]);
    let (said, status) =
        captured(&mut command, SCENARIO_MAX).map_err(|error| format!("unshare: {error}"))?;
    print!("{said}");
    if status.is_some_and(|status| status.success()) && said.ends_with("done\n") {
        Ok(())
    } else {
        Err("the package does not do what it should".to_owned())
    }
}

/// The folder of the base system: the release of this machine, from its mirror.
fn base() -> Result<PathBuf> {
    let folder = root().join("target/debian");
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
    command.args(["--variant=minbase", "--include=systemd-standalone-sysusers", codename]);
    let (said, status) = captured(command.arg(&part).arg(&mirror), DEBOOTSTRAP_MAX)
        .map_err(|error| format!("debootstrap: {error}"))?;
    if !status.is_some_and(|status| status.success()) {
        return Err(format!("{said}\ndebootstrap of {codename} from {mirror} failed"));
    }
    // Whole, or not there.
    fs::rename(&part, &folder).map_err(failed(&folder))?;
    Ok(folder)
}

/// The list names the program and what it is made of.
fn materials(dist: &Dist) -> Result<()> {
    let path = dist.materials_path();
    let text = fs::read_to_string(&path).map_err(failed(&path))?;
    let list: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let components = list["components"].as_array().into_iter().flatten();
    let names: Vec<_> = components.filter_map(|part| part["name"].as_str()).collect();
    let is_whole = list["bomFormat"] == "CycloneDX"
        && list["metadata"]["component"]["name"] == "windlass"
        && ["windlass-core", "rustls", "nix"].iter().all(|name| names.contains(name))
        && !names.contains(&"ring");
    println!("{} components", names.len());
    if is_whole { Ok(()) } else { Err(format!("{}: {names:?}", path.display())) }
}

/// The static binary needs no library, and does all that the other one does.
fn static_binary(dist: &Dist) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
    let archive = dist.path(&format!("{MUSL}.tar.gz"));
    run(program("tar")
        .arg("--extract")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(folder.path()))?;
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let windlass = folder.path().join(name.trim_end_matches(".tar.gz")).join("windlass");
    // In a folder that has nothing else.
    let alone = folder.path().join("alone");
    fs::create_dir(&alone).map_err(failed(&alone))?;
    run(program("cp").args([&windlass, &alone]))?;
    run(program("chroot").arg(&alone).args(["/windlass", "--version"]))?;
    demo::use_all(&windlass)
}
