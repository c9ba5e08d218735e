//! A client of HTTP that shows all of an answer.

use crate::Client;

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, as they were written.
    pub fields: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads one answer, to a request with this method.
    #[track_caller]
    pub fn read(client: &mut Client, method: &str) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.try_read(&mut byte).unwrap_or_else(|error| {
                panic!("{error} in a head: {}", String::from_utf8_lossy(&head))
            });
            head.extend(byte);
        }
        let mut answer = Self::of(&head);
        let len = answer.field("Content-Length").map_or(0, |len| len.parse().expect("a length"));
        if method != "HEAD" {
            answer.body = vec![0; len];
            client.try_read(&mut answer.body).expect("the content");
        }
        answer
    }

    /// The one answer in all that came.
    #[track_caller]
    pub fn of(bytes: &[u8]) -> Self {
        let end =
            bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an end of the head");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII");
        let mut lines = head.split("\r\n");
        let first = lines.next().expect("a first line");
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_owned(), value.to_owned())
        };
        Self {
            status: status.and_then(|text| text.parse().ok()).expect("a status"),
            fields: lines.map(field).collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }
}

/// The answer to a request without content for a path, with these further lines in its head.
#[track_caller]
pub fn ask(client: &mut Client, method: &str, path: &str, lines: &[&str]) -> Answer {
    let lines: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n").as_bytes());
    Answer::read(client, method)
}
