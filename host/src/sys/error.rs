//! One error for the host: the operation, what it was done to, and the cause.

use std::fmt;

/// What a host operation failed with. It prints as `operation target: cause`, on one line.
#[derive(Debug)]
pub struct Error {
    op: &'static str,
    target: String,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

/// The host's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `op` failed on `target` (an address or a file) because of `cause`.
    pub fn new(
        op: &'static str,
        target: impl fmt::Display,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let cause = cause.into();
        // `EADDRINUSE: Address already in use` says it twice.
        let cause = match cause.downcast::<nix::Error>() {
            Ok(errno) => errno.desc().into(),
            Err(cause) => cause,
        };
        Self { op, target: target.to_string(), cause }
    }

    /// The same, with something more to know.
    #[must_use]
    pub fn and(self, more: impl fmt::Display) -> Self {
        let cause = format!("{}; {more}", self.cause).into();
        Self { cause, ..self }
    }

    /// For `map_err`: `op` failed on `target`.
    pub fn of<C: Into<Box<dyn std::error::Error + Send + Sync>>>(
        op: &'static str,
        target: impl fmt::Display,
    ) -> impl FnOnce(C) -> Self {
        move |cause| Self::new(op, target, cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, target, cause } = self;
        match target.as_str() {
            "" => write!(f, "{op}: {cause}"),
            target => write!(f, "{op} {target}: {cause}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}
