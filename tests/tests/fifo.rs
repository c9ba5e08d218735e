//! `windlass fifo`: either end, writers that come and go.
//!
//! - What one end writes the other prints, whole, and through a writer that leaves and returns.
//! - Without a writer the reader costs nothing.
//! - A FIFO that the reader made goes with it; one that was there stays.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use windlass_tests::{Feed, PATIENCE, Random, proc, windlass, within};

fn is_fifo(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_fifo())
}

#[test]
fn megabytes_pass_from_end_to_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    mkfifo(&fifo, Mode::from_bits_truncate(0o600)).expect("mkfifo");
    let sent = Random::new(3).bytes(5 << 20);
    let (writer, feed) = (fifo.clone(), sent.clone());
    let writing = thread::spawn(move || {
        windlass!("fifo", "write", writer).feed(Feed::Pipe(feed)).run().succeeds();
    });
    let read = windlass!("fifo", "read", "--once", &fifo).run();
    writing.join().expect("the writer");
    assert_eq!(read.code, Some(0), "{read}");
    assert!(read.stdout == sent, "{} bytes of {}", read.stdout.len(), sent.len());
    assert!(is_fifo(&fifo), "it was there before");
}

#[test]
fn the_last_writer_may_leave_and_return() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fifo, printed) = (folder.path().join("fifo"), folder.path().join("printed"));
    let output = File::create(&printed).expect("create");
    let reader = windlass!("fifo", "read", &fifo).output(output).start();
    within(PATIENCE, "the FIFO is made", || is_fifo(&fifo));
    let mut expected = String::new();
    for visit in 0..20 {
        let line = format!("visit {visit}\n");
        let mut writer = File::options().write(true).open(&fifo).expect("a reader is there");
        writer.write_all(line.as_bytes()).expect("write");
        drop(writer);
        expected += &line;
        let came = || fs::read_to_string(&printed).expect("read");
        within(PATIENCE, "it is printed", || came() == expected);
    }
    let before = proc::cpu_time(reader.pid());
    // Not to wait for something: half a second without a writer is what is measured.
    thread::sleep(Duration::from_millis(500));
    let used = proc::cpu_time(reader.pid()).saturating_sub(before);
    assert!(used < Duration::from_millis(200), "{used:?} without a writer");
    assert_eq!(reader.end_by(Signal::SIGTERM), Some(0));
    assert!(!fifo.exists(), "the FIFO that it made is still there");
}

#[test]
fn a_reader_without_any_writer_ends_when_it_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let reader = windlass!("fifo", "read", &fifo).start();
        within(PATIENCE, "the FIFO is made", || is_fifo(&fifo));
        assert_eq!(reader.end_by(signal), Some(0));
        assert!(!fifo.exists(), "the FIFO that it made is still there");
    }
}

#[test]
fn readers_that_leave_are_a_failure_of_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    mkfifo(&fifo, Mode::from_bits_truncate(0o600)).expect("mkfifo");
    let path = fifo.clone();
    let reading = thread::spawn(move || drop(File::open(path).expect("open")));
    let write = windlass!("fifo", "write", &fifo).feed(Feed::Pipe(vec![b'x'; 1 << 20])).run();
    reading.join().expect("the reader");
    write.fails_with(1, &["write", &fifo.display().to_string(), "Broken pipe"]);
}

#[test]
fn what_is_no_fifo_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "kept").expect("write");
    let missing = folder.path().join("no/such/folder");
    for end in ["read", "write"] {
        let name = file.display().to_string();
        windlass!("fifo", end, &file).run().fails_with(1, &[&name, "no FIFO"]);
        let name = missing.display().to_string();
        windlass!("fifo", end, &missing).run().fails_with(1, &[&name, "No such file"]);
        assert_eq!(windlass!("fifo", end).run().code, Some(2));
    }
    assert_eq!(fs::read(&file).expect("read"), b"kept");
}

#[test]
fn nothing_to_write_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    mkfifo(&fifo, Mode::from_bits_truncate(0o600)).expect("mkfifo");
    let path = fifo.clone();
    let reading = thread::spawn(move || fs::read(path).expect("read"));
    windlass!("fifo", "write", &fifo).feed(Feed::Nothing).run().succeeds();
    assert!(reading.join().expect("the reader").is_empty());
}
