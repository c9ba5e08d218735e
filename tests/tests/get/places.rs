//! The place that the user named: files that exist, files that cannot be replaced, and what a file
//! has besides its content.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use nix::unistd::geteuid;
use windlass_tests::{Outcome, Program, skipped, windlass};

use crate::folder::Folder;
use crate::server::{Server, answer_with};

const WINDLASS: &str = env!("CARGO_BIN_EXE_windlass-under-test");

/// Runs a shell script as the root of a mount name space of its own, in `folder`.
fn with_mounts(folder: &Folder, script: &str) -> Outcome {
    let script = format!("cd '{}' || exit 9\n{script}", folder.path().display());
    Program::new("unshare").words("-m sh -c").arg(script).run()
}

fn may_mount() -> bool {
    let may = geteuid().is_root();
    if !may {
        skipped("only root can mount");
    }
    may
}

#[test]
fn names_beside_it_are_the_users() {
    let folder = Folder::new();
    let names = ["a.part", "a.tmp", "a.facts", ".a", ".windlass-a", ".windlass-a.part"];
    for name in names {
        fs::write(folder.at(name), name).expect("write");
    }
    let server = Server::that_says(answer_with(b"new"));
    windlass!("get", server.url("/"), "-o", folder.at("a")).run().succeeds();
    for name in names {
        assert_eq!(fs::read(folder.at(name)).expect("read"), name.as_bytes());
    }
    assert_eq!(folder.names().len(), names.len() + 1);
}

#[test]
fn the_longest_name_is_written() {
    let server = Server::that_says(answer_with(b"new"));
    for name in ["x".repeat(255), "ä".repeat(127)] {
        let folder = Folder::new();
        windlass!("get", server.url("/"), "-o", folder.at(&name)).run().succeeds();
        folder.has_only(&name, b"new");
    }
}

/// Containers get single files like that.
#[test]
fn a_mount_point_is_written_in_place() {
    if !may_mount() {
        return;
    }
    let server = Server::that_says(answer_with(b"new"));
    let broken = Server::that_says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnew");
    let folder = Folder::new();
    fs::write(folder.at("mounted"), b"old content").expect("write");
    fs::write(folder.at("file"), b"").expect("write");
    let script = |server: &Server| {
        let url = server.url("/");
        format!("mount --bind mounted file; '{WINDLASS}' get '{url}' -o file; echo $?; ls -A")
    };
    let outcome = with_mounts(&folder, &script(&broken));
    assert_eq!(outcome.stdout, b"1\nfile\nmounted\n", "{outcome:?}");
    assert_eq!(fs::read(folder.at("mounted")).expect("read"), b"old content");
    let outcome = with_mounts(&folder, &script(&server));
    assert_eq!(outcome.stdout, b"0\nfile\nmounted\n", "{outcome:?}");
    assert!(outcome.stderr.contains("file: written in place: "), "{outcome:?}");
    assert_eq!(fs::read(folder.at("mounted")).expect("read"), b"new");
}

#[test]
fn in_a_folder_that_is_read_only_a_file_is_written_in_place() {
    if !may_mount() {
        return;
    }
    let server = Server::that_says(answer_with(b"new"));
    let broken = Server::that_says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnew");
    for (server, said, content) in [(server, "0\n1\n", &b"new"[..]), (broken, "1\n1\n", b"")] {
        let folder = Folder::new();
        fs::write(folder.at("mounted"), b"old content").expect("write");
        fs::create_dir(folder.at("folder")).expect("mkdir");
        fs::write(folder.at("folder/file"), b"").expect("write");
        let script = format!(
            "mount --bind folder folder && mount --bind mounted folder/file
             mount -o remount,bind,ro folder
             '{WINDLASS}' get '{url}' -o folder/file; echo $?
             '{WINDLASS}' get '{url}' -o folder/new 2> /dev/null || ls -A folder | wc -w",
            url = server.url("/"),
        );
        let outcome = with_mounts(&folder, &script);
        assert_eq!(String::from_utf8_lossy(&outcome.stdout), said, "{outcome:?}");
        assert!(outcome.stderr.contains("written in place: "), "{outcome:?}");
        let is_told = outcome.stderr.contains("folder/file was written in place and is empty now");
        assert_eq!(is_told, content.is_empty(), "{outcome:?}");
        assert_eq!(fs::read(folder.at("mounted")).expect("read"), content);
    }
}

/// By whichever name: it is the file that the shell opened, at its end.
#[test]
fn an_open_file_is_written_and_not_replaced() {
    let server = Server::that_says(answer_with(b"new"));
    for (name, number) in
        [("/dev/stdout", 1), ("/proc/self/fd/1", 1), ("/dev/fd/3", 3), ("/dev/fd/7", 7)]
    {
        let folder = Folder::new();
        let path = folder.at("log");
        fs::write(&path, b"old").expect("write");
        let inode = fs::metadata(&path).expect("stat").ino();
        let url = server.url("/");
        let script =
            format!("'{WINDLASS}' get '{url}' -o {name} {number}>> log && echo end >> log");
        let mut shell = Command::new("bash");
        let done = shell.args(["-c", &script]).current_dir(folder.path()).status().expect("run");
        assert!(done.success(), "{name}: {done}");
        folder.has_only("log", b"oldnewend\n");
        assert_eq!(fs::metadata(&path).expect("stat").ino(), inode);
    }
    let outcome = windlass!("get", server.url("/"), "-o", "/dev/fd/99").run();
    outcome.fails_with(1, &["/dev/fd/99: "]);
}

/// To the process that has it open its name says nothing.
#[test]
fn a_file_that_another_process_has_open_is_written_and_not_replaced() {
    let server = Server::that_says(answer_with(b"new"));
    let folder = Folder::new();
    let mut open = File::create(folder.at("log")).expect("create");
    open.write_all(b"longer than that").expect("write");
    let path = format!("/proc/{}/fd/{}", std::process::id(), {
        use std::os::fd::AsRawFd;
        open.as_raw_fd()
    });
    windlass!("get", server.url("/"), "-o", path).run().succeeds();
    folder.has_only("log", b"new");
    let inode = |about: fs::Metadata| about.ino();
    let named = fs::metadata(folder.at("log")).expect("stat");
    assert_eq!(inode(named), inode(open.metadata().expect("stat")));
}

#[test]
fn owner_group_mode_and_other_names_stay() {
    let server = Server::that_says(answer_with(b"new"));
    let folder = Folder::new();
    let [file, other] = ["file", "other"].map(|name| folder.at(name));
    fs::write(&file, b"old content").expect("write");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("chmod");
    if geteuid().is_root() {
        chown(&file, Some(12345), Some(12346)).expect("chown");
    }
    let about = || {
        let it = fs::metadata(&file).expect("stat");
        (it.uid(), it.gid(), it.mode())
    };
    let before = about();
    windlass!("get", server.url("/"), "-o", &file).run().succeeds();
    assert_eq!(about(), before);
    fs::hard_link(&file, &other).expect("link");
    fs::write(&file, b"old content").expect("write");
    let outcome = windlass!("get", server.url("/"), "-o", &file).run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let why = "file: written in place: a new file would lose its other names";
    assert!(outcome.stderr.contains(why), "{outcome:?}");
    assert_eq!((about(), fs::read(&other).expect("read")), (before, b"new".to_vec()));
}

#[test]
fn a_list_of_access_rights_stays() {
    let folder = Folder::new();
    fs::write(folder.at("file"), b"old").expect("write");
    // An entry for user 12345, as acl(5) has it on disk.
    let entry = |tag: u16, may: u16, id: u32| {
        [&tag.to_le_bytes()[..], &may.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    let acl = [
        2_u32.to_le_bytes().to_vec(),
        entry(1, 6, none),
        entry(2, 4, 12345),
        entry(4, 0, none),
        entry(16, 4, none),
        entry(32, 0, none),
    ]
    .concat();
    let name = "system.posix_acl_access";
    if xattr::set(folder.at("file"), name, &acl).is_err() {
        skipped("this file system has no lists of access rights");
        return;
    }
    let server = Server::that_says(answer_with(b"new"));
    windlass!("get", server.url("/"), "-o", folder.at("file")).run().succeeds();
    folder.has_only("file", b"new");
    assert_eq!(xattr::get(folder.at("file"), name).expect("read"), Some(acl));
}
