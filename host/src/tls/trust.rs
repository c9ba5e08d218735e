//! Which servers a client believes.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use super::validity::{Validity, When};
use super::{VERSIONS, pem_fault, provider};
use crate::error::{Error, Result};
use crate::printable::printable;

/// The authorities that have to sign the certificate of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those that the system trusts.
    #[default]
    System,
    /// Those in this file, in PEM, and no others. The certificate of the server itself may be there too.
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
            Roots::File(path) => {
                let named = Judge::of_file(path, &provider)?;
                builder.dangerous().with_custom_certificate_verifier(verifier(named, provider))
            }
            Roots::Unchecked => {
                builder.dangerous().with_custom_certificate_verifier(verifier(Judge::All, provider))
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

/// Takes a server that has the key of its certificate, if the judge finds that certificate good.
#[derive(Debug)]
struct Verifier {
    judge: Judge,
    provider: Arc<CryptoProvider>,
}

/// Which certificates are good.
#[derive(Debug)]
enum Judge {
    /// Every one.
    All,
    /// Those that are signed by an authority of a file, and those in the file itself: one that signed itself, as
    /// `openssl req -x509` makes it, calls itself an authority, and no authority may be a server.
    Named { certs: Vec<CertificateDer<'static>>, signed: Arc<WebPkiServerVerifier> },
}

fn verifier(judge: Judge, provider: Arc<CryptoProvider>) -> Arc<Verifier> {
    Arc::new(Verifier { judge, provider })
}

impl Judge {
    fn of_file(path: &PathBuf, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let fail = || Error::of("read the authorities in", printable(path));
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(path).map_err(|error| fail()(error.to_string()))?;
        let certs =
            CertificateDer::pem_slice_iter(&pem).collect::<std::result::Result<Vec<_>, _>>();
        let certs = certs.map_err(|error| fail()(pem_fault(&error)))?;
        for cert in &certs {
            roots.add(cert.clone()).map_err(|error| fail()(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(fail()("it has no certificate in PEM".to_owned()));
        }
        let (roots, algorithms) = (Arc::new(roots), Arc::clone(provider));
        let signed = WebPkiServerVerifier::builder_with_provider(roots, algorithms).build();
        let signed = signed.map_err(|error| fail()(error.to_string()))?;
        Ok(Self::Named { certs, signed })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Judge::Named { certs, signed } = &self.judge else {
            return Ok(ServerCertVerified::assertion());
        };
        if !certs.iter().any(|own| own.as_ref() == cert.as_ref()) {
            return signed.verify_server_cert(cert, others, name, ocsp, now);
        }
        verify_server_name(&ParsedCertificate::try_from(cert)?, name)?;
        match Validity::of(cert, &self.provider).map(|validity| validity.at(now.as_secs())) {
            Some(When::Within) => Ok(ServerCertVerified::assertion()),
            Some(When::Before) => Err(CertificateError::NotValidYet.into()),
            Some(When::After) => Err(CertificateError::Expired.into()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
