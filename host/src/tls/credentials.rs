//! The certificate and the key of a listener.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, ServerConnection};
use tracing::{info, warn};

use super::tickets::Tickets;
use super::validity::Validity;
use super::{VERSIONS, pem_fault, provider};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::sys::clock;

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
    validity: Validity,
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
        let read = Self { files, protocols, current: RwLock::new(pair) };
        read.warn();
        Ok(read)
    }

    /// When the certificate expires that clients are shown, in microseconds since 1970.
    pub fn expires_us(&self) -> u64 {
        self.current().validity.until * 1_000_000
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
        let Some(pair) = self.renewed() else { return false };
        info!("the certificate in {} was read again", printable(&self.files.cert));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = pair;
        self.warn();
        true
    }

    /// Whether the files are good and have changed.
    #[cfg(feature = "supervise")]
    pub(crate) fn has_changed(&self) -> bool {
        self.renewed().is_some()
    }

    fn current(&self) -> Pair {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the files have now, if it is good and not what they had. If not, the log has a line about what is used.
    fn renewed(&self) -> Option<Pair> {
        let why = match Pair::read(&self.files, &self.protocols) {
            Ok(pair) if pair.chain == self.current().chain => {
                self.warn();
                return None;
            }
            Ok(pair) => match pair.validity.fault(unix_time()) {
                None => return Some(pair),
                Some(why) => format!("the certificate in {} {why}", printable(&self.files.cert)),
            },
            Err(error) => error.to_string(),
        };
        warn!("{why}; the earlier certificate is used");
        None
    }

    /// Logs what is wrong with the certificate in use, and with its key.
    fn warn(&self) {
        let CertFiles { cert, key } = &self.files;
        if let Some(why) = self.current().validity.warning(unix_time()) {
            warn!("the certificate in {} {why}", printable(cert));
        }
        if fs::metadata(key).is_ok_and(|key| key.mode() & OF_OTHERS != 0) {
            warn!("every user can read the key in {}: chmod o= it", printable(key));
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
        let chain = chain.map_err(|error| of_cert()(pem_fault(&error)))?;
        if chain.is_empty() {
            return Err(of_cert()("it has no certificate in PEM".to_owned()));
        }
        let of_key = || Error::of("read the key in", printable(key));
        let pem = contents(key).map_err(|error| of_key()(error.to_string()))?;
        let secret = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|error| of_key()(key_fault(&pem, &error)))?;
        let validity = Validity::of(&chain[0], &provider)
            .ok_or_else(|| of_cert()("it cannot be parsed".to_owned()))?;
        let tickets = Tickets::of(chain[0].as_ref());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .and_then(|it| it.with_no_client_auth().with_single_cert(chain.clone(), secret))
            .map_err(|error| {
                let why = match error {
                    rustls::Error::InconsistentKeys(_) => {
                        format!("it does not belong to the certificate in {}", printable(cert))
                    }
                    // All that the provider says of a key that it does not know.
                    rustls::Error::General(_) => KEYS.to_owned(),
                    error => error.to_string(),
                };
                Error::new("use the key in", printable(key), why)
            })?;
        config.alpn_protocols = protocols.to_vec();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(tickets);
        Ok(Self { chain, validity, config: Arc::new(config) })
    }
}

fn contents(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // To open a FIFO would wait.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Why a file has no key.
fn key_fault(pem: &[u8], error: &pem::Error) -> String {
    // In both forms, `BEGIN ENCRYPTED PRIVATE KEY` and `Proc-Type: 4,ENCRYPTED`.
    if pem.windows(ENCRYPTED.len()).any(|word| word == ENCRYPTED) {
        return "it is encrypted with a passphrase, and a server has none: `openssl pkey` decrypts it"
            .to_owned();
    }
    match error {
        pem::Error::NoItemsFound => "it has no private key in PEM".to_owned(),
        error => pem_fault(error),
    }
}

const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// The keys that the provider signs with.
const KEYS: &str =
    "it is of a kind that is not supported: RSA of 2048 to 8192 bits, P-256, P-384 and Ed25519 are";

/// Read and write permission of others.
const OF_OTHERS: u32 = 0o006;

/// Seconds since 1970.
fn unix_time() -> u64 {
    clock::calendar().as_nanos() / 1_000_000_000
}

#[cfg(test)]
mod tests;
