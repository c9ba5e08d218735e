//! From when and until when a certificate is valid.

use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

/// The time in which a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: u64,
    pub(super) until: u64,
}

/// Where a time is in that of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Before,
    Within,
    After,
}

/// A log tells that a certificate expires when it has less than this time left, in seconds.
const SOON: u64 = 7 * DAY;

const DAY: u64 = 24 * 60 * 60;

/// After the last date that a certificate can have, 9999-12-31, in seconds since 1970.
const END_OF_TIME: u64 = 253_402_300_800;

impl Validity {
    /// That of `cert`, if it can be parsed.
    pub(super) fn of(cert: &CertificateDer<'_>, provider: &CryptoProvider) -> Option<Self> {
        let cert = ParsedCertificate::try_from(cert).ok()?;
        let algorithms = provider.signature_verification_algorithms.all;
        // The parser keeps the dates to itself, and tells those that a certificate is not valid at. Without a root
        // there is always an error; that of the time comes first.
        let error_at = |seconds| {
            let (roots, at) = (RootCertStore::empty(), Duration::from_secs(seconds));
            let at = UnixTime::since_unix_epoch(at);
            verify_server_cert_signed_by_trust_anchor(&cert, &roots, &[], at, algorithms)
        };
        let from = match error_at(0) {
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => not_before.as_secs(),
            _ => 0,
        };
        let until = match error_at(END_OF_TIME) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => not_after.as_secs(),
            _ => END_OF_TIME,
        };
        Some(Self { from, until })
    }

    /// Whether this time is one of its own.
    pub(super) fn at(self, now: u64) -> When {
        match now {
            _ if now < self.from => When::Before,
            _ if now > self.until => When::After,
            _ => When::Within,
        }
    }

    /// Why it is not valid at this time, if it is not.
    pub(super) fn fault(self, now: u64) -> Option<&'static str> {
        match self.at(now) {
            When::Before => Some("is not valid yet"),
            When::Within => None,
            When::After => Some("has expired"),
        }
    }

    /// What the log is to tell: why it is not valid, or that it expires soon.
    pub(super) fn warning(self, now: u64) -> Option<String> {
        let fault = self.fault(now).map(str::to_owned);
        let left = self.until.saturating_sub(now);
        let soon = || match left / DAY {
            _ if left >= SOON => None,
            0 => Some("expires within a day".to_owned()),
            1 => Some("expires in a day".to_owned()),
            days => Some(format!("expires in {days} days")),
        };
        fault.or_else(soon)
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use windlass_certs::{Authority, Validity as Made};

    use super::*;
    use crate::tls::provider;

    /// Midnight of the first of January.
    const Y2000: u64 = 946_684_800;
    const Y2010: u64 = 1_262_304_000;
    const Y2190: u64 = 6_942_585_600;
    const Y2200: u64 = 7_258_118_400;

    #[test]
    fn the_dates_are_those_of_the_certificate() {
        for (made, from, until) in
            [(Made::Now, Y2000, Y2200), (Made::Over, Y2000, Y2010), (Made::Later, Y2190, Y2200)]
        {
            let pem = Authority::new().issue(&["localhost"], made).cert;
            let cert = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let found = Validity::of(&cert, &provider().unwrap());
            assert_eq!(found, Some(Validity { from, until }), "{made:?}");
        }
        let none = CertificateDer::from_slice(b"\x30\x03\x02\x01\x05");
        assert_eq!(Validity::of(&none, &provider().unwrap()), None);
    }

    #[test]
    fn the_log_tells_of_the_end_a_week_before() {
        let validity = Validity { from: 100 * DAY, until: 200 * DAY };
        for (now, fault, warning) in [
            (100 * DAY - 1, Some("is not valid yet"), Some("is not valid yet")),
            (100 * DAY, None, None),
            (193 * DAY, None, None),
            (193 * DAY + 1, None, Some("expires in 6 days")),
            (198 * DAY + 1, None, Some("expires in a day")),
            (199 * DAY + 1, None, Some("expires within a day")),
            (200 * DAY, None, Some("expires within a day")),
            (200 * DAY + 1, Some("has expired"), Some("has expired")),
        ] {
            assert_eq!(validity.fault(now), fault, "{now}");
            assert_eq!(validity.warning(now).as_deref(), warning, "{now}");
        }
    }
}
