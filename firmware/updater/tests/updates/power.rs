//! Power fails at every operation of the flash: an update resumes, and no device boots a wrong image.

use crate::line::{Conditions, FLASH, Random, booted, image, update};
use windlass_updater::{Harm, SECTOR, Verdict};

const LEN: usize = 64 * 1024;

/// A flash with an image in slot A.
fn with_an_image(old: &[u8]) -> Vec<u8> {
    let mut flash = vec![0xff; FLASH];
    let done = update(&mut flash, old, Conditions::default(), None);
    assert_eq!(done.verdict, Verdict::Updated);
    flash
}

/// Updates to `new` with a power failure at this operation. Returns whether there was one.
fn cut(before: &[u8], old: &[u8], new: &[u8], nth: u32, harm: Harm) -> bool {
    let mut flash = before.to_vec();
    let first = update(&mut flash, new, Conditions::default(), Some((nth, harm)));
    if !first.is_off {
        assert_eq!(first.verdict, Verdict::Updated);
        return false;
    }
    let after = booted(&mut flash);
    assert!(
        after.as_deref() == Some(old) || after.as_deref() == Some(new),
        "{harm:?} at {nth}: a wrong image would be booted"
    );
    if after.as_deref() == Some(new) {
        // The last record was written; nothing is left to do.
        return true;
    }
    let second = update(&mut flash, new, Conditions::default(), None);
    assert_eq!(second.verdict, Verdict::Updated, "{harm:?} at {nth}");
    assert_eq!(booted(&mut flash).as_deref(), Some(new), "{harm:?} at {nth}");
    let stored = first.stored + second.stored;
    assert!(stored <= LEN as u32 + SECTOR, "{harm:?} at {nth}: {stored} bytes were fetched");
    true
}

/// Every operation of an update of 64 KiB.
fn at_every_operation(harm: impl Fn(u32) -> Harm) {
    let (old, new) = (image(1, LEN), image(2, LEN));
    let before = with_an_image(&old);
    let mut operations = 0;
    while cut(&before, &old, &new, operations, harm(operations)) {
        operations += 1;
    }
    // 16 erased sectors, 256 pages, 16 records of progress, and the one that makes it valid.
    assert_eq!(operations, 16 + 256 + 16 + 1);
}

#[test]
fn before_every_operation() {
    at_every_operation(|_| Harm::CutBefore);
}

#[test]
fn halfway_through_every_operation() {
    at_every_operation(|_| Harm::CutHalfway);
}

#[test]
fn anywhere_in_every_operation() {
    at_every_operation(Harm::CutAnywhere);
}

#[test]
fn after_every_operation() {
    at_every_operation(|_| Harm::CutAfter);
}

/// The log wraps, slots are used again, and power fails all the time.
#[test]
fn many_updates_with_many_power_failures() {
    let mut flash = vec![0xff; FLASH];
    let mut random = Random(14);
    let mut booting: Option<Vec<u8>> = None;
    for number in 0..40 {
        let len = 1 + usize::try_from(random.next() % 20_000).unwrap();
        let new = image(number, len);
        let (mut stored, mut cuts) = (0, 0);
        loop {
            let (nth, seed) = (random.next() % 40, random.next().to_le_bytes()[0]);
            let harm =
                [Harm::CutBefore, Harm::CutHalfway, Harm::CutAnywhere(seed.into()), Harm::CutAfter];
            let harm = harm[usize::from(seed % 4)];
            let nth = u32::try_from(nth).unwrap();
            let done = update(&mut flash, &new, Conditions::default(), Some((nth, harm)));
            stored += done.stored;
            let after = booted(&mut flash);
            if after.as_ref() == Some(&new) {
                break;
            }
            assert_eq!(after, booting, "{harm:?} at {nth} of update {number}");
            assert!(done.is_off, "{:?}", done.verdict);
            cuts += 1;
        }
        assert!(stored <= u32::try_from(len).unwrap() + cuts * SECTOR, "update {number}");
        booting = Some(new);
    }
}
