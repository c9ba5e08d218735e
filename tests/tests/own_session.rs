//! A program's own session under the models that stay in its process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use windlass::addr::Address;
use windlass::server::{Limits, Model, Offer, Server, Stop};
use windlass::sys::listener::Listener;
use windlass_core::fault::Fault;
use windlass_core::session::{Consumed, Out, Session};
use windlass_core::time::Instant;
use windlass_core::want::Want;
use windlass_tests::Client;

/// Says its number when it is asked for anything, and is done.
struct Number {
    number: usize,
    done: bool,
}

impl Session for Number {
    fn input(&mut self, _: Instant, bytes: &mut [u8], out: &mut Out<'_>) -> Consumed {
        let _ = out.put(format!("{}\n", self.number).as_bytes());
        self.done = true;
        Consumed::bytes(bytes.len())
    }

    fn eof(&mut self, _: Instant) {
        self.done = true;
    }

    fn render(&mut self, _: Instant, _: &mut Out<'_>) {}

    fn tick(&mut self, _: Instant) {}

    fn want(&self) -> Want {
        if self.done { Want::done(Ok(())) } else { Want::READ }
    }

    fn abort(&mut self, _: Fault) {
        self.done = true;
    }
}

#[test]
fn each_client_gets_a_session_of_its_own() {
    let models = [
        Model::Iterative,
        Model::Thread,
        Model::ThreadPool,
        Model::Select,
        Model::Poll,
        Model::Epoll,
        Model::EpollEt,
        Model::Reactor,
    ];
    for model in models {
        let any: Address = "tcp:127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(&any, 64).expect("listen");
        let address = listener.address().to_string();
        let (stop, handle) = Stop::by_handle(0).expect("an eventfd");
        let count = Arc::new(AtomicUsize::new(0));
        let offer = Offer::custom("number", move || Number {
            number: count.fetch_add(1, Ordering::Relaxed),
            done: false,
        });
        let server =
            thread::spawn(move || Server::new(listener, offer, Limits::default(), stop).run(model));
        for number in 0..3 {
            let mut client = Client::connect(&address);
            client.send(b"?");
            client.ends_with(format!("{number}\n").as_bytes());
        }
        handle.stop();
        server.join().expect("the server's thread").expect("the server");
    }
}
