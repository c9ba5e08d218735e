//! The proxy as a command, for measurements by hand.

use std::error::Error;
use std::time::Duration;

use windlass_lossy::{Lossy, Path};

const USAGE: &str = "\
windlass-lossy LISTEN SERVER [KEY=NUMBER]…

Hands datagrams on between clients at LISTEN and SERVER until standard input ends, in both directions alike.
Keys: loss, duplicate, reorder (chances of a thousand), late, delay (milliseconds), seed";

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(listen), Some(server)) = (words.next(), words.next()) else {
        return Err(USAGE.into());
    };
    let (mut path, mut seed) = (Path::PERFECT, 1);
    for word in words {
        let (key, number) = word.split_once('=').ok_or(USAGE)?;
        match key {
            "loss" => path.loss = number.parse()?,
            "duplicate" => path.duplicate = number.parse()?,
            "reorder" => path.reorder = number.parse()?,
            "late" => path.late = Duration::from_millis(number.parse()?),
            "delay" => path.delay = Duration::from_millis(number.parse()?),
            "seed" => seed = number.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    let lossy = Lossy::start(listen, server.parse()?, seed, [path; 2])?;
    println!("listening {}", lossy.address());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    let [there, back] = lossy.counts();
    println!("to the server {there:?}, back {back:?}");
    Ok(())
}
