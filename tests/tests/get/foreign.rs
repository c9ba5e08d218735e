//! A foreign server: the one of Python.

use std::fs::{self, File};

use windlass_tests::{PATIENCE, Program, Random, Running, has, windlass, within};

use crate::folder::Folder;

/// It serves this folder. Where it is, and it.
fn python(folder: &Folder, protocol: &str, log: &Folder) -> (String, Running) {
    let said = log.at("said");
    let server = Program::new("python3")
        .words("-u -m http.server 0 --bind 127.0.0.1 --protocol")
        .arg(protocol)
        .arg("--directory")
        .arg(folder.path())
        .output(File::create(&said).expect("create"))
        .start();
    let mut port = String::new();
    within(PATIENCE, "it says its port", || {
        let said = fs::read_to_string(&said).expect("read");
        // Serving HTTP on 127.0.0.1 port 39215 (http://127.0.0.1:39215/) ...
        let Some((_, rest)) = said.split_once(" port ") else { return false };
        let Some((number, _)) = rest.split_once(' ') else { return false };
        number.clone_into(&mut port);
        true
    });
    (format!("http://127.0.0.1:{port}"), server)
}

#[test]
fn a_python_serves_files_redirects_and_refusals() {
    if !has("python3") {
        return;
    }
    let offered = Folder::new();
    let body = Random::new(24).bytes(3 << 20);
    fs::write(offered.at("a b"), &body).expect("write");
    fs::write(offered.at("empty"), b"").expect("write");
    fs::create_dir(offered.at("folder")).expect("mkdir");
    fs::write(offered.at("folder/index.html"), b"<p>index").expect("write");
    for protocol in ["HTTP/1.0", "HTTP/1.1"] {
        let log = Folder::new();
        let (root, server) = python(&offered, protocol, &log);
        for (path, expected) in [
            ("/a%20b", &body[..]),
            ("/empty", b""),
            ("/folder/", b"<p>index"),
            ("/folder", b"<p>index"),
        ] {
            let outcome = windlass!("get", format!("{root}{path}")).run();
            outcome.succeeds();
            assert!(outcome.stdout == expected, "{path}: {outcome}");
            let folder = Folder::new();
            windlass!("get", format!("{root}{path}"), "-o", folder.at("file")).run().succeeds();
            folder.has_only("file", expected);
        }
        let folder = Folder::new();
        let outcome = windlass!("get", format!("{root}/missing"), "-o", folder.at("file")).run();
        outcome.fails_with(1, &["/missing", "404"]);
        folder.is_empty();
        drop(server);
    }
}
