//! Each way in which an update ends has its verdict, and what is booted is as it says.

use crate::line::{Conditions, FLASH, SLOT, booted, image, update};
use windlass_updater::{Harm, Verdict};

const LEN: usize = 20_000;

fn blank() -> Vec<u8> {
    vec![0xff; FLASH]
}

/// An update that ends early, and one after it without the cause.
fn ends_with(verdict: Verdict, conditions: Conditions, harm: Option<(u32, Harm)>) {
    let (old, new) = (image(1, LEN), image(2, LEN));
    let mut flash = blank();
    update(&mut flash, &old, Conditions::default(), None);
    let done = update(&mut flash, &new, conditions, harm);
    assert_eq!(done.verdict, verdict);
    assert_eq!(booted(&mut flash), Some(old));
    assert_eq!(update(&mut flash, &new, Conditions::default(), None).verdict, Verdict::Updated);
    assert_eq!(booted(&mut flash), Some(new));
}

#[test]
fn an_update() {
    let mut flash = blank();
    for number in 0..300 {
        let new = image(number, 100);
        let done = update(&mut flash, &new, Conditions::default(), None);
        assert_eq!(done.verdict, Verdict::Updated);
        // Only the flash counts, and it is read again.
        assert_eq!(booted(&mut flash), Some(new), "update {number}");
    }
}

#[test]
fn a_wrong_digest() {
    ends_with(Verdict::WrongDigest, Conditions { lies: true, ..Conditions::default() }, None);
}

#[test]
fn a_server_that_is_gone() {
    for after in [0, 100, 5_000, 15_000] {
        let conditions = Conditions { cut_after: Some(after), ..Conditions::default() };
        ends_with(Verdict::ServerGone, conditions, None);
    }
}

#[test]
fn a_flash_that_fails() {
    // An erase of a sector with an older image, a page, and a record of the log.
    let mut flash = blank();
    for number in 0..2 {
        update(&mut flash, &image(number, LEN), Conditions::default(), None);
    }
    let boots = booted(&mut flash);
    let begins = update(&mut flash.clone(), &image(2, LEN), Conditions::default(), None).operations;
    for nth in 0..begins {
        let mut flash = flash.clone();
        let worn = Some((nth, Harm::Worn));
        let done = update(&mut flash, &image(2, LEN), Conditions::default(), worn);
        assert_eq!(done.verdict, Verdict::FlashFailed, "at {nth}");
        assert_eq!(booted(&mut flash), boots, "at {nth}");
    }
}

#[test]
fn an_image_that_is_too_large_is_refused_before_anything_is_erased() {
    let mut flash = blank();
    update(&mut flash, &image(1, LEN), Conditions::default(), None);
    let before = flash.clone();
    let large = image(2, SLOT as usize + 1);
    let done = update(&mut flash, &large, Conditions::default(), None);
    assert_eq!((done.verdict, done.operations), (Verdict::TooLarge, 0));
    assert!(flash == before);
    let fits = image(2, SLOT as usize);
    assert_eq!(update(&mut flash, &fits, Conditions::default(), None).verdict, Verdict::Updated);
}

#[test]
fn a_server_that_refuses() {
    ends_with(Verdict::Refused, Conditions { refuses: true, ..Conditions::default() }, None);
}

#[test]
fn a_file_that_changes_between_two_parts_of_a_download_is_fetched_from_its_beginning() {
    let mut flash = blank();
    let (one, other) = (image(1, LEN), image(2, LEN));
    let cut = Conditions { cut_after: Some(12_000), ..Conditions::default() };
    assert_eq!(update(&mut flash, &one, cut, None).verdict, Verdict::ServerGone);
    let done = update(&mut flash, &other, Conditions::default(), None);
    assert_eq!((done.verdict, done.stored), (Verdict::Updated, u32::try_from(LEN).unwrap()));
    assert_eq!(booted(&mut flash), Some(other));
}

#[test]
fn an_empty_file_is_no_image() {
    let mut flash = blank();
    let done = update(&mut flash, &[], Conditions::default(), None);
    assert!(matches!(done.verdict, Verdict::Broken(_)), "{:?}", done.verdict);
    assert_eq!(booted(&mut flash), None);
}

/// Of the bytes one in a hundred is dropped, and one in a hundred has a bit flipped. Time is virtual and does not depend
/// on the host, so a change of it is a change of the link, the session or the updater: look whether it is meant.
#[test]
fn a_line_that_lies() {
    let bad = |seed| Conditions { dropped: 10, flipped: 10, seed, ..Conditions::default() };
    let times_us = [Conditions::default(), bad(1), bad(2), bad(3), bad(4)].map(|conditions| {
        let mut flash = blank();
        let new = image(3, 64 * 1024);
        let done = update(&mut flash, &new, conditions, None);
        assert_eq!(done.verdict, Verdict::Updated);
        assert_eq!(booted(&mut flash), Some(new));
        done.took_us
    });
    assert_eq!(times_us, [11_624_742, 68_823_557, 67_429_513, 69_481_385, 68_452_998]);
}
