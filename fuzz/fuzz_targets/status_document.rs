//! The document that a server's control socket answers with, as `windlass status` and `top` read it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::printable::printable_json;
use windlass::status::{Refusal, Status, brief, scoreboard};

fuzz_target!(|answer: &[u8]| {
    let Ok(answer) = str::from_utf8(answer) else { return };
    let shown = printable_json(answer);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    let Ok(status) = serde_json::from_str::<Status>(answer) else {
        let _ = serde_json::from_str::<Refusal>(answer);
        return;
    };
    let line = serde_json::to_string(&status).unwrap();
    assert_eq!(
        serde_json::from_str::<Status>(&line).ok().as_ref(),
        Some(&status),
        "there and back"
    );
    let board = scoreboard(&status.workers, status.limits.max_workers.into());
    assert!(board.chars().all(|slot| " .X".contains(slot)));
    assert!(!brief(status.uptime_us).is_empty());
    let shown = status.printable();
    for text in [&shown.version, &shown.service, &shown.model, &shown.address, &shown.scoreboard] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
});
