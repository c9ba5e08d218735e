//! A service over TLS.

use std::sync::Arc;

use super::Offer;
use crate::tls::Credentials;

impl Offer {
    /// The same over TLS, with this certificate. `http` is to be the one protocol of `credentials`.
    #[must_use]
    pub fn secured(self, credentials: Arc<Credentials>) -> Self {
        Self::Secured(Box::new(self), credentials)
    }

    /// The certificate that clients are shown.
    pub(super) fn credentials(&self) -> Option<&Arc<Credentials>> {
        match self {
            Self::Secured(_, credentials) => Some(credentials),
            Self::Limited(limited) => limited.offer.credentials(),
            _ => None,
        }
    }
}
