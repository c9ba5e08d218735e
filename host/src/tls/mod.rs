//! TLS 1.2 and 1.3 by `rustls`: what a server shows to its clients, and what a client trusts.
//!
//! ```text
//!   certificate, key ──▶ Credentials ──▶ a connection's cipher (drive) ◀── Trust ◀── roots
//!   SIGHUP ──▶ read both again ──▶ swapped as one, or the earlier ones go on
//! ```
//!
//! What stands between a socket and its session is in `drive`; no session and no server model knows of it.

mod credentials;
mod tickets;
mod trust;
mod validity;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, Error, HandshakeType, InvalidMessage,
    SupportedProtocolVersion,
};

pub use credentials::{CertFiles, Credentials};
pub use trust::{Roots, Trust};

/// The versions that are spoken. The suites of both have forward secrecy and authenticated encryption.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The protocol in the extension ALPN (RFC 7301), for HTTP.
#[cfg(feature = "supervise")]
pub(crate) const HTTP: &[u8] = b"http/1.1";

/// Why a handshake has failed that the peer ended.
pub(crate) const LEFT: &str = "the peer left during the handshake";

/// Why TLS has failed, in words about the peer.
pub(crate) fn reason(error: &Error) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Other, UnknownIssuer,
    };
    use HandshakeType::{ClientHello, ServerHello};
    let words = match error {
        Error::InvalidCertificate(Expired | ExpiredContext { .. }) => "its certificate has expired",
        Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "its certificate is not valid yet"
        }
        Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "its certificate is for another name"
        }
        Error::InvalidCertificate(UnknownIssuer) => {
            "its certificate is signed by no authority that is trusted here"
        }
        // The error of the library that checks certificates prints as the name of the case.
        Error::InvalidCertificate(Other(why)) if why.to_string() == "CaUsedAsEndEntity" => {
            "its certificate is that of an authority, as one that signed itself is, and is not trusted here"
        }
        Error::InvalidCertificate(Other(why)) => {
            return format!("its certificate is not good: {why}");
        }
        Error::AlertReceived(AlertDescription::CloseNotify) => LEFT,
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "it does not speak TLS",
        // A server that sends back what it gets.
        Error::InappropriateHandshakeMessage { expect_types, got_type: ClientHello }
            if expect_types.contains(&ServerHello) =>
        {
            "it does not speak TLS"
        }
        error => return error.to_string(),
    };
    words.to_owned()
}

/// Why a file is not read as PEM.
fn pem_fault(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it ends before the line END of its PEM".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a line BEGIN of its PEM is cut".to_owned(),
        pem::Error::Base64Decode(_) => "what its PEM encloses is not Base64".to_owned(),
        error => error.to_string(),
    }
}

/// The cryptography, or what the processor lacks for it.
fn provider() -> Result<Arc<CryptoProvider>, &'static str> {
    if has_instructions() { Ok(Arc::new(rustls_graviola::default_provider())) } else { Err(LACKS) }
}

#[cfg(target_arch = "x86_64")]
fn has_instructions() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("aes")
        && has!("ssse3")
        && has!("avx")
        && has!("avx2")
        && has!("adx")
        && has!("bmi2")
        && has!("pclmulqdq")
}

#[cfg(target_arch = "x86_64")]
const LACKS: &str = "TLS needs a processor with AES, PCLMULQDQ, AVX2, ADX and BMI2";

#[cfg(target_arch = "aarch64")]
fn has_instructions() -> bool {
    use std::arch::is_aarch64_feature_detected as has;
    has!("aes") && has!("sha2") && has!("pmull") && has!("neon")
}

#[cfg(target_arch = "aarch64")]
const LACKS: &str = "TLS needs a processor with AES, PMULL and SHA2";
