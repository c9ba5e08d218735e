//! A server that the test controls, in a thread of the test.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use windlass_tests::PATIENCE;

/// A server on loopback. Its thread ends with the test's process at the latest.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Receiver<String>,
}

/// The connection to a client after its request was read.
pub(crate) struct Client(TcpStream);

impl Server {
    /// Accepts one client after another, reads its request, acts, and closes the connection. `act` is
    /// told how many came before.
    pub(crate) fn start(act: impl FnMut(&mut Client, usize) + Send + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("bind"), act)
    }

    /// The same, on a listener that is there already.
    pub(crate) fn on(
        listener: TcpListener,
        mut act: impl FnMut(&mut Client, usize) + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("address");
        let (sender, requests) = channel();
        thread::spawn(move || {
            for number in 0.. {
                let (stream, _) = listener.accept().expect("accept");
                stream.set_nodelay(true).expect("TCP_NODELAY");
                let mut client = Client(stream);
                if sender.send(client.request()).is_err() {
                    return;
                }
                act(&mut client, number);
            }
        });
        Self { address, requests }
    }

    /// Answers every client with these bytes, and closes the connection.
    pub(crate) fn that_says(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |client, _| client.say(&answer))
    }

    /// Redirects the `n`th client to the `n`th of `locations`; then it answers with `here`.
    pub(crate) fn that_redirects(locations: &[&str]) -> Self {
        let locations: Vec<String> = locations.iter().map(|&at| at.to_owned()).collect();
        Self::start(move |client, number| match locations.get(number) {
            Some(location) => {
                let head = "HTTP/1.1 302 Found\r\nContent-Length: 6\r\nLocation: ";
                client.say(format!("{head}{location}\r\n\r\nmoved\n").as_bytes());
            }
            None => client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere"),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request, as it came.
    #[track_caller]
    pub(crate) fn request(&self) -> String {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }

    /// The paths that were asked for so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        let second_word = |request: String| request.split(' ').nth(1).map(str::to_owned);
        self.requests.try_iter().filter_map(second_word).collect()
    }
}

impl Client {
    fn request(&mut self) -> String {
        let mut request = Vec::new();
        let mut piece = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut piece) {
                Ok(count @ 1..) => request.extend_from_slice(&piece[..count]),
                Ok(0) | Err(_) => break,
            }
        }
        String::from_utf8(request).expect("a request of ASCII")
    }

    /// Sends `bytes`, unless the client has left.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// The same, a segment for each byte.
    pub(crate) fn spell(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.say(&[*byte]);
        }
    }

    /// Sends until all is sent or the client takes nothing for `patience`. How much went.
    pub(crate) fn push(&mut self, bytes: &[u8], patience: Duration) -> usize {
        self.0.set_write_timeout(Some(patience)).expect("a timeout");
        // A kernel that lends more would hide which side is held up.
        setsockopt(&self.0, sockopt::SndBuf, &(256 << 10)).expect("SO_SNDBUF");
        let mut sent = 0;
        for piece in bytes.chunks(64 << 10) {
            let count = self.0.write(piece).unwrap_or(0);
            sent += count;
            // A blocking write that is short has waited for so long.
            if count < piece.len() {
                break;
            }
        }
        self.0.set_write_timeout(None).expect("a timeout");
        sent
    }

    /// Says that this was all, and stays to hear that the client has left.
    pub(crate) fn end(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
        self.hold();
    }

    /// Keeps the connection open until the client closes it.
    pub(crate) fn hold(&mut self) {
        while let Ok(1..) = self.0.read(&mut [0; 64]) {}
    }

    /// The end of the connection will be a reset.
    pub(crate) fn will_reset(&mut self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&self.0, sockopt::Linger, &linger).expect("linger");
    }
}

/// An answer with a body of known length.
pub(crate) fn answer_with(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
