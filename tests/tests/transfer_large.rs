//! A file with more blocks than there are block numbers, over real sockets.
//!
//! The file has `WINDLASS_LARGE_MIB` MiB: 200 as a rule, where the numbers wrap twice. `cargo xtask ci` has 5 GiB.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::{ChildStdout, Command, Stdio};

use windlass_tests::{Model, serve};

/// A file with holes. At each place of a number that no block has as its length stands that place.
fn stamped(path: &std::path::Path, len: u64) -> File {
    let file = File::options().create_new(true).read(true).write(true).open(path).expect("create");
    file.set_len(len).expect("truncate");
    for at in (0..len - 8).step_by(1_000_003) {
        file.write_all_at(&at.to_le_bytes(), at).expect("write");
    }
    file
}

#[test]
fn a_file_with_block_numbers_that_wrap_arrives_whole() {
    let mib = std::env::var("WINDLASS_LARGE_MIB").map_or(200, |mib| mib.parse().expect("a number"));
    let len = mib << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let file = stamped(&folder.path().join("large"), len);
    let args = format!("--root {}", folder.path().display());
    let server = serve!("tftp", Model::Epoll).listen("udp:127.0.0.1:0").args(&args).start();
    let url = server.address().replace("udp:", "tftp://") + "/large";
    let mut get = Command::new(env!("CARGO_BIN_EXE_windlass-under-test"))
        .args(["get", &url, "--blksize", "1428", "-o", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start");
    // It ends by itself where nothing moves any more, and without a reader.
    let came = compare(get.stdout.take().expect("a pipe"), &file);
    assert!(get.wait().expect("wait").success());
    assert_eq!(came, Ok(len));
}

/// Reads all of `output`, which is to be as the file: how many bytes; or where other bytes begin.
fn compare(mut output: ChildStdout, file: &File) -> Result<u64, u64> {
    let (mut here, mut there) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    let mut at = 0;
    loop {
        let n = output.read(&mut here).expect("read");
        if n == 0 {
            return Ok(at);
        }
        file.read_exact_at(&mut there[..n], at).expect("the file is no shorter");
        if here[..n] != there[..n] {
            return Err(at);
        }
        at += n as u64;
    }
}
