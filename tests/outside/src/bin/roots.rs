//! Two folders by HTTP from one loop, each at an address of its own and with an idle timeout of its own:
//! `roots FOLDER FOLDER`.

use std::io;
use std::path::Path;

use windlass::drive::Client;
use windlass::reactor::{EventLoop, Incoming};
use windlass::server::{Offer, TimeLimits, Web};
use windlass::sys::root::Root;
use windlass::sys::{Signal, listener::Listener};

fn main() -> io::Result<()> {
    let mut events = EventLoop::new()?;
    events.signal(Signal::SIGTERM, |(), cx, _| cx.exit())?;
    let folders = std::env::args().skip(1);
    for (folder, idle_us) in folders.zip([1_000_000, 60_000_000]) {
        let offer = Offer::http(Root::open(Path::new(&folder))?, Web::default());
        let limits = TimeLimits { idle_us: Some(idle_us), ..TimeLimits::default() };
        // The limits of time and the folder; `under` applies them to a connection.
        let rules = events.add_rules(offer.rules(limits));
        let listener = Listener::bind(&"tcp:127.0.0.1:0".parse()?, 128)?;
        println!("listening {}", listener.address());
        events.listen(listener, 10_000, move |(), cx, incoming| {
            if let Incoming::Client(stream) = incoming {
                let job = offer.open(Client::Stream(stream), cx.now()).under(rules);
                // Without room in the kernel to watch it, the stream is closed.
                let _ = cx.carry(job);
            }
        })?;
    }
    Ok(events.run(&mut ())?)
}
