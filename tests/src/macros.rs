//! Macros of the tests: the program under test, and one named test for each model.

/// A [`Serve`](crate::Serve) of the program under test: `serve!("upper", model)`.
#[macro_export]
macro_rules! serve {
    ($service:expr, $model:expr) => {
        $crate::Serve::new(env!("CARGO_BIN_EXE_windlass-under-test"), $service, $model)
    };
}

/// A [`Supervise`](crate::Supervise) of the program under test: `supervise!(text)`.
#[macro_export]
macro_rules! supervise {
    ($text:expr) => {
        $crate::Supervise::new(env!("CARGO_BIN_EXE_windlass-under-test"), $text)
    };
}

/// A [`Program`](crate::Program) of the program under test: `windlass!("time", address)`.
#[macro_export]
macro_rules! windlass {
    ($($arg:expr),* $(,)?) => {
        $crate::Program::new(env!("CARGO_BIN_EXE_windlass-under-test")) $(.arg($arg))*
    };
}

/// A `#[test]` for each model out of a `fn claim(model: Model)`: `claim::iterative`,
/// `claim::fork` and so on, so that a failure names the model.
#[macro_export]
macro_rules! every_model {
    ($($claim:ident),+ $(,)?) => {$(
        $crate::models!($claim: iterative Iterative, fork Fork, thread Thread,
            thread_pool ThreadPool, select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor,
            pool_static PoolStatic, prefork Prefork);
    )+};
}

/// Like [`every_model!`], without `iterative`, which serves one client at a time.
#[macro_export]
macro_rules! every_concurrent_model {
    ($($claim:ident),+ $(,)?) => {$(
        $crate::models!($claim: fork Fork, thread Thread, thread_pool ThreadPool,
            select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor,
            pool_static PoolStatic, prefork Prefork);
    )+};
}

/// Like [`every_model!`], for those that serve datagrams: they give no client a process or a thread.
#[macro_export]
macro_rules! every_model_of_datagrams {
    ($($claim:ident),+ $(,)?) => {$(
        $crate::models!($claim: iterative Iterative, thread_pool ThreadPool, select Select, poll Poll, epoll Epoll,
            epoll_et EpollEt, reactor Reactor, prefork Prefork);
    )+};
}

/// Like [`every_model!`], for the models named: `models!(claim: poll Poll, epoll Epoll)`.
#[macro_export]
macro_rules! models {
    ($claim:ident: $($name:ident $model:ident),+ $(,)?) => {
        mod $claim {
            use super::Model;
            $(
                #[test]
                fn $name() {
                    super::$claim(Model::$model);
                }
            )+
        }
    };
}
