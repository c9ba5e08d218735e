//! The error type of the host: an operation, its target, and the cause.

use std::{fmt, io};

use nix::errno::Errno;

use crate::printable::printable;

/// The failure of an operation of the host. It prints as `operation target: cause`: on one line, in
/// characters that can be shown, whatever the target is called and whatever a peer said. Its `Debug` is
/// the same line, for a program with a `main` that returns it.
///
/// It converts into [`std::io::Error`], with the kind of its cause:
///
/// ```
/// use windlass::sys::listener::Listener;
///
/// fn listen(address: &str) -> std::io::Result<Listener> {
///     Ok(Listener::bind(&address.parse()?, 128)?)
/// }
///
/// let error = listen("unix:/nonexistent/socket").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// assert_eq!(error.to_string(), "listen on unix:/nonexistent/socket: No such file or directory");
/// assert_eq!(listen("7007").unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
/// ```
pub struct Error {
    op: &'static str,
    target: String,
    kind: io::ErrorKind,
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
        let kind = kind_of(&*cause);
        let cause = match cause.downcast::<io::Error>() {
            Ok(error) => match error.raw_os_error() {
                Some(errno) => Errno::from_raw(errno).into(),
                None => error.into(),
            },
            Err(cause) => cause,
        };
        // `EADDRINUSE: Address already in use` says it twice.
        let cause = match cause.downcast::<Errno>() {
            Ok(errno) => errno.desc().into(),
            Err(cause) => cause,
        };
        Self { op, target: target.to_string(), kind, cause }
    }

    /// The kind of the first system error among its causes; `Other` where there is none.
    pub fn kind(&self) -> io::ErrorKind {
        self.kind
    }

    /// The same error with a further fact behind its cause.
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
        let Self { op, target, cause, kind: _ } = self;
        f.write_str(op)?;
        if !target.is_empty() {
            write!(f, " {}", printable(target))?;
        }
        // A cause limits the length of its own parts.
        write!(f, ": {}", printable(&without_numbers(&cause.to_string())).whole())
    }
}

/// A cause may wrap what the standard library says, `No such file or directory (os error 2)`: the words
/// are what a system error is called here, and nowhere its number.
fn without_numbers(cause: &str) -> String {
    let mut parts = cause.split(" (os error ");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str(
            part.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(')'),
        );
    }
    shown
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kind of the first of the causes that has one.
fn kind_of(cause: &(dyn std::error::Error + 'static)) -> io::ErrorKind {
    let of = |cause: &(dyn std::error::Error + 'static)| {
        let of_the_system = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        of_the_system
            .or_else(|| cause.downcast_ref().map(|&errno: &Errno| io::Error::from(errno).kind()))
            .or_else(|| cause.downcast_ref().map(Error::kind))
    };
    let mut causes = std::iter::successors(Some(cause), |&cause| cause.source());
    causes.find_map(of).unwrap_or(io::ErrorKind::Other)
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind, error)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_told_in_one_way() {
        let refused = io::Error::from_raw_os_error(Errno::ECONNREFUSED as i32);
        let wrapped = format!("enter: {refused}; and {refused}");
        let expected = "connect to tcp:h:1: Connection refused";
        assert_eq!(Error::new("connect to", "tcp:h:1", refused).to_string(), expected);
        assert_eq!(Error::new("connect to", "tcp:h:1", Errno::ECONNREFUSED).to_string(), expected);
        let expected = "x: enter: Connection refused; and Connection refused";
        assert_eq!(Error::new("x", "", wrapped).to_string(), expected);
        let more = Error::new("x", "", Errno::ENOENT).and("more");
        assert_eq!(more.to_string(), "x: No such file or directory; more");
    }

    #[test]
    fn its_kind_is_that_of_its_cause_and_main_may_return_it() {
        use io::ErrorKind::{AddrInUse, NotFound, Other};
        let in_use = || Error::new("bind", "tcp:h:1", Errno::EADDRINUSE);
        for (error, kind) in [
            (in_use().and("more"), AddrInUse),
            (Error::new("start", "", in_use()), AddrInUse),
            (Error::new("open", "x", io::Error::from(NotFound)), NotFound),
            (Error::new("open", "x", "it is no socket"), Other),
        ] {
            assert_eq!(error.kind(), kind);
            let text = error.to_string();
            let error = io::Error::from(error);
            assert_eq!((error.kind(), error.to_string()), (kind, text));
        }
        let shown = format!("{:?}", io::Error::from(in_use()));
        let expected = "Custom { kind: AddrInUse, error: bind tcp:h:1: Address already in use }";
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_error_is_one_line_that_no_terminal_obeys() {
        let error = Error::new("open", "a\n\u{1b}[31m\u{202e}b", "it said \u{9b}2J\r\n");
        assert_eq!(error.to_string(), r"open a\n\u{1b}[31m\u{202e}b: it said \u{9b}2J\r\n");
        let long = Error::new("open", "x".repeat(100_000), "y".repeat(3000)).to_string();
        assert!((4000..5000).contains(&long.len()), "{}", long.len());
    }
}
