//! A service of the program that uses the library.

use std::sync::Arc;

use windlass_core::responder::Responder;
use windlass_core::session::Session;

use crate::sys::datagram::Peer;
use crate::sys::root::Root;

/// The program's own service: its name, and the function that makes a session.
///
/// ```
/// use windlass::server::Offer;
/// use windlass_core::session::Upper;
///
/// // Any `Session` runs under every model.
/// let offer = Offer::custom("shout", Upper::new);
/// assert_eq!(offer.name(), "shout");
/// ```
#[derive(Clone)]
pub struct Custom {
    pub(super) name: Arc<str>,
    pub(super) root: Option<Arc<Root>>,
    pub(super) open: Arc<dyn Fn() -> Box<dyn Session + Send> + Send + Sync>,
    pub(super) responder: Option<Arc<MakeResponder>>,
}

type MakeResponder = dyn Fn() -> Box<dyn Responder<Peer> + Send> + Send + Sync;

impl Custom {
    /// A service called `name`; `open` makes the session for each client. It is called in the thread or
    /// the process that serves the client.
    pub fn new<S: Session + Send + 'static>(
        name: &str,
        open: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        let open = Arc::new(move || -> Box<dyn Session + Send> { Box::new(open()) });
        Self { name: name.into(), root: None, open, responder: None }
    }

    /// On datagrams too: `make` makes the responder of each thread or process that answers them.
    #[must_use]
    pub fn with_responder<R: Responder<Peer> + Send + 'static>(
        self,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        Self { responder: Some(Arc::new(move || Box::new(make()))), ..self }
    }

    /// Adds the folder of the files that the sessions send.
    #[must_use]
    pub fn with_root(self, root: Root) -> Self {
        Self { root: Some(Arc::new(root)), ..self }
    }
}

impl std::fmt::Debug for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Custom");
        shown.field("name", &self.name).field("root", &self.root).finish_non_exhaustive()
    }
}
