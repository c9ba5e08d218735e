//! Certificates for a test or a demonstration: an authority, and what it signs.
//!
//! ```
//! use windlass_certs::{Authority, Validity};
//!
//! let authority = Authority::new();
//! let server = authority.issue(&["localhost", "127.0.0.1"], Validity::Now);
//! assert!(server.cert.starts_with("-----BEGIN CERTIFICATE-----"));
//! assert!(server.key.starts_with("-----BEGIN PRIVATE KEY-----"));
//! ```
#![allow(clippy::missing_panics_doc, reason = "without random numbers there is nothing to test")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};

/// An authority that a client can be told to trust.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    /// Its certificate, in PEM.
    pub cert: String,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It is.
    Now,
    /// It is, for an hour less than three days.
    Soon,
    /// It was.
    Over,
    /// It will be.
    Later,
}

/// An ECDSA key on the curve P-256.
struct Key {
    secret: SigningKey<P256>,
    /// The point, uncompressed.
    public: Vec<u8>,
}

const SOON: Duration = Duration::from_secs((3 * 24 - 1) * 60 * 60);

/// The length of an uncompressed point of P-256: a type byte and two coordinates.
const POINT: usize = 65;

impl Authority {
    /// An authority with a key of its own.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let key = Key::generate();
        let mut params = params(&[], &key, Validity::Now);
        params.distinguished_name.push(DnType::CommonName, "Windlass test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let cert = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), cert }
    }

    /// A certificate for these names and addresses.
    #[must_use]
    pub fn issue(&self, names: &[&str], validity: Validity) -> Certificate {
        let key = Key::generate();
        let mut params = params(names, &key, validity);
        params
            .distinguished_name
            .push(DnType::CommonName, names.first().copied().unwrap_or("none"));
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Certificate { cert, key: key.pem() }
    }
}

fn params(names: &[&str], key: &Key, validity: Validity) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    let mut serial = [0; 16];
    graviola::random::fill(&mut serial).expect("random numbers");
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    // A part of the public key is as good a name as its digest.
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.public[1..21].to_vec());
    let (from, to) = match validity {
        Validity::Now => (2000, 2200),
        Validity::Soon => (2000, 1970),
        Validity::Over => (2000, 2010),
        Validity::Later => (2190, 2200),
    };
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    if validity == Validity::Soon {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        params.not_after += now + SOON;
    }
    params
}

impl Key {
    fn generate() -> Self {
        let secret = SigningKey::<P256>::generate().expect("random numbers");
        let mut room = [0; 256];
        let der = secret.to_spki_der(&mut room).expect("room");
        // The point is the end of the structure.
        let public = der[der.len() - POINT..].to_vec();
        Self { secret, public }
    }

    fn pem(&self) -> String {
        let mut room = [0; 512];
        let der = self.secret.to_pkcs8_der(&mut room).expect("room");
        pem::encode(&pem::Pem::new("PRIVATE KEY", der.to_vec()))
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut room = [0; 128];
        let signed = self.secret.sign_asn1::<Sha256>(&[message], &mut room);
        signed.map(<[u8]>::to_vec).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
