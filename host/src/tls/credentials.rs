//! The certificate and the key of a listener.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{CertificateError, RootCertStore, ServerConfig, ServerConnection};
use tracing::{info, warn};

use super::tickets::Tickets;
use super::{VERSIONS, provider};
use crate::error::{Error, Result};
use crate::printable::printable;

/// The files of a listener's certificate and key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertFiles {
    /// The certificate, and behind it those that lead to a root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What a listener shows to its clients. Connections that begin after a [`renew`](Self::renew) get the new
/// certificate; those that are open keep what they began with.
#[derive(Debug)]
pub struct Credentials {
    files: CertFiles,
    protocols: Vec<Vec<u8>>,
    current: RwLock<Pair>,
}

/// A certificate and its key, and the configuration made of them.
#[derive(Debug, Clone)]
struct Pair {
    chain: Vec<CertificateDer<'static>>,
    config: Arc<ServerConfig>,
}

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

impl Credentials {
    /// Reads the files. `protocols` are the names in ALPN: a client that offers others alone is refused.
    ///
    /// # Errors
    /// A file cannot be read or has no certificate or key, the two do not belong together, or the processor
    /// lacks instructions.
    pub fn read(files: CertFiles, protocols: &[&[u8]]) -> Result<Self> {
        let protocols: Vec<_> = protocols.iter().map(|name| name.to_vec()).collect();
        let pair = Pair::read(&files, &protocols)?;
        if let Err(why) = pair.is_valid() {
            warn!("the certificate in {} {why}", printable(&files.cert));
        }
        Ok(Self { files, protocols, current: RwLock::new(pair) })
    }

    /// The server's end of one more connection.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn accept(&self) -> std::result::Result<ServerConnection, rustls::Error> {
        ServerConnection::new(self.current().config)
    }

    /// Reads the files again. If both are good they take the place of the earlier ones, together; if not, the
    /// earlier ones stay, and the log says why. Whether there are new ones.
    pub fn renew(&self) -> bool {
        let renewed = self.renewed();
        if let Some(pair) = renewed {
            info!("the certificate in {} was read again", printable(&self.files.cert));
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = pair;
            return true;
        }
        false
    }

    /// Whether the files are good and have changed.
    #[cfg(feature = "supervise")]
    pub(crate) fn has_changed(&self) -> bool {
        self.renewed().is_some()
    }

    fn current(&self) -> Pair {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn renewed(&self) -> Option<Pair> {
        let file = printable(&self.files.cert);
        let read = Pair::read(&self.files, &self.protocols).map_err(|error| error.to_string());
        let valid = read.and_then(|pair| match pair.is_valid() {
            Ok(()) => Ok(pair),
            Err(why) => Err(format!("the certificate in {file} {why}")),
        });
        match valid {
            Ok(pair) => Some(pair).filter(|pair| pair.chain != self.current().chain),
            Err(why) => {
                warn!("{why}; the earlier certificate is used");
                None
            }
        }
    }
}

impl Pair {
    fn read(files: &CertFiles, protocols: &[Vec<u8>]) -> Result<Self> {
        let CertFiles { cert, key } = files;
        let provider = provider().map_err(Error::of("use the certificate in", printable(cert)))?;
        let of_cert = || Error::of("read the certificate in", printable(cert));
        let pem = contents(cert).map_err(|error| of_cert()(error.to_string()))?;
        let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|error| of_cert()(error.to_string()))?;
        if chain.is_empty() {
            return Err(of_cert()("it has no certificate in PEM".to_owned()));
        }
        let of_key = || Error::of("read the key in", printable(key));
        let pem = contents(key).map_err(|error| of_key()(error.to_string()))?;
        let secret = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| of_key()("it has no private key in PEM".to_owned()))?;
        warn_if_open(key);
        let tickets = Tickets::of(chain[0].as_ref());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .and_then(|it| it.with_no_client_auth().with_single_cert(chain.clone(), secret))
            .map_err(|error| {
                let why = match error {
                    rustls::Error::InconsistentKeys(_) => {
                        format!("it does not belong to the certificate in {}", printable(cert))
                    }
                    error => error.to_string(),
                };
                Error::new("use the key in", printable(key), why)
            })?;
        config.alpn_protocols = protocols.to_vec();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(tickets);
        Ok(Self { chain, config: Arc::new(config) })
    }

    /// Why it is not valid at this time, if it is not.
    fn is_valid(&self) -> std::result::Result<(), &'static str> {
        use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
        let Ok(cert) = ParsedCertificate::try_from(&self.chain[0]) else {
            return Err("cannot be parsed");
        };
        let algorithms = self.config.crypto_provider().signature_verification_algorithms.all;
        // Without a root there is always an error; that of the time comes first.
        let found = verify_server_cert_signed_by_trust_anchor(
            &cert,
            &RootCertStore::empty(),
            &[],
            UnixTime::now(),
            algorithms,
        );
        match found {
            Err(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })) => {
                Err("has expired")
            }
            Err(rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. })) => {
                Err("is not valid yet")
            }
            _ => Ok(()),
        }
    }
}

fn contents(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // To open a FIFO would wait.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Read and write permission of others.
const OF_OTHERS: u32 = 0o006;

fn warn_if_open(key: &Path) {
    if fs::metadata(key).is_ok_and(|key| key.mode() & OF_OTHERS != 0) {
        warn!("every user can read the key in {}: chmod o= it", printable(key));
    }
}

#[cfg(test)]
mod tests;
