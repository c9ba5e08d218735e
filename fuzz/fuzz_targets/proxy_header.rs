//! The header of a balancer, which arrives in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::wire::proxy::{HEADER_MAX, Proxied};

fuzz_target!(|bytes: &[u8]| {
    let whole = Proxied::parse(bytes);
    for cut in 0..bytes.len().min(HEADER_MAX + 1) {
        match (Proxied::parse(&bytes[..cut]), whole) {
            // What was known before more came stays true.
            (Ok(Proxied::Header { len, client }), whole) => {
                assert!(len <= cut);
                assert_eq!(whole, Ok(Proxied::Header { len, client }));
            }
            (Err(_), whole) => assert!(whole.is_err()),
            (Ok(Proxied::More), _) => assert!(cut < HEADER_MAX),
        }
    }
});
