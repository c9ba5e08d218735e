//! Serves the session and the responder of this crate under any server model: `models MODEL [ADDRESS]`.

use std::io;

use windlass::server::{Custom, Limits, Model, Server, Stop};
use windlass::sys::listener::Listener;
use windlass::sys::signals::Signals;
use windlass_outside::{Sum, SumOfDatagram};

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or("epoll".to_owned());
    let model = Model::ALL.into_iter().find(|model| model.name() == name);
    let model = model.ok_or(io::Error::new(io::ErrorKind::InvalidInput, "no such model"))?;
    let address = args.next().unwrap_or("tcp:127.0.0.1:0".to_owned());

    let listener = Listener::bind(&address.parse()?, 1024)?;
    // SIGTERM and SIGINT: no more clients, and five seconds for those that are connected.
    let stop = Stop::on_signals(Signals::catch()?, 5_000_000, 5_000_000);
    let limits = Limits { max_connections: 1000, ..Limits::default() };
    let address = listener.address().clone();
    // The responder is for addresses of datagrams, `udp:` and `unix-dgram:`.
    let offer = Custom::new("sum", Sum::new).with_responder(|| SumOfDatagram);
    let server = Server::new(listener, offer, limits, stop).when_ready(move || {
        println!("listening {address}");
        Ok(())
    });
    Ok(server.run(model)?)
}
