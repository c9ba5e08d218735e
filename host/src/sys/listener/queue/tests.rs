//! Several that wait at one listener, while another holder of it changes its flags.

use std::sync::mpsc;
use std::thread;

use super::*;
use crate::sys::clock;
use crate::sys::connect::connect;
use crate::sys::listener::tests::{accepted, flags, name_of, tcp};
use crate::sys::stream::Stream;

/// Another holder of the same open file description.
fn another_holder(of: &Listener) -> std::net::TcpListener {
    std::net::TcpListener::from(of.fd.try_clone().unwrap())
}

#[test]
fn a_flag_that_another_holder_clears_makes_no_accept_block() {
    let listener = tcp();
    another_holder(&listener).set_nonblocking(false).unwrap();
    assert!(matches!(listener.accept(), Accepted::Empty));
    assert_eq!(flags(&listener), (true, true));
    accepted(&listener);
}

#[test]
fn each_client_goes_to_one_of_those_that_wait() {
    const LIMIT: Duration = Duration::from_mins(1);
    let listener = tcp();
    let far = clock::now().after(60_000_000);
    thread::scope(|scope| {
        let (told, served) = mpsc::channel();
        for _ in 0..4 {
            let told = told.clone();
            let queue = listener.queue().unwrap();
            scope.spawn(move || {
                loop {
                    match queue.next(LIMIT) {
                        Accepted::Stream(stream) => told.send(stream.peer()).unwrap(),
                        Accepted::Empty => {}
                        Accepted::Closed => return,
                        other @ (Accepted::Exhausted(_) | Accepted::Datagrams) => {
                            panic!("{other:?}")
                        }
                    }
                }
            });
        }
        let holder = another_holder(&listener);
        let clients: Vec<Stream> = (0..40)
            .map(|at| {
                holder.set_nonblocking(at % 3 == 0).unwrap();
                let client = connect(listener.address(), far).unwrap();
                assert_eq!(served.recv_timeout(LIMIT).unwrap(), name_of(&client));
                client
            })
            .collect();
        assert_eq!(clients.len(), 40);
        // All of them hear that it is over.
        listener.close_everywhere();
    });
}

#[test]
fn a_wait_ends_at_its_limit() {
    let listener = tcp();
    let queue = listener.queue().unwrap();
    another_holder(&listener).set_nonblocking(false).unwrap();
    assert!(matches!(queue.next(Duration::from_millis(1)), Accepted::Empty));
}
