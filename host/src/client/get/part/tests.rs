//! Parts that are kept, gone on from, finished, refused; two of one file; their names.

use std::ffi::OsStr;

use windlass_core::file::Digest;

use super::*;

fn files() -> Facts {
    Facts::of_file(&"files://host/name")
}

fn begin(name: &Path) -> io::Result<Part> {
    Part::begin(name.to_owned(), files())
}

#[test]
fn what_was_kept_is_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("name");
    assert!(Part::find(&name).unwrap().is_none());
    let mut part = begin(&name).unwrap();
    part.write(b"hello").unwrap();
    assert!(part.keep().unwrap().starts_with("5 bytes are kept in "));
    let mut part = Part::find(&name).unwrap().unwrap();
    for all in [false, true] {
        let had = part.digest(all).unwrap();
        assert_eq!((had.len, had.window), (5, Digest::Blake3(blake3::hash(b"hello").into())));
        assert_eq!(had.all.map(|it| it.finalize()), all.then(|| blake3::hash(b"hello")));
    }
    // A hole would be bytes that no server sent.
    assert!(part.resume_from(6, files()).is_err());
    part.resume_from(4, files()).unwrap();
    part.write(b"!").unwrap();
    part.finish().unwrap();
    assert_eq!(fs::read(&name).unwrap(), b"hell!");
    assert!(Part::find(&name).unwrap().is_none());
}

#[test]
fn nothing_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let part = begin(&folder.path().join("name")).unwrap();
    assert_eq!(part.keep(), None);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn two_do_not_write_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("name");
    let first = begin(&name).unwrap();
    let error = begin(&name).err().unwrap();
    assert_eq!(error.to_string(), "another transfer is writing it");
    assert!(Part::find(&name).is_err());
    // A process that opened it before it was finished finds out that it is another file by now.
    let late = File::options().write(true).open(&paths_of(&name)[0]).unwrap();
    first.finish().unwrap();
    let second = begin(&name).unwrap();
    let inode = |file: &File| file.metadata().unwrap().ino();
    assert_ne!(inode(&late), inode(&second.file));
}

#[test]
fn what_is_not_ours_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let [name, victim] = ["name", "victim"].map(|name| folder.path().join(name));
    fs::write(&victim, b"precious").unwrap();
    std::os::unix::fs::symlink(&victim, &paths_of(&name)[0]).unwrap();
    assert!(begin(&name).is_err());
    fs::remove_file(&paths_of(&name)[0]).unwrap();
    fs::hard_link(&victim, &paths_of(&name)[0]).unwrap();
    assert!(begin(&name).is_err());
    fs::remove_file(&paths_of(&name)[0]).unwrap();
    fs::copy(&victim, &paths_of(&name)[0]).unwrap();
    for error in [begin(&name).err(), Part::find(&name).err()] {
        assert!(error.unwrap().to_string().ends_with("no transfer has made it"));
    }
    for file in [&victim, &paths_of(&name)[0]] {
        assert_eq!(fs::read(file).unwrap(), b"precious");
    }
}

#[test]
fn each_name_has_a_part_of_its_own_that_fits() {
    let umlauts = "ä".repeat(127);
    let mut seen = std::collections::HashSet::new();
    for name in ["a", "a.part", &"x".repeat(255), &"x".repeat(254), &umlauts, "b/a"] {
        for path in paths_of(Path::new(name)) {
            assert!(path.file_name().unwrap().len() <= 143);
            assert!(path.to_str().is_some_and(|it| !it.ends_with(name)), "{}", path.display());
            assert!(seen.insert(path));
        }
    }
    assert_eq!(paths_of(Path::new("b/a"))[0].parent(), Some(Path::new("b")));
    assert!(paths_of(Path::new(OsStr::from_bytes(&[0xff; 255])))[0].as_os_str().len() <= 143);
}

#[test]
fn what_nothing_can_resume_from_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("name");
    let begin = |validator| {
        let facts = Facts::of_http(&"http://host/name", validator);
        let mut part = Part::begin(name.clone(), facts).unwrap();
        part.write(b"hello").unwrap();
        part
    };
    assert_eq!(begin(None).keep(), None);
    drop(begin(None));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    let tag = Some("\"tag\"".to_owned());
    assert!(begin(tag.clone()).keep().is_some());
    assert_eq!(Part::find(&name).unwrap().unwrap().facts().validator, tag);
}

#[test]
fn a_part_that_cannot_take_its_place_stays() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("name");
    let mut part = begin(&name).unwrap();
    part.write(b"hello").unwrap();
    fs::create_dir(&name).unwrap();
    let (_, kept) = part.finish().unwrap_err();
    assert!(kept.unwrap().starts_with("all of it is in "));
    fs::remove_dir(&name).unwrap();
    Part::find(&name).unwrap().unwrap().finish().unwrap();
    assert_eq!(fs::read(&name).unwrap(), b"hello");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}
