//! The monitor in a loop with a clock that the test moves, with clients in the same thread.

use std::time::Duration;

use super::seats::{CLIENTS_MAX, IDLE_TIMEOUT};
use super::*;
use crate::reactor::EventLoop;
use crate::reactor::tests::{Door, End, frozen, pass, pump};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: h\r\nAccept: a/b\r\n\r\n";

/// A loop with a monitor that counts how often it was asked, and a way to connect to it.
fn start(document: &'static [u8]) -> (EventLoop<u64>, Door) {
    start_until(document, &Rc::default())
}

/// The same, until it is replaced.
fn start_until(document: &'static [u8], is_replaced: &Rc<Cell<bool>>) -> (EventLoop<u64>, Door) {
    let (mut events, (listener, door)) = (frozen(), Door::open());
    let is_replaced = Rc::clone(is_replaced);
    listen(
        &mut events,
        listener,
        is_replaced,
        move |asked: &mut u64, Asked { name, accept }, _| {
            *asked += 1;
            match (name, accept) {
                (b"x", b"a/b") => Told::Document("text/x", document.to_vec()),
                (b"later", _) => Told::NotReady,
                _ => Told::Nothing,
            }
        },
    )
    .unwrap();
    (events, door)
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let ((mut events, door), mut asked) = (start(b"document"), 0);
    let mut client = door.knock();
    client.say(
        &[GET, b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n", b"HEAD /y HTTP/1.0\r\n\r\n"].concat(),
    );
    pump(&mut events, &mut asked);
    let (answer, end) = client.hear_text();
    let parts: Vec<_> = answer.split("HTTP/1.1 ").collect();
    let [_, document, later, none] = parts[..] else { panic!("{answer}") };
    assert!(document.starts_with("200 ") && document.ends_with("\r\n\r\ndocument"), "{answer}");
    assert!(document.contains("Content-Type: text/x") && document.contains("no-store"), "{answer}");
    assert!(later.starts_with("503 ") && later.contains("Retry-After: 1"), "{answer}");
    assert!(none.starts_with("404 ") && none.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!((asked, end), (3, End::Eof));
}

#[test]
fn a_client_of_a_process_that_was_replaced_gets_one_answer_more() {
    let (is_replaced, mut asked) = (Rc::default(), 0);
    let (mut events, door) = start_until(b"document", &is_replaced);
    let mut client = door.knock();
    client.say(GET);
    pump(&mut events, &mut asked);
    let (answer, end) = client.hear_text();
    assert!(!answer.contains("Connection: close") && end == End::Open, "{answer}");
    is_replaced.set(true);
    client.say(GET);
    pump(&mut events, &mut asked);
    let (answer, end) = client.hear_text();
    assert!(answer.contains("Connection: close") && answer.ends_with("document"), "{answer}");
    assert_eq!((asked, end), (2, End::Eof));
}

#[test]
fn a_client_that_does_not_take_its_answer_gets_no_other_one_and_is_cut() {
    static LARGE: [u8; 8 << 20] = [b'x'; 8 << 20];
    let ((mut events, door), mut asked) = (start(&LARGE), 0);
    let mut greedy = door.knock();
    greedy.say(&GET.repeat(20));
    pump(&mut events, &mut asked);
    assert_eq!((asked, events.streams()), (1, 1));
    pass(IDLE_TIMEOUT + Duration::from_micros(1));
    pump(&mut events, &mut asked);
    assert_eq!((asked, events.streams()), (1, 0));
}

#[test]
fn slow_clients_do_not_keep_others_out() {
    let ((mut events, door), mut asked) = (start(b"document"), 0);
    let mut slow = Vec::new();
    for _ in 0..3 * CLIENTS_MAX {
        let mut client = door.knock();
        client.push(b"GET /x HT");
        pump(&mut events, &mut asked);
        slow.push(client);
    }
    assert_eq!(events.streams(), CLIENTS_MAX);
    let mut next = door.knock();
    next.say(GET);
    pump(&mut events, &mut asked);
    assert!(next.hear_text().0.ends_with("document"));
    assert_eq!((asked, events.streams()), (1, CLIENTS_MAX));
    pass(IDLE_TIMEOUT + Duration::from_micros(1));
    pump(&mut events, &mut asked);
    assert_eq!(events.streams(), 0);
}
