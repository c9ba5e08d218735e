//! Where headers and payload are when a file of any length is sent in frames, as a request may ask for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::frame::{Cut, Part};
use windlass_core::wire::FrameHeader;

fuzz_target!(|numbers: (u64, u32, u64)| {
    let (len, frame, position) = numbers;
    let cut = Cut::new(len, frame);
    // With numbers that cannot overflow.
    let (len, frame) =
        (u128::from(len.min(i64::MAX.unsigned_abs())), u128::from(frame.max(Cut::FRAME_MIN)));
    let wire_len = len + len.div_ceil(frame) * 4;
    assert_eq!(u128::from(cut.wire_len()), wire_len);
    for position in [position, position % (cut.wire_len() + 2), position % 64] {
        let (index, within) =
            (u128::from(position) / (frame + 4), u128::from(position) % (frame + 4));
        let payload = len.saturating_sub(index * frame).min(frame);
        let expected = if u128::from(position) >= wire_len {
            None
        } else if within < 4 {
            let header = FrameHeader::new(u32::try_from(payload).unwrap());
            Some(Part::Header { header, from: within as usize })
        } else {
            let from = u64::try_from(index * frame + within - 4).unwrap();
            Some(Part::Payload { from, len: u32::try_from(payload - (within - 4)).unwrap() })
        };
        assert_eq!(cut.at(position), expected, "{len} by {frame} at {position}");
    }
});
