//! One direction of a connection ends, and the other goes on.
//!
//! - After the end of the input all pending output (4 MiB) still arrives.
//! - An end that comes together with the last bytes is noticed (1,000 times).
//! - An end without any bytes is noticed.
//! - Urgent data, at which a read stops short, hides nothing that follows it.
//! - A server that has sent its last reply does not reset a client that is still sending.
//! - A client that leaves without reading costs the other clients nothing.

use windlass_tests::{Model, Random, every_model, serve};

every_model!(
    what_is_owed_at_the_end_of_the_input_still_arrives,
    bytes_and_the_end_in_one_go_are_both_seen,
    an_end_without_bytes_is_answered_with_an_end,
    what_follows_urgent_data_is_seen,
    a_client_that_sends_to_a_server_that_leaves_gets_a_clean_end,
    a_client_that_leaves_with_replies_in_flight_disturbs_no_other,
);

/// A server that closes at the end of its input loses what the socket has not taken yet. The client
/// sends and does not read unless it has to, so as much as possible is owed when it half-closes.
fn what_is_owed_at_the_end_of_the_input_still_arrives(model: Model) {
    let server = serve!("upper", model).start();
    let sent = Random::new(3).bytes(4 << 20);
    let mut client = server.connect();
    let mut received = client.send_reluctantly(&sent);
    client.finish();
    received.extend(client.rest());
    assert_eq!(received.len(), sent.len());
    assert!(received == sent.to_ascii_uppercase(), "other bytes than expected");
}

/// An edge-triggered loop that takes a short read for an empty socket misses the end behind it.
fn bytes_and_the_end_in_one_go_are_both_seen(model: Model) {
    let server = serve!("upper", model).start();
    for _ in 0..20 {
        let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(b"abc");
            client.finish();
        }
        for client in &mut clients {
            assert_eq!(client.rest(), b"ABC");
        }
    }
}

fn an_end_without_bytes_is_answered_with_an_end(model: Model) {
    let server = serve!("upper", model).start();
    for _ in 0..20 {
        server.connect().ends_with(b"");
    }
}

/// A read stops at the urgent mark, however much lies behind it: no empty socket either.
fn what_follows_urgent_data_is_seen(model: Model) {
    let server = serve!("upper", model).start();
    for _ in 0..50 {
        let mut client = server.connect();
        client.send(b"abc");
        client.send_urgent(b"!");
        client.send(b"def");
        // Only the bytes in the stream: the urgent one is beside it.
        client.expect(b"ABCDEF");
        client.ends_with(b"");
    }
}

/// A server that looks for input, finds none and closes may be too late: what came in between turns
/// the end into a reset. That moment is short, so there are many clients.
fn a_client_that_sends_to_a_server_that_leaves_gets_a_clean_end(model: Model) {
    let server = serve!("time", model).start();
    for _ in 0..500 {
        let mut client = server.connect();
        // It may have left already.
        let _ = client.try_send(&[b'x'; 100]);
        assert_eq!(client.rest().last(), Some(&b'\n'));
    }
}

fn a_client_that_leaves_with_replies_in_flight_disturbs_no_other(model: Model) {
    let server = serve!("echo", model).start();
    let bytes = Random::new(4).bytes(100_000);
    for round in 0..50 {
        let mut leaving = server.connect();
        leaving.send(&bytes[..=(round * 2_000)]);
        drop(leaving);
    }
    let mut client = server.connect();
    client.send(&bytes[..1_000]);
    client.ends_with(&bytes[..1_000]);
}
