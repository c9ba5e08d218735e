//! Limits: clients beyond a limit wait, and are served later.
//!
//! - `--max-connections`, under every model that serves several clients at once.
//! - The thread pool: it grows when clients wait, up to its maximum; its queue is bounded.

use windlass_tests::{Client, Model, Server, every_concurrent_model, serve};

every_concurrent_model!(beyond_max_connections_a_client_waits_until_one_leaves);

/// Connected clients are served many times, and clients that wait are not served.
#[track_caller]
fn only_the_first_are_served(inside: &mut [Client], waiting: &[Client]) {
    for _ in 0..50 {
        for client in &mut *inside {
            client.upper(b"in");
        }
    }
    assert!(waiting.iter().all(|client| !client.has_input()), "served beyond the limit");
}

fn connect(server: &Server, count: usize) -> Vec<Client> {
    (0..count).map(|_| server.connect()).collect()
}

fn beyond_max_connections_a_client_waits_until_one_leaves(model: Model) {
    let server = serve!("upper", model).args("--max-connections 2").start();
    let mut inside = connect(&server, 2);
    for client in &mut inside {
        client.upper(b"first");
    }
    let mut waiting = connect(&server, 3);
    for client in &mut waiting {
        client.send(b"later");
    }
    while !waiting.is_empty() {
        only_the_first_are_served(&mut inside, &waiting);
        inside.remove(0).ends_with(b"");
        let mut next = waiting.remove(0);
        next.expect(b"LATER");
        inside.push(next);
    }
}

/// The classic manager looks at its pool every ten seconds and starts threads when ten clients
/// wait, so the client behind as many busy threads as the minimum starves.
#[test]
fn the_pool_grows_when_a_client_waits_behind_those_that_stay() {
    let server = serve!("upper", Model::ThreadPool).start();
    let mut clients = connect(&server, 3);
    for client in &mut clients {
        client.upper(b"they stay");
    }
    server.connect().upper(b"the fourth");
    for client in &mut clients {
        client.upper(b"still here");
    }
}

#[test]
fn the_pool_grows_to_its_maximum_and_the_rest_waits() {
    let options = "--min-threads 1 --max-threads 2 --queue 1 --grace 0";
    let server = serve!("upper", Model::ThreadPool).args(options).start();
    let mut inside = connect(&server, 1);
    inside[0].upper(b"for ever");
    inside.extend(connect(&server, 1));
    inside[1].upper(b"by a second thread");
    // One of these is in the queue, the others are behind it.
    let mut waiting = connect(&server, 4);
    for client in &mut waiting {
        client.send(b"later");
    }
    while !waiting.is_empty() {
        only_the_first_are_served(&mut inside, &waiting);
        inside.pop().expect("two are served").ends_with(b"");
        let mut next = waiting.remove(0);
        next.expect(b"LATER");
        inside.push(next);
    }
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn the_pool_serves_more_clients_than_it_has_threads() {
    let options = "--min-threads 1 --max-threads 2 --queue 3";
    let server = serve!("upper", Model::ThreadPool).args(options).start();
    let mut clients = connect(&server, 60);
    for client in &mut clients {
        client.send(b"a");
    }
    for mut client in clients {
        client.ends_with(b"A");
    }
}
