//! `windlass fifo`: both ends, with writers that come and go.
//!
//! - The reader prints every byte of the writers, also when a writer leaves and returns.
//! - Without a writer the reader costs nothing.
//! - A FIFO that the reader made is removed at its end; one that existed before stays.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use windlass::sys::signals::FATAL;
use windlass_tests::{Feed, PATIENCE, Program, Random, leave_no_core, proc, windlass, within};

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
    leave_no_core();
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    for signal in FATAL {
        let reader = windlass!("fifo", "read", &fifo).start();
        within(PATIENCE, "the FIFO is made", || is_fifo(&fifo));
        let is_told = matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP);
        assert_eq!(reader.end_by(signal), is_told.then_some(0), "{signal}");
        assert!(!fifo.exists(), "the FIFO that it made is still there");
    }
}

/// As `nohup` does.
#[test]
fn an_ignored_hangup_stays_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fifo, printed) = (folder.path().join("fifo"), folder.path().join("printed"));
    let script = "trap '' HUP; exec \"$0\" fifo read \"$1\"";
    let program = env!("CARGO_BIN_EXE_windlass-under-test");
    let reader = Program::new("sh").arg("-c").arg(script).arg(program).arg(&fifo);
    let reader = reader.output(File::create(&printed).expect("create")).start();
    within(PATIENCE, "the FIFO is made", || is_fifo(&fifo));
    kill(Pid::from_raw(reader.pid()), Signal::SIGHUP).expect("kill");
    fs::write(&fifo, "still there").expect("a reader is there");
    let came = || fs::read(&printed).expect("read");
    within(PATIENCE, "it is printed", || came() == b"still there");
    assert_eq!(reader.end_by(Signal::SIGTERM), Some(0));
}

/// The first signal lets it print what it read; the second one does not wait for that.
#[test]
fn a_second_signal_ends_a_reader_with_a_full_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    let (_full, output) = std::io::pipe().expect("a pipe");
    let reader = windlass!("fifo", "read", &fifo).output(OwnedFd::from(output).into()).start();
    within(PATIENCE, "the FIFO is made", || is_fifo(&fifo));
    let mut writer = File::options().write(true).open(&fifo).expect("a reader is there");
    // Two pipes hold 128 KiB of it. So the reader has the rest, and cannot get rid of it.
    writer.write_all(&vec![b'x'; 200_000]).expect("write");
    kill(Pid::from_raw(reader.pid()), Signal::SIGINT).expect("kill");
    assert_eq!(reader.end_by(Signal::SIGTERM), Some(0));
    assert!(!fifo.exists(), "the FIFO that it made is still there");
}

#[test]
fn what_took_the_name_of_its_fifo_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    let file: fn(&Path) = |path| fs::write(path, "kept").expect("write");
    let other: fn(&Path) = |path| mkfifo(path, Mode::S_IRWXU).expect("mkfifo");
    for replace in [file, other] {
        let reader = windlass!("fifo", "read", &fifo).start();
        within(PATIENCE, "the FIFO is made", || is_fifo(&fifo));
        // A writer finds the reader, which has opened the FIFO by then.
        drop(File::options().write(true).open(&fifo).expect("open"));
        fs::remove_file(&fifo).expect("remove");
        replace(&fifo);
        assert_eq!(reader.end_by(Signal::SIGTERM), Some(0));
        fs::remove_file(&fifo).expect("it stayed");
    }
}

#[test]
fn an_input_at_its_end_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let [fifo, input] = ["fifo", "input"].map(|name| folder.path().join(name));
    for path in [&fifo, &input] {
        mkfifo(path, Mode::S_IRWXU).expect("mkfifo");
    }
    // It is both ends, so that opening one end does not wait for the other.
    let both = File::options().read(true).write(true).open(&input).expect("open");
    let left = File::open(&input).expect("open");
    drop(both);
    let path = fifo.clone();
    let reading = thread::spawn(move || fs::read(path).expect("read"));
    windlass!("fifo", "write", &fifo).feed(Feed::File(left)).run().succeeds();
    assert!(reading.join().expect("the reader").is_empty());
}

#[test]
fn an_input_that_is_only_written_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let [fifo, input] = ["fifo", "input"].map(|name| folder.path().join(name));
    let write_only = File::create(input).expect("create");
    let outcome = windlass!("fifo", "write", &fifo).feed(Feed::File(write_only)).run();
    outcome.fails_with(1, &["read standard input", "Bad file"]);
    assert!(!fifo.exists());
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
