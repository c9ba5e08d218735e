//! Each program is started, serves a client, and ends on SIGTERM.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};

use windlass::server::Model;
use windlass::sys::process::terminate;

/// A program that runs, until this is dropped.
struct Running {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("it prints");
        let address = line.trim().strip_prefix("listening tcp:").expect("it listens").to_owned();
        Self { child, out, address }
    }

    /// Sends `text` and the end of it, and returns all that is answered.
    fn ask(&self, text: &str) -> String {
        let mut client = TcpStream::connect(&self.address).expect("it is there");
        client.write_all(text.as_bytes()).expect("it reads");
        client.shutdown(Shutdown::Write).expect("it is connected");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// Asks it to end; what it printed meanwhile.
    fn end(mut self) -> String {
        terminate(self.child.id().cast_signed());
        let mut text = String::new();
        self.out.read_to_string(&mut text).expect("its output ends");
        assert!(self.child.wait().expect("it ends").success());
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn lines_are_answered_and_counted() {
    let server = Running::start(env!("CARGO_BIN_EXE_lines"), &[]);
    assert_eq!(server.ask("one\ntwo\n"), "ONE\nTWO\n");
    assert_eq!(server.ask("three\nfo"), "THREE\n");
    assert!(server.end().ends_with("3 lines in all\n"));
}

#[test]
fn a_session_is_served_under_every_model() {
    for model in Model::ALL {
        let server = Running::start(env!("CARGO_BIN_EXE_models"), &[model.name()]);
        assert_eq!(server.ask("1\n20\n300\n"), "1\n21\n321\n", "{}", model.name());
        assert_eq!(server.ask("7\n"), "7\n", "{}", model.name());
        server.end();
    }
}

#[test]
fn a_session_is_served_beside_a_timer() {
    let server = Running::start(env!("CARGO_BIN_EXE_beside"), &[]);
    assert_eq!(server.ask("4\n5\n"), "4\n9\n");
    server.end();
}

#[test]
fn an_address_that_is_none_is_an_error_that_main_returns() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_models"));
    let output = command.args(["epoll", "127.0.0.1:1"]).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("InvalidInput"), "{text}");
}
