//! The package under systemd: a Debian boots in namespaces of its own (`systemd_boot.sh`), and an operator starts, reloads,
//! upgrades, kills, stops and removes the service (`systemd_test.sh`).
//!
//! ```text
//!   unshare ─▶ a cgroup ─▶ unshare ─▶ layer, /dev ─▶ systemd, as process 1 ─▶ systemd_test.service ─▶ /packages/said
//! ```
//!
//! Not a part of `cargo xtask ci`: root may make a cgroup of version 2 on most machines, but not in every container that
//! runs tests.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::debian::{base, packages};
use crate::dist::Dist;
use crate::run::{Result, captured, has, program, root, skip};

/// How long all of it may take.
const SCENARIO_MAX: Duration = Duration::from_mins(8);

pub(crate) fn systemd_test() -> Result<()> {
    if !geteuid().is_root() {
        return skip("systemd", "root is needed for a root folder of its own");
    }
    for (tool, package) in [("debootstrap", "debootstrap"), ("ip", "iproute2")] {
        if !has(tool) {
            return skip("systemd", &format!("apt-get install {package}"));
        }
    }
    let base = base("debian-systemd", "systemd,systemd-sysv,dbus")?;
    let Some(dist) = Dist::begin()? else { return Ok(()) };
    let files = ["debian_steps.sh", "systemd_test.sh", "systemd_test.service"];
    let files = files.map(|name| format!("xtask/src/{name}"));
    let folder = packages("systemd-test", &dist, &files)?;
    let booted = in_namespaces("enter", &base, &folder);
    let removed = in_namespaces("remove", &base, &folder);
    let said = fs::read_to_string(folder.join("said"));
    let Ok(said) = said else {
        return skip("systemd", &format!("it does not boot here: {}", booted?));
    };
    print!("{said}");
    removed?;
    if said.ends_with("done\n") {
        Ok(())
    } else {
        Err("the service does not do what it should".to_owned())
    }
}

/// A step of `systemd_boot.sh`; what it printed. All of its processes end with it.
fn in_namespaces(step: &str, base: &Path, folder: &Path) -> Result<String> {
    let mut command = program("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"]);
    command.arg(root().join("xtask/src/systemd_boot.sh")).arg(step).args([base, folder]);
    command.arg(format!("windlass-{}", std::process::id()));
    let (said, status) =
        captured(&mut command, SCENARIO_MAX).map_err(|error| format!("unshare: {error}"))?;
    match status {
        Some(_) => Ok(said),
        None => Err(said),
    }
}
