//! A channel of either kind, for a stream of which only its program knows whether it has a cipher.

use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd};

use super::channel::Channel;
#[cfg(feature = "tls")]
use super::secured::Secured;
use crate::sys::stream::Stream;

/// A channel of either kind.
#[derive(Debug)]
pub(crate) enum AnyChannel {
    Plain(Stream),
    #[cfg(feature = "tls")]
    Secured(Box<Secured>),
}

impl Deref for AnyChannel {
    type Target = dyn Channel;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Secured(secured) => &**secured,
        }
    }
}

impl DerefMut for AnyChannel {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Secured(secured) => &mut **secured,
        }
    }
}

impl AsFd for AnyChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream().as_fd()
    }
}
