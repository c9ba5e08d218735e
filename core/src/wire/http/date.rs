//! Dates: the form that is sent, and the three that are understood (RFC 9110, 5.6.7).
//!
//! Seconds since 1970 have 32 bits: they last until 2106, and a device without a 64-bit division has none
//! for a date.

use crate::bytes::{after, first, put, split};
use crate::text::Text;

const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

const DAY: u32 = 86_400;

/// The year after the last one of which every second has 32 bits.
const YEAR_END: u32 = 2106;

/// Days from 1968-03-01, where a span of four years begins that ends with its leap day, to 1970.
const BEFORE: u32 = 671;

/// The day of 2100-03-01. The one before it would be a leap day by the rule of four years, and is none: with one day more
/// from there on, the rule serves for all days.
const MARCH_2100: u32 = 47_541;

/// The quotient and the remainder. On a device a call of it is half as long as a division.
#[inline(never)]
const fn divide(number: u32, by: u32) -> (u32, u32) {
    (number / by, number % by)
}

/// Writes `Sun, 06 Nov 1994 08:49:37 GMT`.
#[inline(never)]
pub(crate) fn put_date(text: &mut Text<'_>, seconds: u32) {
    let mut date = *b"Thu, 00 Jan 0000 00:00:00 GMT";
    let (days, second) = divide(seconds, DAY);
    let (minute, second) = divide(second, 60);
    let (hour, minute) = divide(minute, 60);
    let (year, month, day) = civil(days);
    let (century, year) = divide(year, 100);
    set_word(&mut date, 0, DAYS, divide(days, 7).1);
    set_word(&mut date, 8, MONTHS, month);
    for (at, number) in
        [5, 12, 14, 17, 20, 23].into_iter().zip([day, century, year, hour, minute, second])
    {
        let (tens, ones) = divide(number, 10);
        let [tens, ..] = tens.to_le_bytes();
        let [ones, ..] = ones.to_le_bytes();
        put(&mut date, at, &[b'0' + tens, b'0' + ones]);
    }
    text.put(&date);
}

#[inline(never)]
fn set_word(date: &mut [u8; 29], at: usize, words: &[u8], nth: u32) {
    let word = after(words, usize::try_from(nth).unwrap_or(0).saturating_mul(3));
    put(date, at, first(word, 3));
}

/// Year, month and day of a day since 1970, in the calendar of which March is the first month. The first month of the
/// answer is 0.
fn civil(days: u32) -> (u32, u32, u32) {
    let (span, day) = divide(days + BEFORE + u32::from(days >= MARCH_2100), 1461);
    let year = divide(day, 365).0.min(3);
    let day = day - 365 * year;
    let month = divide(5 * day + 2, 153).0;
    let day = day - divide(153 * month + 2, 5).0 + 1;
    let year = 1968 + 4 * span + year;
    if month < 10 { (year, month + 2, day) } else { (year + 1, month - 10, day) }
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
        while let [byte, rest @ ..] = self.0
            && is_between(byte)
        {
            self.0 = rest;
        }
        let (word, rest) =
            split(self.0, self.0.iter().position(is_between).unwrap_or(self.0.len()));
        self.0 = rest;
        word
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
    // A month and five numbers.
    let (mut numbers, mut count) = ([0; 5], 0);
    let (mut month, mut year_at, mut is_short) = (None, 1, false);
    for nth in 0..6 {
        let word = words.next();
        if nth < 2 && month.is_none() && word.first()?.is_ascii_alphabetic() {
            month = Some(MONTHS.chunks_exact(3).position(|name| name == word)?);
            if nth == 0 {
                year_at = 4;
            }
        } else {
            *numbers.get_mut(count)? = number(word)?;
            if count == year_at {
                is_short = word.len() == 2;
            }
            count += 1;
        }
    }
    let is_asctime = year_at == 4;
    if !(is_asctime || words.next() == b"GMT") || !words.next().is_empty() {
        return None;
    }
    let [day, second, third, fourth, last] = numbers;
    let (year, hour, minute, second) =
        if is_asctime { (last, second, third, fourth) } else { (second, third, fourth, last) };
    let year = match year {
        // Of the hundred years around 2020.
        70.. if is_short => year + 1900,
        _ if is_short => year + 2000,
        _ => year,
    };
    let is_time = hour < 24 && minute < 60 && second < 61;
    if !is_time || !(1..32).contains(&day) || !(100..YEAR_END).contains(&year) {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    let days = days(year, u32::try_from(month?).unwrap_or(0), day);
    Some((days * DAY).saturating_add((hour * 60 + minute) * 60 + second))
}

/// Days since 1970 of a day after it; the first month is 0.
const fn days(year: u32, month: u32, day: u32) -> u32 {
    // The year begins in March, so that its last day is the one that it may not have.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let years = year - 1968;
    let days = 365 * years + years / 4 + (153 * month + 2) / 5 + day - 1 - BEFORE;
    if days > MARCH_2100 { days - 1 } else { days }
}

/// A number of one to four digits.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.len() > 4 {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u32::from(digit);
    }
    Some(number)
}
