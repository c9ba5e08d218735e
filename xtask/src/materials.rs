//! What the program is made of, as `CycloneDX`: an SBOM.
//!
//! `cargo cyclonedx` writes a list beside the manifest of each package of a workspace, with what any of them needs: a
//! dependency of the tests would be in the list of the program. So its list is cut down to what `cargo tree` says of the
//! program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::dist::{MUSL, failed};
use crate::run::{Result, cargo, output, root, run};

const NAME: &str = "windlass.cdx";

/// The list, with a time in seconds since 1970.
pub(crate) fn list(epoch: &str) -> Result<String> {
    let written = run(cargo()
        .args(["cyclonedx", "--quiet", "--manifest-path", "host/Cargo.toml", "--format", "json"])
        .args(["--spec-version", "1.5", "--target", MUSL, "--override-filename", NAME])
        .env("SOURCE_DATE_EPOCH", epoch));
    let path = root().join("host").join(NAME).with_extension("cdx.json");
    let text = fs::read_to_string(&path).map_err(failed(&path));
    for folder in members()? {
        let _ = fs::remove_file(folder.join(NAME).with_extension("cdx.json"));
    }
    written?;
    // Where it was made is of no interest.
    let text = text?.replace(&format!("file://{}", root().display()), "file://");
    let mut list =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let tree = output(
        cargo()
            .args(["tree", "--locked", "--package", "windlass", "--target", MUSL])
            .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]),
    )?;
    cut(&mut list, &packages(&tree));
    serde_json::to_string_pretty(&list).map_err(|error| error.to_string())
}

/// The folders of all packages of the workspace.
fn members() -> Result<Vec<PathBuf>> {
    let said = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let said: Value =
        serde_json::from_str(&said).map_err(|error| format!("cargo metadata: {error}"))?;
    let manifests = said["packages"].as_array().into_iter().flatten();
    let manifests = manifests.filter_map(|package| package["manifest_path"].as_str());
    Ok(manifests.filter_map(|path| Path::new(path).parent()).map(Path::to_owned).collect())
}

/// Names and versions, as `name v1.2.3`.
fn packages(tree: &str) -> BTreeSet<String> {
    let words = tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
    words.filter(|package| !package.is_empty()).collect()
}

/// Leaves what is in `packages`.
fn cut(list: &mut Value, packages: &BTreeSet<String>) {
    let mut gone = BTreeSet::new();
    if let Some(components) = list.get_mut("components").and_then(Value::as_array_mut) {
        components.retain(|component| {
            let [name, version] =
                ["name", "version"].map(|key| component[key].as_str().unwrap_or_default());
            let stays = packages.contains(&format!("{name} v{version}"));
            if !stays {
                gone.insert(component["bom-ref"].clone().to_string());
            }
            stays
        });
    }
    let Some(dependencies) = list.get_mut("dependencies").and_then(Value::as_array_mut) else {
        return;
    };
    dependencies.retain(|dependency| !gone.contains(&dependency["ref"].to_string()));
    for dependency in dependencies {
        if let Some(on) = dependency.get_mut("dependsOn").and_then(Value::as_array_mut) {
            on.retain(|on| !gone.contains(&on.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_program_does_not_need_is_not_in_its_list() {
        let packages = packages("windlass v0.1.0 (/x)\nnix v0.31.3\n\nnix v0.31.3 (*)\n");
        let component = |name, version| json!({"name": name, "version": version, "bom-ref": format!("{name}@{version}")});
        let mut list = json!({
            "components": [component("nix", "0.31.3"), component("nix", "0.30.0"), component("ring", "1.0.0")],
            "dependencies": [
                {"ref": "windlass", "dependsOn": ["nix@0.31.3", "ring@1.0.0"]},
                {"ref": "ring@1.0.0"},
                {"ref": "nix@0.31.3"},
            ],
        });
        cut(&mut list, &packages);
        let expected = json!({
            "components": [component("nix", "0.31.3")],
            "dependencies": [{"ref": "windlass", "dependsOn": ["nix@0.31.3"]}, {"ref": "nix@0.31.3"}],
        });
        assert_eq!(list, expected);
    }
}
