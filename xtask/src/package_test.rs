//! The package in a Debian of its own: it is installed, serves, is upgraded under load, removed and purged
//! (`package_test.sh`). The static binary runs beside no library.

use std::fs;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::debian::{base, packages};
use crate::demo;
use crate::dist::{Dist, MUSL, failed};
use crate::run::{Result, captured, has, program, root, run, skip};

/// How long all of it may take.
const SCENARIO_MAX: Duration = Duration::from_mins(5);

/// Runs the scenario in a layer.
const NAMESPACE: &str = r#". "$0"; chroot . sh /packages/package_test.sh"#;

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
    let base = base("debian", "systemd-standalone-sysusers")?;
    let files =
        ["xtask/src/debian_steps.sh", "xtask/src/package_test.sh", "contrib/debian/supervisors.sh"]
            .map(str::to_owned);
    let folder = packages("package-test", dist, &files)?;
    let mut command = program("unshare");
    command
        .args(["--mount", "--pid", "--net", "--fork", "--kill-child"])
        .args(["sh", "-c", NAMESPACE])
        .args([&root().join("xtask/src/debian_layer.sh"), &base, &folder]);
    let (said, status) =
        captured(&mut command, SCENARIO_MAX).map_err(|error| format!("unshare: {error}"))?;
    print!("{said}");
    if status.is_some_and(|status| status.success()) && said.ends_with("done\n") {
        Ok(())
    } else {
        Err("the package does not do what it should".to_owned())
    }
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
