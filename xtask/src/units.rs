//! The unit files in `docs/examples`: systemd understands every line, and leaves the service little to do harm
//! with. (That Windlass works so is for `tests/tests/unit_file.rs`.)

use std::fs;

use crate::run::{Result, has, program, root, skip};

/// The most that `systemd-analyze security` may say of the service, in tenths: what a service may do that
/// it need not.
const EXPOSURE_MAX: u32 = 30;

pub(crate) fn units() -> Result<()> {
    if !has("systemd-analyze") {
        return skip("unit files", "apt-get install systemd");
    }
    verify()?;
    let text = said(&[
        "security",
        "--offline=true",
        "--no-pager",
        &format!("--threshold={EXPOSURE_MAX}"),
        "docs/examples/windlass.service",
    ])
    .map_err(|text| format!("the service may do too much:\n{text}"))?;
    println!("{}", text.lines().last().unwrap_or_default());
    Ok(())
}

/// Whatever `verify` prints is a mistake. It looks for the program too, so the copies that it gets run
/// one that is there.
fn verify() -> Result<()> {
    let fail = |error: std::io::Error| format!("copy the unit files: {error}");
    let folder = tempfile::tempdir().map_err(fail)?;
    let mut copies = Vec::new();
    for unit in ["windlass.service", "windlass.socket"] {
        let text = fs::read_to_string(root().join("docs/examples").join(unit)).map_err(fail)?;
        let copy = folder.path().join(unit);
        fs::write(&copy, text.replace("/usr/local/bin/windlass", "/bin/true")).map_err(fail)?;
        copies.push(copy.display().to_string());
    }
    let mut arguments = vec!["verify", "--man=no"];
    arguments.extend(copies.iter().map(String::as_str));
    match said(&arguments)? {
        text if text.is_empty() => Ok(()),
        text => Err(text),
    }
}

/// What `systemd-analyze` prints, on both outputs; as an error if it fails.
fn said(arguments: &[&str]) -> Result<String> {
    let output = program("systemd-analyze")
        .args(arguments)
        .output()
        .map_err(|error| format!("systemd-analyze: {error}"))?;
    let all = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&all).trim().to_owned();
    if output.status.success() { Ok(text) } else { Err(text) }
}
