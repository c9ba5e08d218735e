//! `upper` and `echo`: a reply for each datagram, of the same length.

use super::{Responder, Response};
use crate::time::Instant;
use crate::transform::{Transform, Unchanged, Uppercase};

/// The `upper` service on datagrams.
impl<A> Responder<A> for Uppercase {
    fn datagram(&mut self, _: Instant, _: &A, buf: &mut [u8], len: usize) -> Response {
        reflect::<Self>(buf, len)
    }
}

/// The `echo` service on datagrams (RFC 862, in its UDP form).
impl<A> Responder<A> for Unchanged {
    fn datagram(&mut self, _: Instant, _: &A, buf: &mut [u8], len: usize) -> Response {
        reflect::<Self>(buf, len)
    }
}

fn reflect<T: Transform>(buf: &mut [u8], len: usize) -> Response {
    match buf.get_mut(..len) {
        Some(datagram) => {
            T::transform(datagram);
            Response::Reply(len)
        }
        // `len` is greater than the buffer: the shell broke the convention.
        None => Response::NoReply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws;

    #[test]
    fn they_keep_the_laws() {
        let datagrams: [&[u8]; 4] = [b"", b"a", b"mike 83", &[b'z'; 100]];
        laws::responder(|| Uppercase, &(), &datagrams).unwrap();
        laws::responder(|| Unchanged, &(), &datagrams).unwrap();
    }

    #[test]
    fn each_datagram_has_its_reply() {
        let mut buf = *b"hello, world";
        assert_eq!(Uppercase.datagram(Instant::ZERO, &(), &mut buf, 5), Response::Reply(5));
        assert_eq!(&buf, b"HELLO, world");
        assert_eq!(Unchanged.datagram(Instant::ZERO, &(), &mut buf, 12), Response::Reply(12));
        assert_eq!(&buf, b"HELLO, world");
        assert_eq!(Uppercase.datagram(Instant::ZERO, &(), &mut buf, 0), Response::Reply(0));
        assert_eq!(Uppercase.datagram(Instant::ZERO, &(), &mut buf, 13), Response::NoReply);
    }
}
