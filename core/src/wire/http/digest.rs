//! Digests of files: the preference of a client, and what it is told (RFC 9530).

use super::word::trim;
use crate::bytes::{after, find, first};
use crate::decimal;
use crate::text::Text;

/// Whether the value of a field `Want-Repr-Digest` asks for SHA-256: its weight is 1 to 10. `None`: the value
/// does not speak of it.
pub fn wants_sha256(value: &[u8]) -> Option<bool> {
    let mut wants = None;
    for member in value.split(|&byte| byte == b',') {
        let equals = find(b'=', member).unwrap_or(member.len());
        if trim(first(member, equals)) == b"sha-256" {
            let weight = after(member, equals.saturating_add(1));
            let end = find(b';', weight).unwrap_or(weight.len());
            let weight = decimal::parse(trim(first(weight, end)));
            wants = Some(weight.is_some_and(|weight| (1..=10).contains(&weight)));
        }
    }
    wants
}

/// Writes the value of `Repr-Digest`: the bytes of the digest in Base64, between colons.
pub(crate) fn put_sha256(text: &mut Text<'_>, digest: &[u8]) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.put(b"sha-256=:");
    for group in digest.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = bits << 8 | group.get(at).copied().map_or(0, u32::from);
        }
        for at in 0..4 {
            let index = usize::try_from(bits >> 18 & 63).unwrap_or(0);
            let letter = if at <= group.len() { LETTERS.get(index) } else { None };
            text.put(&[letter.copied().unwrap_or(b'=')]);
            bits <<= 6;
        }
    }
    text.put(b":");
}
