//! Dates: the form that is sent, and the three that are understood (RFC 9110, 5.6.7).
//!
//! Seconds since 1970 have 32 bits: they last until 2106, and a device without a 64-bit division has none
//! for a date.

use crate::bytes::{after, split};
use crate::decimal;
use crate::text::Text;

const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

const DAY: u32 = 86_400;

/// The year after the last one of which every second has 32 bits.
const YEAR_END: u32 = 2106;

/// Writes `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn put_date(text: &mut Text<'_>, seconds: u32) {
    let (days, second) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = civil(days);
    put_word(text, DAYS, days % 7);
    text.put(b", ");
    put_number(text, day, 2);
    text.put(b" ");
    put_word(text, MONTHS, month - 1);
    text.put(b" ");
    put_number(text, year, 4);
    let mut before: &[u8] = b" ";
    for part in [second / 3600, second / 60 % 60, second % 60] {
        text.put(before);
        put_number(text, part, 2);
        before = b":";
    }
    text.put(b" GMT");
}

fn put_number(text: &mut Text<'_>, number: u32, digits: usize) {
    text.number(number.into(), digits);
}

fn put_word(text: &mut Text<'_>, words: &[u8], index: u32) {
    let at = usize::try_from(index).unwrap_or(0).saturating_mul(3);
    text.put(words.get(at..at.saturating_add(3)).unwrap_or_default());
}

/// Year, month and day of a day since 1970, in the calendar of which March is the first month.
const fn civil(days: u32) -> (u32, u32, u32) {
    // Days since 1600-03-01, the first day of an era of 400 years.
    let days = days + 135_080;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (1600 + 400 * era + year, month, day)
}

/// Whether it is a date, and not an entity tag.
pub fn is_date(text: &[u8]) -> bool {
    date(text).is_some()
}

/// The words of a date.
struct Words<'m>(&'m [u8]);

impl<'m> Words<'m> {
    /// The next word; empty behind the last one.
    #[inline(never)]
    fn next(&mut self) -> &'m [u8] {
        let is_between = |byte: &u8| matches!(byte, b' ' | b',' | b'-' | b':');
        let begin = self.0.iter().position(|byte| !is_between(byte)).unwrap_or(self.0.len());
        let rest = after(self.0, begin);
        let (word, rest) = split(rest, rest.iter().position(is_between).unwrap_or(rest.len()));
        self.0 = rest;
        word
    }

    /// The next word as a number of one to four digits; 9999 if it is none.
    fn number(&mut self) -> u32 {
        number(self.next())
    }
}

/// A date in any of the three forms, in seconds since 1970. A date before that is 0.
///
/// The words of a form tell which it is; what stands between them is not compared.
pub fn date(text: &[u8]) -> Option<u32> {
    let mut words = Words(text);
    if !words.next().iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let (second, third) = (words.next(), words.next());
    let is_asctime = second.first()?.is_ascii_alphabetic();
    let (day, month) = if is_asctime { (third, second) } else { (second, third) };
    let mut year = if is_asctime { &[][..] } else { words.next() };
    let mut time = 0;
    for below in [24, 60, 61] {
        let part = words.number();
        if part >= below {
            return None;
        }
        time = time * 60 + part;
    }
    if is_asctime {
        year = words.next();
    } else if words.next() != b"GMT" {
        return None;
    }
    let (is_short, day, year) = (year.len() == 2, number(day), number(year));
    let year = match year {
        // Of the hundred years around 2020.
        70..100 if is_short => year + 1900,
        0..70 if is_short => year + 2000,
        year => year,
    };
    let place = MONTHS.chunks_exact(3).position(|name| name == month)?;
    if !words.next().is_empty() || !(1..32).contains(&day) || !(100..YEAR_END).contains(&year) {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    let month = u32::try_from(place).unwrap_or(0);
    Some((days(year, month, day) * DAY).saturating_add(time))
}

/// Days since 1970 of a day after it; the first month is 0.
const fn days(year: u32, month: u32, day: u32) -> u32 {
    // The year begins in March, so that its last day is the one that it may not have.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let years = year - 1600;
    365 * years + years / 4 - years / 100 + years / 400 + (153 * month + 2) / 5 + day - 1 - 135_080
}

/// A number of one to four digits; 9999 if it is none.
fn number(digits: &[u8]) -> u32 {
    let number = decimal::parse(digits).filter(|_| digits.len() <= 4);
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(9999)
}
