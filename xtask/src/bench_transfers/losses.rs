//! Plain clients of others over a network that loses datagrams, as a proxy decides by a seed.

use std::path::Path;
use std::time::{Duration, Instant};

use windlass_lossy::{Lossy, Path as Network};

use super::Bench;
use crate::run::{Result, captured, has, program};

/// The longest download that is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// Files, and how many of a thousand datagrams are lost in each direction.
const CASES: [(&str, u16); 2] = [("256k", 50), ("64k", 200)];

const SEEDS: std::ops::RangeInclusive<u64> = 1..=7;

/// The words of a client that downloads a file from this port to `out`.
fn client(name: &str, port: u16, file: &str) -> Vec<String> {
    let words = match name {
        "curl" => format!("curl -s -o out tftp://127.0.0.1:{port}/{file}"),
        "atftp" => format!("atftp -g -r {file} -l out 127.0.0.1 {port}"),
        _ => format!("tftp -m binary 127.0.0.1 {port} -c get {file} out"),
    };
    words.split(' ').map(str::to_owned).collect()
}

/// Each client with Windlass's server.
pub(crate) fn plain_clients(bench: &Bench<'_>) -> Result<()> {
    println!("| file, loss | client | seconds | min–max |\n|---|---|---|---|");
    for (file, loss) in CASES {
        for name in ["curl", "atftp", "tftp"].into_iter().filter(|name| has(name)) {
            let mut seconds = Vec::new();
            for seed in SEEDS {
                let server = bench.start("tftp", "epoll")?.ok_or("no server")?;
                let path = Network::losing(loss);
                let lossy = Lossy::start("127.0.0.1:0", server.at, seed, [path; 2])
                    .map_err(|error| format!("a proxy: {error}"))?;
                let words = client(name, lossy.address().port(), file);
                seconds.push(download(bench, &words, bench.folder.path(), file)?);
            }
            seconds.sort_by(f64::total_cmp);
            let unfinished = seconds.iter().filter(|it| it.is_infinite()).count();
            let (min, max) = (seconds[0], seconds[seconds.len() - 1]);
            let median = seconds[seconds.len() / 2];
            let loss = f64::from(loss) / 10.0;
            print!("| {file}, {loss} % | {name} | {median:.2} | {min:.2}–{max:.2}");
            println!(
                "{}|",
                if unfinished > 0 { format!(", {unfinished} failed ") } else { " ".into() }
            );
        }
    }
    Ok(())
}

/// Its seconds, without end if it failed. A file that has other bytes is an error, whatever the client says.
fn download(bench: &Bench<'_>, words: &[String], folder: &Path, file: &str) -> Result<f64> {
    let out = folder.join("out");
    let _ = std::fs::remove_file(&out);
    let mut command = program(&words[0]);
    command.args(&words[1..]).current_dir(folder);
    let begin = Instant::now();
    let (said, status) = captured(&mut command, LIMIT).map_err(|error| error.to_string())?;
    let seconds = begin.elapsed().as_secs_f64();
    if !status.is_some_and(|status| status.success()) {
        return Ok(f64::INFINITY);
    }
    let same = std::fs::read(&out).ok() == std::fs::read(bench.root().join(file)).ok();
    if same { Ok(seconds) } else { Err(format!("{command:?}: other bytes: {said}")) }
}
