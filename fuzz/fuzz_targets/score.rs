//! The datagram of a score: two numbers, a name, one NUL at its end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::wire::Score;

fuzz_target!(|datagram: &[u8]| {
    let is_score = (9..=Score::LEN_MAX).contains(&datagram.len())
        && datagram[8..].iter().position(|&byte| byte == 0) == Some(datagram.len() - 9);
    match Score::parse(datagram) {
        Err(_) => assert!(!is_score),
        Ok(score) => {
            assert!(is_score);
            let mut buf = [0; Score::LEN_MAX];
            let again = Score::render(score.math(), score.chinese(), score.name(), &mut buf);
            assert_eq!(again, Ok(datagram));
        }
    }
    // Any bytes are a name that travels whole, or none that is sent.
    let mut buf = [0; Score::LEN_MAX];
    if let Ok(sent) = Score::render(1, 2, datagram, &mut buf) {
        assert_eq!(Score::parse(sent).map(|score| score.name()), Ok(datagram));
    } else {
        assert!(datagram.len() > Score::NAME_MAX || datagram.contains(&0));
    }
});
