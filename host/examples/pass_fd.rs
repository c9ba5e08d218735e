//! An open file and a connection are handed to a child (seeds N2 发送接收文件描述符, rows 8 and 10).
//!
//! A pipe carries bytes; the number of a descriptor in them means nothing to another process. A Unix
//! socket carries descriptors (`SCM_RIGHTS`): the child gets *another number* for *the same open
//! file*, with its offset, or for the same connection.
//!
//! Pitfalls: a descriptor needs at least one byte of payload to travel with. What `recvmsg` says
//! has to be looked at: at the end of the stream there is no descriptor, though the place for it is
//! there (in C, it reads as 0: standard input). And a process that passes a connection on closes
//! its own copy, or the client never sees the end of it.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

use windlass::reactor::{EventLoop, StreamEvent, Watch};
use windlass::sys::pass::{Channel, Received};
use windlass::sys::poll::wait;
use windlass::sys::process::{Forked, SingleThreaded, exit, fork};
use windlass::sys::ready::Interest;

fn main() -> Result<(), Box<dyn Error>> {
    let (channel, childs) = Channel::pair()?;
    let child = match fork(&SingleThreaded::check()?)? {
        Forked::Child => {
            drop(channel);
            exit(i32::from(serve(&childs).is_err()));
        }
        Forked::Parent(child) => child,
    };
    drop(childs);

    let mut events = EventLoop::new()?;
    let mut file = tempfile::tempfile()?;
    file.write_all(b"nihao ")?;
    channel.send(b"file", Some(file.as_fd()))?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    events.connect(listener.local_addr()?, None, |client, _, _, event| match event {
        StreamEvent::Eof | StreamEvent::Failed(_) => client.close(),
        _ => {
            print!("{}", String::from_utf8_lossy(client.input()));
            client.consume(usize::MAX);
        }
    })?;
    let (connection, _) = listener.accept()?;
    channel.send(b"connection", Some(connection.as_fd()))?;
    drop(connection);

    println!("parent: the file is {}", file.as_raw_fd());
    let mut answers = 0;
    events.add(channel, Watch::READ, move |channel, file: &mut File, cx, _| {
        let mut buf = [0; 64];
        while let Ok(Received::Message { len, .. }) = channel.recv(&mut buf) {
            println!("child: {}", String::from_utf8_lossy(&buf[..len]));
            answers += 1;
        }
        if answers == 2 {
            println!("parent: the offset is {}", file.stream_position().unwrap_or(0));
            // It closes the channel, and so the child ends.
            cx.remove(cx.current());
        }
    })?;
    events.child(child.pid(), |_, _, exit| println!("the child {exit}"))?;
    events.run(&mut file)?;
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    println!("the file holds {text:?}");
    Ok(())
}

/// The child: takes one job after another, until its parent has closed the channel.
fn serve(channel: &Channel) -> Result<(), Box<dyn Error>> {
    let mut buf = [0; 64];
    loop {
        wait(channel.as_fd(), Interest::READ, None, None);
        let (job, fd) = match channel.recv(&mut buf)? {
            Received::Message { len, fd: Some(fd) } => (&buf[..len], fd),
            Received::Message { fd: None, .. } => return Err("a job without a descriptor".into()),
            Received::Lost { .. } => return Err("the descriptor was lost".into()),
            Received::WouldBlock => continue,
            Received::Eof => return Ok(()),
        };
        let answer = format!("the {} is {}", String::from_utf8_lossy(job), fd.as_raw_fd());
        match job {
            b"file" => File::from(fd).write_all(b"world")?,
            _ => TcpStream::from(fd).write_all(b"client: hello from the child\n")?,
        }
        channel.send(answer.as_bytes(), None)?;
    }
}
