//! The requests to a server's control socket.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::server::fuzz::{LINE_MAX, Request, request};

fuzz_target!(|input: &[u8]| {
    for eof in [false, true] {
        let end = input.iter().position(|&byte| byte == b'\n');
        match (request(input, eof), end) {
            (Request::More, None) => assert!(input.len() <= LINE_MAX && !eof),
            (Request::Ended, None) => assert!(input.len() <= LINE_MAX && eof),
            (Request::TooLong, None) => assert!(input.len() > LINE_MAX),
            (Request::Status { len }, Some(end)) => {
                assert_eq!((len, input[..end].trim_ascii()), (end + 1, &b"status"[..]));
            }
            (Request::Unknown { len, word }, Some(end)) => {
                assert_eq!(len, end + 1);
                assert_ne!(input[..end].trim_ascii(), b"status");
                assert!(word.len() <= 8 * LINE_MAX && !word.chars().any(char::is_control));
            }
            (request, end) => panic!("{request:?} at {end:?}"),
        }
    }
});
