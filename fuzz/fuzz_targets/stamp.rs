//! The stamp of the time service: decimal seconds and LF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::wire::Stamp;

/// The same by way of a text.
fn model(bytes: &[u8]) -> Option<i64> {
    let text = str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let text = text.strip_suffix('\r').unwrap_or(text);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = (1..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fuzz_target!(|bytes: &[u8]| {
    let stamp = Stamp::parse(bytes);
    assert_eq!(stamp.ok().map(|stamp| stamp.0), model(bytes));
    if let Ok(stamp) = stamp {
        let mut buf = [0; Stamp::MAX_LEN];
        assert_eq!(Stamp::parse(stamp.render(&mut buf)), Ok(stamp));
    }
});
