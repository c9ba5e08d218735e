//! Measures the cost of faults for the clients of a process pool: `resilience WINDLASS C-DIR
//! [ROUNDS [SCENARIO,…]]`.
//!
//! Each scenario starts a server, lets clients come at a fixed rate whether or not the server keeps up
//! (an answer is timed from the instant at which its client was due, so a server that stalls cannot hide
//! it), and then kills, stops, reloads or floods. The server has one processor, everything else the
//! other. Prints a Markdown table: medians of the rounds, and the errors of each.

mod load;
mod proc;
mod scenario;
mod server;

use std::path::PathBuf;

use scenario::{Measured, SCENARIOS};
use server::{Kind, Programs};

fn main() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: resilience WINDLASS C-DIR [ROUNDS [SCENARIO,…]]";
    let (Some(windlass), Some(c)) = (args.next(), args.next()) else { return Err(usage.into()) };
    let rounds: usize = args.next().map_or(Ok(3), |arg| arg.parse()).map_err(|_| usage)?;
    let only = args.next();
    let chosen = |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|it| it == name));
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let programs = Programs { windlass, c: PathBuf::from(c), rust: me.with_file_name("http_peer") };
    proc::raise_nofile();

    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.is_here()).collect();
    print!("| |");
    for kind in &kinds {
        print!(" {} |", kind.name());
    }
    println!("\n|---|{}", "---|".repeat(kinds.len()));
    for (name, what, run) in SCENARIOS {
        if !chosen(name) {
            continue;
        }
        let mut cells: Vec<Vec<Measured>> = kinds.iter().map(|_| Vec::new()).collect();
        for round in 1..=rounds {
            for (&kind, cells) in kinds.iter().zip(&mut cells) {
                eprint!("\r\x1b[K{name}: round {round} of {rounds}: {}", kind.name());
                match run(&programs, kind) {
                    Ok(measured) => cells.extend(measured),
                    Err(error) => return Err(format!("{name}: {}: {error}", kind.name())),
                }
            }
        }
        eprint!("\r\x1b[K");
        print!("| {what} |");
        for cells in &cells {
            print!(" {} |", Measured::summary(cells));
        }
        println!();
    }
    Ok(())
}
