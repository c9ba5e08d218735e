//! What the kernel reports under either trigger.

use windlass_core::stream::Write;

use super::*;
use crate::sys::event::Event;
use crate::sys::stream::Stream;

const TOKEN: Token = Token { index: 5, generation: 9 };
const READ: Ready = Ready { read: true, ..Ready::NONE };

/// The events of one wait that does not wait.
fn look(epoll: &mut Epoll) -> Vec<(Token, Ready)> {
    let count = epoll.wait(Some(0)).unwrap();
    (0..count).map(|index| epoll.event(index)).collect()
}

fn say(peer: &Stream) {
    assert_eq!(peer.send([b"x", &[]]), Ok(Write::count(1)));
}

#[test]
fn level_triggered_reports_while_it_lasts() {
    let mut epoll = Epoll::new().unwrap();
    let event = Event::new().unwrap();
    epoll.add(&event, Interest::READ, TOKEN).unwrap();
    assert_eq!(look(&mut epoll), []);
    event.raise();
    assert_eq!(look(&mut epoll), [(TOKEN, READ)]);
    assert_eq!(look(&mut epoll), [(TOKEN, READ)]);
    event.take();
    assert_eq!(look(&mut epoll), []);
}

#[test]
fn edge_triggered_reports_a_change_once() {
    let mut epoll = Epoll::new().unwrap();
    let (ours, peer) = Stream::pair().unwrap();
    epoll.add_edge(&ours, TOKEN).unwrap();
    let write = Ready { write: true, ..Ready::NONE };
    assert_eq!(look(&mut epoll), [(TOKEN, write)]);
    assert_eq!(look(&mut epoll), []);
    say(&peer);
    assert_eq!(look(&mut epoll), [(TOKEN, Ready { write: true, ..READ })]);
    assert_eq!(look(&mut epoll), []);
    // Also when what came before was not read.
    say(&peer);
    assert_eq!(look(&mut epoll), [(TOKEN, Ready { write: true, ..READ })]);
    peer.shutdown_write();
    let ready = Ready { read: true, write: true, hup: true, dead: false };
    assert_eq!(look(&mut epoll), [(TOKEN, ready)]);
    assert_eq!(look(&mut epoll), []);
}

#[test]
fn edge_triggered_reports_data_and_the_end_in_one_event() {
    let mut epoll = Epoll::new().unwrap();
    let (ours, peer) = Stream::pair().unwrap();
    epoll.add_edge(&ours, TOKEN).unwrap();
    say(&peer);
    peer.shutdown_write();
    let ready = Ready { read: true, write: true, hup: true, dead: false };
    assert_eq!(look(&mut epoll), [(TOKEN, ready)]);
}

#[test]
fn a_member_is_watched_for_what_was_said_last() {
    let mut epoll = Epoll::new().unwrap();
    let (ours, peer) = Stream::pair().unwrap();
    say(&peer);
    epoll.add(&ours, Interest::WRITE, TOKEN).unwrap();
    assert_eq!(look(&mut epoll), [(TOKEN, Ready { write: true, ..Ready::NONE })]);
    let other = Token { index: 6, generation: 9 };
    epoll.modify(&ours, Interest::READ, other).unwrap();
    assert_eq!(look(&mut epoll), [(other, READ)]);
    epoll.modify(&ours, Interest::NONE, TOKEN).unwrap();
    assert_eq!(look(&mut epoll), []);
}

#[test]
fn a_hang_up_is_reported_without_any_interest() {
    let mut epoll = Epoll::new().unwrap();
    let (ours, peer) = Stream::pair().unwrap();
    epoll.add(&ours, Interest::NONE, TOKEN).unwrap();
    peer.shutdown_write();
    assert_eq!(look(&mut epoll), []);
    drop(peer);
    let ready = Ready { read: true, hup: true, dead: true, ..Ready::NONE };
    assert_eq!(look(&mut epoll), [(TOKEN, ready)]);
}

#[test]
fn closed_members_leave_by_themselves() {
    let mut epoll = Epoll::new().unwrap();
    let event = Event::new().unwrap();
    event.raise();
    epoll.add(&event, Interest::READ, TOKEN).unwrap();
    drop(event);
    assert_eq!(look(&mut epoll), []);
}

#[test]
fn more_events_than_a_batch_come_in_the_next_wait() {
    let mut epoll = Epoll::new().unwrap();
    let events: Vec<_> = (0..BATCH + 10).map(|_| Event::new().unwrap()).collect();
    for (event, index) in events.iter().zip(0..) {
        event.raise();
        epoll.add_edge(event, Token { index, generation: 0 }).unwrap();
    }
    let mut found = look(&mut epoll);
    assert_eq!(found.len(), BATCH);
    found.extend(look(&mut epoll));
    let mut indices: Vec<_> = found.iter().map(|(token, _)| token.index).collect();
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..events.len() as u32));
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let epoll = Epoll::new().unwrap();
    let event = Event::new().unwrap();
    assert_eq!(epoll.modify(&event, Interest::READ, TOKEN), Err(Errno::ENOENT));
    epoll.add(&event, Interest::READ, TOKEN).unwrap();
    assert_eq!(epoll.add(&event, Interest::READ, TOKEN), Err(Errno::EEXIST));
    let file = tempfile::tempfile().unwrap();
    assert_eq!(epoll.add(&file, Interest::READ, TOKEN), Err(Errno::EPERM));
}

#[test]
fn another_thread_ends_the_wait() {
    let mut epoll = Epoll::new().unwrap();
    let event = Event::new().unwrap();
    epoll.add(&event, Interest::READ, TOKEN).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| event.raise());
        assert_eq!(epoll.wait(None), Ok(1));
    });
}

#[test]
fn it_is_closed_on_exec() {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    let epoll = Epoll::new().unwrap();
    let flags = fcntl(&epoll.epoll.0, FcntlArg::F_GETFD).unwrap();
    assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
}
