//! Each program is started, serves a client, and ends on SIGTERM.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use windlass::addr::Transport;
use windlass::server::{Model, Service};
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
        let address = listening(&mut out);
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

/// The address of the next line that a program prints when it listens.
fn listening(out: &mut impl BufRead) -> String {
    let mut line = String::new();
    out.read_line(&mut line).expect("it prints");
    let (_, address) = line.trim().split_once("listening ").expect("it listens");
    let (_, address) = address.split_once(':').expect("an address");
    address.to_owned()
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
fn a_responder_is_served_under_every_model_of_datagrams() {
    let fits = |model: &Model| Service::Upper.misfit(Transport::Datagram, *model).is_none();
    for model in Model::ALL.into_iter().filter(fits) {
        let arguments = [model.name(), "udp:127.0.0.1:0"];
        let server = Running::start(env!("CARGO_BIN_EXE_models"), &arguments);
        let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
        client.connect(&server.address).expect("connect");
        // What is no number has no answer.
        for datagram in ["one", "1 20\n300"] {
            client.send(datagram.as_bytes()).expect("send");
        }
        let mut answer = [0; 10];
        let len = client.recv(&mut answer).expect("an answer");
        assert_eq!(&answer[..len], b"321\n", "{}", model.name());
        server.end();
    }
    let mut refused = Command::new(env!("CARGO_BIN_EXE_models"));
    let output = refused.args(["fork", "udp:127.0.0.1:0"]).output().expect("it starts");
    assert!(!output.status.success());
}

#[test]
fn a_chat_ends_when_all_clients_have_its_last_word() {
    let server = Running::start(env!("CARGO_BIN_EXE_chat"), &[]);
    let join = || BufReader::new(TcpStream::connect(&server.address).expect("it is there"));
    let next = |client: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        client.read_line(&mut line).expect("a line");
        line
    };
    let (mut first, mut second) = (join(), join());
    // A line goes to those that the server has accepted: both have, when each has heard the other.
    let mut heard = String::new();
    while heard.is_empty() {
        first.get_ref().write_all(b"are you there?\n").expect("it reads");
        second.get_ref().set_nonblocking(true).expect("set");
        let _ = second.read_line(&mut heard);
    }
    second.get_ref().set_nonblocking(false).expect("set");
    second.get_ref().write_all(b"yes\n").expect("it reads");
    assert_eq!(next(&mut first), "yes\n");
    server.end();
    assert_eq!(next(&mut first), "* the server ends\n");
    assert_eq!(next(&mut first), "");
    let mut rest = String::new();
    second.read_to_string(&mut rest).expect("the end");
    assert!(rest.ends_with("* the server ends\n"), "{rest}");
}

#[test]
fn one_loop_has_two_folders_and_two_idle_timeouts() {
    // Both are folders of this package.
    let folders = ["src", "tests"].map(|name| format!("{}/{name}", env!("CARGO_MANIFEST_DIR")));
    let mut server = Running::start(env!("CARGO_BIN_EXE_roots"), &[&folders[0], &folders[1]]);
    let second = listening(&mut server.out);
    let get = |mut client: &TcpStream, name: &str| {
        write!(client, "GET /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let connect = |at: &str| TcpStream::connect(at).expect("it is there");
    let idle = connect(&second);
    assert!(get(&connect(&server.address), "lib.rs").starts_with("HTTP/1.1 200"));
    assert!(get(&connect(&server.address), "programs.rs").starts_with("HTTP/1.1 404"));
    // The first one closes an idle connection after a second. The second one still has its own.
    assert_eq!((&connect(&server.address)).read(&mut [0]).expect("the end"), 0);
    assert!(get(&idle, "programs.rs").starts_with("HTTP/1.1 200"));
    server.end();
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
