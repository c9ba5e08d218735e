//! What is given to users: a Debian package, a static binary, their checksums, and the list of what they are made of.
//!
//! ```text
//!   windlass ─ man, completions ─┐
//!   docs/examples, contrib/debian ┴▶ target/dist/stage ─ cargo deb ─▶ windlass_VERSION-1_amd64.deb
//!   windlass for musl ──────────────────────────────── tar ───────▶ windlass-VERSION-x86_64-unknown-linux-musl.tar.gz
//!   Cargo.lock ──────────────────────────────── cargo cyclonedx ──▶ windlass-VERSION.cdx.json
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use crate::bare::is_installed;
use crate::materials;
use crate::run::{Result, build_windlass, cargo, output, program, root, run, skip};

/// The C library of the static binary.
pub(crate) const MUSL: &str = "x86_64-unknown-linux-musl";

/// What `cargo xtask dist` makes.
pub(crate) struct Dist {
    pub(crate) folder: PathBuf,
    version: String,
    /// Seconds since 1970: the time of every file.
    epoch: String,
    windlass: PathBuf,
}

/// Makes all of it.
pub(crate) fn dist() -> Result<()> {
    if let Some(dist) = Dist::make()? {
        println!("{}", dist.folder.display());
    }
    Ok(())
}

impl Dist {
    /// Makes all of it; `None` if a tool is missing.
    pub(crate) fn make() -> Result<Option<Self>> {
        if !is_installed(MUSL)? {
            return skip("packages", &format!("rustup target add {MUSL}")).map(|()| None);
        }
        if !has_cargo("cyclonedx")? {
            return Ok(None);
        }
        let Some(dist) = Self::begin()? else { return Ok(None) };
        dist.archive()?;
        dist.materials()?;
        dist.sums()?;
        Ok(Some(dist))
    }

    /// Makes the Debian package alone; `None` if a tool is missing.
    pub(crate) fn begin() -> Result<Option<Self>> {
        if !has_cargo("deb")? {
            return Ok(None);
        }
        let windlass = build_windlass("release")?;
        let said = output(program(&windlass).arg("--version"))?;
        let version = said.split_whitespace().next_back().unwrap_or_default().to_owned();
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => output(program("git").args(["log", "-1", "--format=%ct"]))?.trim().to_owned(),
        };
        let folder = root().join("target/dist");
        let _ = fs::remove_dir_all(&folder);
        let dist = Self { folder, version, epoch, windlass };
        dist.stage()?;
        dist.package(1, &dist.folder, &[])?;
        Ok(Some(dist))
    }

    pub(crate) fn package_path(&self) -> PathBuf {
        self.folder.join(format!("windlass_{}-1_amd64.deb", self.version))
    }

    pub(crate) fn materials_path(&self) -> PathBuf {
        self.folder.join(format!("windlass-{}.cdx.json", self.version))
    }

    /// A file of this version, which `rest` tells from the others.
    pub(crate) fn path(&self, rest: &str) -> PathBuf {
        self.folder.join(format!("windlass-{}-{rest}", self.version))
    }

    fn staged(&self) -> PathBuf {
        self.folder.join("stage")
    }

    /// The files of the package that are made, where `host/Cargo.toml` says.
    fn stage(&self) -> Result<()> {
        let man = self.staged().join("man");
        fs::create_dir_all(&man).map_err(failed(&man))?;
        run(program(&self.windlass).arg("man").arg(&man))?;
        for shell in ["bash", "zsh", "fish"] {
            let script = output(program(&self.windlass).args(["completions", shell]))?;
            self.put(shell, &script)?;
        }
        let unit = read("docs/examples/windlass.service")?;
        self.put("windlass.service", &unit.replace("/usr/local/bin/", "/usr/bin/"))?;
        let date = output(program("date").args(["-u", "-R", "-d", &format!("@{}", self.epoch)]))?;
        let entry = format!(
            "windlass ({}-1) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- {}  {date}",
            self.version,
            maintainer(&read("host/Cargo.toml")?)?
        );
        self.put("changelog", &entry)
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        let path = self.staged().join(name);
        fs::write(&path, text).map_err(failed(&path))
    }

    /// The package, as the `nth` revision of this version.
    pub(crate) fn package(&self, nth: u32, folder: &Path, options: &[&str]) -> Result<()> {
        let version = format!("{}-{nth}", self.version);
        run(cargo()
            .args(["deb", "--quiet", "--package", "windlass", "--no-build", "--locked"])
            .args(["--deb-version", &version, "--output"])
            .arg(folder)
            .args(options)
            .env("SOURCE_DATE_EPOCH", &self.epoch))
    }

    /// The static binary, with its pages and scripts.
    fn archive(&self) -> Result<()> {
        let words = ["build", "--release", "--locked", "--package", "windlass", "--target", MUSL];
        run(cargo().args(words))?;
        let folder = self.path(MUSL);
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let built = self.windlass.ancestors().nth(2).unwrap_or(root());
        let binary = [built.join(MUSL).join("release/windlass")].into_iter();
        let docs = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];
        let docs = docs.into_iter().map(|name| root().join(name));
        let made = ["man", "bash", "zsh", "fish"].map(|name| self.staged().join(name));
        let examples = ["windlass.toml", "windlass.service", "windlass.socket"];
        let examples = examples.map(|name| root().join("docs/examples").join(name));
        let files = binary.chain(docs).chain(made).chain(examples);
        run(program("cp").arg("-r").args(files).arg(&folder))?;
        run(program("strip").arg(folder.join("windlass")))?;
        // The same bytes for the same files.
        run(program("tar")
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
            .args(["--mode=u+rwX,go+rX-w", &format!("--mtime=@{}", self.epoch)])
            .args(["--use-compress-program=gzip -n9", "--create", "--file"])
            .arg(self.path(&format!("{MUSL}.tar.gz")))
            .arg("--directory")
            .arg(&self.folder)
            .arg(folder.file_name().unwrap_or_default()))?;
        fs::remove_dir_all(&folder).map_err(failed(&folder))
    }

    /// What the program is made of.
    fn materials(&self) -> Result<()> {
        let path = self.materials_path();
        fs::write(&path, materials::list(&self.epoch)?).map_err(failed(&path))
    }

    fn sums(&self) -> Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed(&self.folder))? {
            let entry = entry.map_err(failed(&self.folder))?;
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                names.push(entry.file_name());
            }
        }
        names.sort();
        let sums = output(program("sha256sum").current_dir(&self.folder).args(&names))?;
        let path = self.folder.join("SHA256SUMS");
        fs::write(&path, sums).map_err(failed(&path))
    }
}

/// Whether `cargo` has this command; a skip if not.
fn has_cargo(command: &str) -> Result<bool> {
    let found = program("cargo").args([command, "--version"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Ok(true);
    }
    skip("packages", &format!("cargo install cargo-{command}")).map(|()| false)
}

fn maintainer(manifest: &str) -> Result<&str> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("maintainer = "));
    line.map(|text| text.trim_matches('"'))
        .ok_or_else(|| "host/Cargo.toml: no maintainer".to_owned())
}

fn read(name: &str) -> Result<String> {
    let path = root().join(name);
    fs::read_to_string(&path).map_err(failed(&path))
}

pub(crate) fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}
