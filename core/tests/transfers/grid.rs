//! A grid of networks and sizes, many seeds in each cell. What each cell costs is kept in `grid.txt`, so that a
//! change of behaviour is a readable difference.
//!
//! `BLESS=1 cargo test -p windlass-core --test transfers grid` writes the file anew. A run that fails says how to
//! run it alone: `WINDLASS_CELL='get 1428/8 loss 5 …' WINDLASS_SEED=17 cargo test …`.

use std::fmt::Write;

use windlass_core::fault::{Fault, Peer};
use windlass_core::sim::Path;

use super::world::{Case, Kind, Ran};

/// What is in a cell: everything but the seed.
fn cells() -> Vec<Case> {
    let mut cells = Vec::new();
    let shapes = [
        (Kind::Xfer, 1024, 1),
        (Kind::Get, 512, 1),
        (Kind::Get, 1428, 1),
        (Kind::Get, 1428, 2),
        (Kind::Get, 1428, 8),
        (Kind::Get, 512, 64),
        (Kind::Put, 1428, 1),
        (Kind::Put, 1428, 8),
    ];
    for (kind, block, window) in shapes {
        for delay_us in [50, 1_000, 40_000] {
            for loss in [0, 10, 50, 200] {
                for (duplicate, reorder) in [(0, 0), (200, 0), (0, 50)] {
                    let path = Path {
                        delay_us,
                        loss,
                        duplicate,
                        reorder,
                        reorder_us: 5_000,
                        bytes_per_second: 10_000_000,
                        ..Path::PERFECT
                    };
                    let size = 64 * 1024 + 100;
                    let digest = window == 8;
                    cells.push(Case { kind, path, block, window, size, digest, seed: 0 });
                }
            }
        }
    }
    cells
}

fn name(cell: &Case) -> String {
    let Case { kind, block, window, path, .. } = cell;
    let kind = match kind {
        Kind::Xfer => "xfer",
        Kind::Get => "get",
        Kind::Put => "put",
    };
    let Path { delay_us, loss, duplicate, reorder, .. } = path;
    let percent = |of_1000: &u16| of_1000 / 10;
    format!(
        "{kind:<4} {block:>4}/{window:<2} delay {delay_us:>5} loss {:>2} dup {:>2} late {:>2}",
        percent(loss),
        percent(duplicate),
        percent(reorder)
    )
}

/// Runs in a cell. An interpreter gets a taste only.
const SEEDS: u64 = if cfg!(miri) { 1 } else { 12 };

/// What the grid predicts: the file, whole, on its receiver's side. The sender's side may not hear of it: the
/// last acknowledgement is repeated for a time only.
fn judge(case: &Case, ran: &Ran) -> Result<(), String> {
    let [client, server] = ran.how;
    let (receiver, sender) =
        if case.kind == Kind::Put { (server, client) } else { (client, server) };
    let may_miss_the_end =
        matches!(sender, Some(Err(Fault::TimedOut { .. }))) && case.path.loss > 0;
    if ran.is_wrong {
        return Err("another file became valid".to_owned());
    }
    if receiver != Some(Ok(())) || !ran.is_identical {
        return Err("the file did not come".to_owned());
    }
    if sender != Some(Ok(())) && !may_miss_the_end {
        return Err("the sender did not hear of the end".to_owned());
    }
    Ok(())
}

#[test]
fn every_transfer_ends_as_predicted_and_costs_what_it_did() {
    let only = (std::env::var("WINDLASS_CELL").ok(), std::env::var("WINDLASS_SEED").ok());
    let cells = cells();
    let step = if cfg!(miri) { 71 } else { 1 };
    let mut table =
        String::from("cell, then packets per block and virtual milliseconds: median and worst\n");
    for cell in cells.iter().step_by(step) {
        let name = name(cell);
        if only.0.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let blocks = (cell.size / usize::from(cell.block) + 1) as u32;
        let (mut packets, mut us) = (Vec::new(), Vec::new());
        for seed in 1..=SEEDS {
            if only.1.as_ref().is_some_and(|only| *only != seed.to_string()) {
                continue;
            }
            let case = Case { seed, ..*cell };
            let ran = case.run();
            if let Err(why) = judge(&case, &ran) {
                panic!(
                    "{why}: {ran:?}\nrun it alone: WINDLASS_CELL='{name}' WINDLASS_SEED={seed} \
                     cargo test -p windlass-core --test transfers grid"
                );
            }
            packets.push(ran.packets * 100 / blocks);
            us.push(ran.us);
        }
        packets.sort_unstable();
        us.sort_unstable();
        let of = |sorted: &[u32]| format!("{}.{:02}", sorted[0] / 100, sorted[0] % 100);
        let _ = writeln!(
            table,
            "{name}  {} {}  {:>6} {:>6}",
            of(&packets[packets.len() / 2..]),
            of(&packets[packets.len() - 1..]),
            us[us.len() / 2] / 1000,
            us[us.len() - 1] / 1000,
        );
    }
    if cfg!(miri) || only.0.is_some() || only.1.is_some() {
        return;
    }
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transfers/grid.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(kept, &table).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(kept).unwrap_or_default();
    let changed: Vec<_> = (expected.lines().zip(table.lines()))
        .filter(|(was, is)| was != is)
        .map(|(was, is)| format!("- {was}\n+ {is}\n"))
        .collect();
    assert!(
        expected == table,
        "{} cells cost something else; with BLESS=1 that is kept:\n{}",
        changed.len(),
        changed.concat()
    );
}

/// On a network that only doubles, an end sends one datagram more for twenty blocks at most (RFC 1123, 4.2.3.1).
#[test]
fn copies_of_datagrams_draw_no_copies() {
    let only_doubles = |cell: &Case| cell.path.duplicate == 200 && cell.path.loss == 0;
    let step = if cfg!(miri) { 7 } else { 1 };
    for cell in cells().into_iter().filter(only_doubles).step_by(step) {
        let blocks = (cell.size / usize::from(cell.block) + 1) as u32;
        for seed in 1..=SEEDS {
            let [plain, doubled] = [0, cell.path.duplicate].map(|duplicate| {
                let case = Case { seed, path: Path { duplicate, ..cell.path }, ..cell };
                case.run().packets
            });
            assert!(
                doubled <= plain + blocks / 20,
                "{}, seed {seed}: {doubled} datagrams for {blocks} blocks, {plain} without copies",
                name(&cell)
            );
        }
    }
}

/// Without a digest TFTP cannot know of a bit that flips; with one, such a file never becomes valid.
#[test]
fn a_file_that_changed_on_its_way_never_becomes_valid() {
    let path = Path { delay_us: 1_000, corrupt: 20, ..Path::PERFECT };
    let mut caught = 0;
    for seed in 1..=if cfg!(miri) { 1 } else { 100 } {
        for kind in [Kind::Get, Kind::Put] {
            let case = Case { kind, path, block: 512, window: 4, size: 20_000, digest: true, seed };
            let ran = case.run();
            assert!(!ran.is_wrong, "{case:?}: {ran:?}");
            caught += u32::from(ran.how.contains(&Some(Err(Fault::Integrity))));
            for how in ran.how {
                let is_named = matches!(
                    how,
                    Some(
                        Ok(())
                            | Err(Fault::Integrity
                                | Fault::Denied
                                | Fault::TimedOut { .. }
                                | Fault::Peer(_))
                    )
                );
                // A server is still free if the request was changed into something else.
                assert!(is_named || how.is_none(), "{case:?}: {ran:?}");
            }
        }
    }
    assert!(cfg!(miri) || caught > 20, "{caught}");
}

/// A network that is cut for good ends both ends, in a named fault.
#[test]
fn a_network_that_is_cut_ends_both_ends() {
    for kind in [Kind::Xfer, Kind::Get, Kind::Put] {
        let path = Path { delay_us: 1_000, loss: 1000, ..Path::PERFECT };
        let case = Case { kind, path, block: 512, window: 4, size: 20_000, digest: false, seed: 1 };
        let ran = case.run();
        assert!(matches!(ran.how[0], Some(Err(Fault::TimedOut { .. }))), "{ran:?}");
        assert_eq!(ran.how[1], None, "the server heard nothing");
        assert!(!matches!(ran.how[0], Some(Err(Fault::Peer(Peer::Reset)))));
    }
}
