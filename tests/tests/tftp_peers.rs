//! Which peer a datagram is of: copies of a request, other requests of one port, strangers, clients that are gone.
//!
//! - A copy of a request starts no second transfer, whatever process receives it; another request ends the first.
//! - A stranger at the port of a transfer gets ERROR 5, and the transfer goes on.
//! - A client that is gone frees its place at once, at a single port too.

use std::path::Path;

use windlass_core::transfer::tftp::Offer;
use windlass_tests::transfer::{Asker, ack, data, get, place, request};
use windlass_tests::{Model, PATIENCE, Server, every_model, models, serve, within};

fn start(model: Model, root: &Path, args: &str) -> Server {
    let root = format!("--root {} {args}", root.display());
    serve!("tftp", model).listen("udp:127.0.0.1:0").args(&root).start()
}

models!(the_same_request_is_answered_again_and_another_one_ends_the_first: thread Thread, select Select,
    poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor);

fn the_same_request_is_answered_again_and_another_one_ends_the_first(model: Model) {
    let (folder, file) = place(600);
    let server = start(model, folder.path(), "");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", ""));
    let (first, from) = asker.hear();
    for _ in 0..5 {
        // At once it is a copy that the network made.
        let mut again = None;
        within(PATIENCE, "it is answered again", || {
            asker.ask(&request(1, "file", "octet", ""));
            again = asker.next();
            again.is_some()
        });
        assert_eq!(again, Some((first.clone(), from)), "the same, from the same port");
    }
    // Another one, from the same port.
    asker.ask(&request(1, "file", "octet", "blksize=100"));
    let (answer, other) = loop {
        // Copies of the first answer may be on their way.
        let (answer, from) = asker.hear();
        if answer != first {
            break (answer, from);
        }
    };
    assert_eq!(answer, b"\0\x06blksize\x00100\0");
    assert_ne!(other, from);
    asker.say(&ack(0), other);
    assert_eq!(asker.hear(), (data(1, &file[..100]), other));
    // The first one is gone: its port answers nothing.
    asker.say(&ack(1), from);
    asker.say(&ack(1), other);
    let again = (data(1, &file[..100]), other);
    let next = loop {
        // On a busy machine the block was sent again.
        let said = asker.hear();
        if said != again {
            break said;
        }
    };
    assert_eq!(next, (data(2, &file[100..200]), other));
}

models!(a_copy_of_a_request_starts_no_second_transfer: iterative Iterative, fork Fork, thread Thread,
    select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor, thread_pool ThreadPool,
    pool_static PoolStatic, prefork Prefork);

fn a_copy_of_a_request_starts_no_second_transfer(model: Model) {
    let (folder, file) = place(1300);
    let server = start(model, folder.path(), "");
    for _ in 0..5 {
        let asker = Asker::of(server.address());
        let ask = request(1, "file", "octet", "");
        // Together, so that several workers have one each.
        for _ in 0..5 {
            asker.ask(&ask);
        }
        let (mut said, from) = asker.hear();
        for block in 1..=3 {
            let expected = data(block, file.chunks(512).nth(block as usize - 1).expect("a block"));
            while said != expected {
                let (again, by) = asker.hear();
                assert_eq!(by, from, "one port");
                said = again;
            }
            asker.ask(&ask);
            asker.say(&ack(block), from);
        }
        server.logs(&format!("sent peer={}", asker.own()));
        let twice = server.stderr().matches(&asker.own().to_string()).count();
        assert_eq!(twice, 1, "{}", server.stderr());
    }
}

every_model!(copies_of_a_request_draw_one_answer);

/// At a port for each transfer, and at one for all where a model has that.
fn copies_of_a_request_draw_one_answer(model: Model) {
    let (folder, file) = place(100);
    let shares = matches!(
        model,
        Model::Select | Model::Poll | Model::Epoll | Model::EpollEt | Model::Reactor
    );
    for args in ["", "--single-port"].into_iter().take(1 + usize::from(shares)) {
        let server = start(model, folder.path(), args);
        // A busy machine may hold a copy back for so long that it is a request of its own.
        within(PATIENCE, "there is one answer", || {
            let asker = Asker::of(server.address());
            for _ in 0..3 {
                asker.ask(&request(1, "file", "octet", "tsize=0"));
            }
            let (first, from) = asker.hear();
            assert_eq!(first, b"\0\x06tsize\x00100\0");
            asker.say(&ack(0), from);
            let (next, _) = asker.hear();
            let once = next == data(1, &file);
            assert!(once || next == first, "{next:?}");
            asker.say(&ack(1), from);
            once
        });
    }
}

// An iterative server looks at no request before.
models!(another_request_of_a_peer_ends_its_transfer_in_whatever_process_it_is: fork Fork, thread_pool ThreadPool, pool_static PoolStatic, prefork Prefork);

fn another_request_of_a_peer_ends_its_transfer_in_whatever_process_it_is(model: Model) {
    let (folder, file) = place(600);
    let server = start(model, folder.path(), "-v");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", ""));
    let (_, from) = asker.hear();
    asker.ask(&request(1, "file", "octet", "blksize=100"));
    server.logs("the peer asks for something else");
    let other = loop {
        let (answer, by) = asker.hear();
        if answer == b"\0\x06blksize\x00100\0" {
            break by;
        }
    };
    assert_ne!(other, from);
    asker.say(&ack(0), other);
    while asker.hear() != (data(1, &file[..100]), other) {}
}

models!(a_stranger_is_told_so_and_the_transfer_goes_on: iterative Iterative, fork Fork, thread Thread,
    select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor, thread_pool ThreadPool,
    pool_static PoolStatic, prefork Prefork);

fn a_stranger_is_told_so_and_the_transfer_goes_on(model: Model) {
    let (folder, file) = place(1300);
    let server = start(model, folder.path(), "");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", ""));
    let (first, from) = asker.hear();
    let stranger = Asker::of(server.address());
    // An ERROR and noise draw nothing, or two ends could tell each other for ever.
    for silent in [&b"\0\x05\0\x05unknown\0"[..], b"", b"noise"] {
        stranger.say(silent, from);
    }
    for said in [&ack(1)[..], &data(1, b"x"), &request(1, "file", "octet", "")] {
        stranger.say(said, from);
        let (answer, by) = stranger.hear();
        assert_eq!((&answer[..4], by), (&b"\0\x05\0\x05"[..], from));
    }
    // One that is gone when it is told.
    let gone = Asker::of(server.address());
    gone.say(&ack(1), from);
    drop(gone);
    let mut at = first;
    for block in 1..=3 {
        assert_eq!(at, data(block, file.chunks(512).nth(block as usize - 1).expect("a block")));
        asker.say(&ack(block), from);
        // Each may come again where the timer was due.
        while block < 3 && at[..4] != data(block + 1, b"") {
            at = asker.hear().0;
        }
    }
    assert_eq!(stranger.heard(), Vec::<Vec<u8>>::new());
    server.logs("sent peer");
    assert!(!server.stderr().contains("not sent"), "{}", server.stderr());
}

#[test]
fn a_client_that_leaves_behind_the_last_block_may_have_it() {
    let (folder, file) = place(700);
    let server = start(Model::Epoll, folder.path(), "");
    for (taken, words) in [(0, "not sent"), (1, "sent, but not acknowledged to its end")] {
        let asker = Asker::of(server.address());
        asker.ask(&request(1, "file", "octet", ""));
        let (mut last, from) = asker.hear();
        for block in 1..=taken {
            asker.say(&ack(block), from);
            last = asker.hear_after(&last);
        }
        assert_eq!(last, data(taken + 1, file.chunks(512).nth(taken.into()).expect("a block")));
        let own = asker.own();
        drop(asker);
        // The network says that it is gone, when the block is sent again.
        server.logs(&format!("{words} peer={own}"));
    }
}

models!(at_a_single_port_a_client_that_is_gone_frees_its_place_at_once: select Select, poll Poll, epoll Epoll,
    epoll_et EpollEt, reactor Reactor);

fn at_a_single_port_a_client_that_is_gone_frees_its_place_at_once(model: Model) {
    let (folder, file) = place(5000);
    let server = start(model, folder.path(), "--single-port --max-connections 1");
    for _ in 0..3 {
        let asker = Asker::of(server.address());
        asker.ask(&request(1, "file", "octet", "blksize=512 windowsize=4"));
        asker.say(&ack(0), asker.hear().1);
        let own = asker.own();
        drop(asker);
        server.logs(&format!("not sent peer={own}"));
        get(server.address(), "file", Offer::DEFAULT).came(&file);
    }
}
