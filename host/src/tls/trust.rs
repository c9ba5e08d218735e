//! Which servers a client believes.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::{VERSIONS, provider};
use crate::error::{Error, Result};
use crate::printable::printable;

/// The authorities that have to sign the certificate of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those that the system trusts.
    #[default]
    System,
    /// Those in this file, in PEM, and no others.
    File(PathBuf),
    /// None: any certificate is taken. What is sent is encrypted, but the server may be any.
    Unchecked,
}

/// What a client checks a server by.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Reads the certificates of the authorities.
    ///
    /// # Errors
    /// There is none, or the processor lacks instructions.
    pub fn new(roots: &Roots) -> Result<Self> {
        let provider = provider().map_err(Error::of("use", "TLS"))?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(VERSIONS)
            .map_err(|error| Error::new("use", "TLS", error.to_string()))?;
        let config = match roots {
            Roots::System => builder.with_root_certificates(of_system()?),
            Roots::File(path) => builder.with_root_certificates(of_file(path)?),
            Roots::Unchecked => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
            }
        };
        Ok(Self(Arc::new(config.with_no_client_auth())))
    }

    /// A client's end of a connection to the server of this name.
    ///
    /// # Errors
    /// A certificate cannot be for such a name.
    pub(crate) fn connect(&self, host: &str) -> Result<ClientConnection> {
        // A zone is a matter of this host.
        let name = host.split('%').next().unwrap_or_default().to_owned();
        let name = ServerName::try_from(name).map_err(|error| error.to_string());
        name.and_then(|name| {
            ClientConnection::new(Arc::clone(&self.0), name).map_err(|error| error.to_string())
        })
        .map_err(Error::of("begin TLS with", printable(host)))
    }
}

fn of_system() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or("there are none".to_owned(), ToString::to_string);
        return Err(Error::new("read", "the certificates that the system trusts", why));
    }
    Ok(roots)
}

fn of_file(path: &PathBuf) -> Result<RootCertStore> {
    let fail = || Error::of("read the authorities in", printable(path));
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(path).map_err(|error| fail()(error.to_string()))?;
    for cert in CertificateDer::pem_slice_iter(&pem) {
        let cert = cert.map_err(|error| fail()(error.to_string()))?;
        roots.add(cert).map_err(|error| fail()(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fail()("it has no certificate in PEM".to_owned()));
    }
    Ok(roots)
}

/// Takes any certificate, if the server has its key.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
