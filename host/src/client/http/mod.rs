//! The client's half of HTTP/1.1, without I/O: the server, the request, and the answer.
//!
//! ```text
//! Url ──▶ get ──▶ bytes to send        bytes received ──▶ Response ──▶ Head, body, end
//!  ▲                                                                    │
//!  └──────────────────────────── redirect ◀─────────────────────────────┘
//! ```
//!
//! One request a connection, and the server closes it: bytes behind the answer are ignored.
//!
//! ```
//! use windlass::client::http::{Fed, Response, Url, get};
//!
//! let url = Url::parse("http://localhost:8080/a.txt").unwrap();
//! assert!(get(&url).starts_with("GET /a.txt HTTP/1.1\r\nHost: localhost:8080\r\n"));
//!
//! let mut response = Response::new();
//! let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..];
//! let mut file = Vec::new();
//! loop {
//!     match response.feed(input).unwrap() {
//!         Fed::Head { head, rest } => {
//!             assert_eq!((head.status, head.length), (200, Some(5)));
//!             input = rest;
//!         }
//!         Fed::Body { bytes, rest } => {
//!             file.extend_from_slice(bytes);
//!             input = rest;
//!         }
//!         Fed::More => unreachable!("a client would receive here, and call eof() at the end"),
//!         Fed::End => break,
//!     }
//! }
//! assert_eq!(file, b"hello");
//! ```

mod chunked;
mod escape;
mod fields;
mod head;
mod proxy;
mod request;
mod response;
mod url;
mod url_error;
mod validator;
mod zone;

pub use chunked::ChunkError;
pub use head::{Head, HeadError};
pub use proxy::{Proxy, ProxyError};
pub use request::{Request, get};
pub use response::{Fed, Response, ResponseError};
pub use url::Url;
pub(super) use url::server;
pub use url_error::UrlError;
pub use validator::{ContentRange, Version};
pub(super) use zone::Zoneless;
