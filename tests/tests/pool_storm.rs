//! Workers of a process pool are killed at random while clients come.
//!
//! - Only a client of a worker that was killed loses anything.
//! - Nothing is left of the killed workers: no zombie, no descriptor, no memory.
//!
//! It takes `WINDLASS_STORM_SECONDS` seconds, or 6; a minute in `cargo xtask ci`. The counts are
//! printed (`--nocapture`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use windlass_tests::{
    Client, Model, PATIENCE, Random, Server, meanwhile, models, proc, serve, within,
};

models!(random_kills_leave_nothing_behind: pool_static PoolStatic, prefork Prefork);

/// Between two kills. The workers that are left each serve a client meanwhile, and so prove themselves:
/// workers that die without having served a client are a crash loop, which is another test's.
const KILL_EVERY: Duration = Duration::from_millis(50);

/// Between two clients: the load is to leave the processors to other tests.
const CLIENT_EVERY: Duration = Duration::from_millis(4);

/// Whether a client is served from its connection to its end.
fn is_served(server: &Server) -> bool {
    let Ok(mut client) = Client::try_connect(server.address()) else { return false };
    client.try_upper(b"hello").is_ok()
}

/// A storm of so long: kills, answers, failures.
fn storm(server: &Server, lasts: Duration, random: &mut Random) -> (usize, usize, usize) {
    let (answers, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let asks = || {
        let count = if is_served(server) { &answers } else { &failures };
        count.fetch_add(1, Ordering::Relaxed);
        // The pace of the load.
        thread::sleep(CLIENT_EVERY);
    };
    let kills =
        meanwhile(1, asks, || server.kill_workers(KILL_EVERY, Instant::now() + lasts, random));
    (kills, answers.into_inner(), failures.into_inner())
}

/// Waits until nothing is left of the dead, and as many live as should.
fn calm(server: &Server) {
    let is_zombie = |&pid: &i32| !proc::runs(pid);
    within(PATIENCE, "no zombie is left", || !proc::children(server.pid()).iter().any(is_zombie));
    within(PATIENCE, "the pool is full again", || server.workers().len() >= 5);
    within(PATIENCE, "clients are served", || is_served(server));
}

fn random_kills_leave_nothing_behind(model: Model) {
    let seconds = std::env::var("WINDLASS_STORM_SECONDS").ok();
    let seconds: f64 = seconds.map_or(6.0, |text| text.parse().expect("a number of seconds"));
    let args = match model {
        Model::PoolStatic => "--workers 5",
        _ => "--min-spare 5 --max-spare 10 --max-workers 20",
    };
    let server = serve!("upper", model).args(args).start();
    // A server that starts has another child for a moment, which tries out the confinement. If its
    // pool is full, each child is a worker.
    calm(&server);
    let mut random = Random::new(7);
    // What is needed once is there after the first tenth.
    let (mut kills, mut answers, mut failures) =
        storm(&server, Duration::from_secs_f64(seconds / 10.0), &mut random);
    calm(&server);
    let before = (server.own_descriptors(), proc::written_memory(server.pid()));

    let more = storm(&server, Duration::from_secs_f64(seconds * 0.9), &mut random);
    (kills, answers, failures) = (kills + more.0, answers + more.1, failures + more.2);
    calm(&server);
    within(PATIENCE, "no descriptor is left", || server.own_descriptors() <= before.0);
    let after = (server.own_descriptors(), proc::written_memory(server.pid()));
    let zombies = proc::children(server.pid()).len() - server.workers().len();
    println!(
        "{}: {kills} kills, {answers} answers, {failures} lost; {zombies} zombies, descriptors {} \
         and then {}, memory of the parent {} KiB and then {} KiB",
        model.name(),
        before.0,
        after.0,
        before.1 / 1024,
        after.1 / 1024,
    );
    assert!(kills > 0 && answers > kills, "{answers} answers with {kills} kills");
    // The clients come one by one: each kill can have cost one.
    assert!(failures <= kills, "{failures} failures with {kills} kills");
    assert!(after.1 <= before.1 + 128 * 1024, "{} bytes of memory, then {}", before.1, after.1);
    assert_eq!(server.stop().code, Some(0));
}
