//! The servers: one service, one listener, one model.
//!
//! Each model is one file that reads like the textbook page about it:
//!
//! | model | file | one process waits for | and gives each client |
//! |---|---|---|---|
//! | `iterative` | [`iterative`] | the listener, then the one client | its whole attention |
//! | `fork` | [`fork`] | the listener and its children | a process |
//! | `thread` | [`thread`] | the listener | a thread |
//! | `thread-pool` | [`thread_pool`] | the listener and the queue | a thread of the pool |
//! | `select` | [`select`] | a set of up to 1024 descriptors | a turn |
//! | `poll` | [`poll`] | an array of descriptors | a turn |
//! | `epoll` | [`epoll`] | descriptors that the kernel reports while they are ready | a turn |
//! | `epoll-et` | [`epoll_et`] | changes that the kernel reports once | turns until it is drained |
//! | `reactor` | [`reactor`] | the events of its loop | a session in the loop |
//! | `pool-static` | [`pool_static`] | listener, workers, signals | an idle process |
//! | `prefork` | [`prefork`] | workers, signals, a bell | one of the processes that wait for it |
//!
//! No service knows its model and no model knows its service: between them is
//! [`drive`](crate::drive).

mod children;
mod common;
#[cfg(feature = "sandbox")]
mod confine;
#[cfg(not(feature = "sandbox"))]
#[path = "unconfined.rs"]
mod confine;
#[cfg(feature = "status")]
mod control;
mod custom;
#[cfg(feature = "transfer")]
mod door;
mod faults;
mod hub;
mod lazy;
mod limited;
mod live_clients;
#[cfg(feature = "supervise")]
mod logger;
mod misfit;
mod model;
#[cfg(feature = "supervise")]
mod monitor;
mod ready;
mod repeaters;
#[cfg(feature = "tls")]
mod secured;
mod service;
mod services;
#[cfg(feature = "supervise")]
mod spec;
mod stop;
mod told;
#[cfg(feature = "transfer")]
mod transfers;
mod usage;
mod web;

pub mod epoll;
pub mod epoll_et;
pub mod fork;
pub mod iterative;
pub mod poll;
mod pool;
pub mod pool_static;
pub mod prefork;
pub mod reactor;
pub mod select;
#[cfg(feature = "supervise")]
pub mod supervise;
pub mod thread;
pub mod thread_pool;

/// What only `fuzz/` calls.
#[cfg(feature = "status")]
#[doc(hidden)]
pub mod fuzz {
    pub use super::control::request::{LINE_MAX, Request, request};
}

use std::io;

pub use common::{Limits, Server};
pub use custom::Custom;
pub use model::Model;
pub use pool::{Pool, WORKERS_MAX};
pub use service::{Limited, Offer};
pub use services::Service;
#[cfg(feature = "supervise")]
pub use spec::{Claimed, Files, LogTo, Opened, Spec};
pub use stop::{Stop, StopHandle};
#[cfg(feature = "transfer")]
pub use transfers::{Terms, Transfers};
pub use web::Web;
pub use windlass_core::pool::Policy;

pub use crate::drive::{Admission, LineFormat, REQUEST_MAX_US, TimeLimits};

use crate::drive::flush_access_log;
use crate::error::{Error, Result};

impl Server {
    /// Serves until it is told to stop and has drained.
    ///
    /// # Errors
    /// The model cannot serve the offer on this listener (`InvalidInput`), or a system call that it cannot do without
    /// failed. No action of a peer is an error.
    pub fn run(self, model: Model) -> Result<()> {
        if let Some(transport) = self.acceptor.transport()
            && let Some(why) = self.offer.misfit(transport, model)
        {
            let address = self.acceptor.address().map_or_else(String::new, ToString::to_string);
            let why = io::Error::new(io::ErrorKind::InvalidInput, why);
            return Err(Error::new("serve on", address, why));
        }
        let ended = match model {
            Model::Iterative => iterative::serve(self),
            Model::Fork => fork::serve(self),
            Model::Thread => thread::serve(self),
            Model::ThreadPool => thread_pool::serve(self),
            Model::Select => select::serve(self),
            Model::Poll => poll::serve(self),
            Model::Epoll => epoll::serve(self),
            Model::EpollEt => epoll_et::serve(self),
            Model::Reactor => reactor::serve(self),
            Model::PoolStatic => pool_static::serve(self),
            Model::Prefork => prefork::serve(self),
        };
        // Of the last turn: the process may end without the destructors of this thread.
        flush_access_log();
        ended
    }
}
