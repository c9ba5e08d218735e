//! Two hosts on one link: network namespaces with a pair of virtual interfaces between them.

use std::fs::File;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::unistd::geteuid;

use crate::optional::{has, skipped};
use crate::program::Program;

/// Two hosts, `a` and `b`, with the interfaces `va` and `vb`. They are gone when this is dropped.
///
/// `a` is `192.0.2.1/24` and `fd77::1/64`, `b` is `192.0.2.2/24` and `fd77::2/64`.
#[derive(Debug)]
pub struct Hosts {
    a: String,
    b: String,
}

impl Hosts {
    /// Makes them. `None`, and the reason is told, where this user or this machine cannot.
    #[track_caller]
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !geteuid().is_root() {
            skipped("network namespaces are for root");
            return None;
        }
        if !has("ip") {
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |host: &str| format!("wl{}-{number}-{host}", std::process::id());
        let hosts = Self { a: name("a"), b: name("b") };
        for host in [&hosts.a, &hosts.b] {
            ip(&format!("netns add {host}"));
            ip(&format!("-n {host} link set lo up"));
        }
        hosts.connect();
        Some(hosts)
    }

    /// Puts the link between them.
    #[track_caller]
    pub fn connect(&self) {
        let Self { a, b } = self;
        ip(&format!("-n {a} link add va type veth peer name vb netns {b}"));
        for (host, device, number) in [(a, "va", 1), (b, "vb", 2)] {
            ip(&format!("-n {host} addr add 192.0.2.{number}/24 brd + dev {device}"));
            // An address that is looked for on the link first cannot be used for a second.
            ip(&format!("-n {host} addr add fd77::{number}/64 dev {device} nodad"));
            ip(&format!("-n {host} link set {device} up"));
        }
    }

    /// Takes the link away, with both interfaces.
    #[track_caller]
    pub fn disconnect(&self) {
        ip(&format!("-n {} link del va", self.a));
    }

    /// The program runs on host `a`.
    pub fn on_a(&self, program: &str) -> Program {
        on(&self.a, program)
    }

    /// A UDP socket of host `a`, in this process.
    pub fn udp_on_a(&self) -> UdpSocket {
        udp_on(&self.a)
    }

    /// A UDP socket of host `b`, in this process.
    pub fn udp_on_b(&self) -> UdpSocket {
        udp_on(&self.b)
    }

    /// The program runs on host `b`.
    pub fn on_b(&self, program: &str) -> Program {
        on(&self.b, program)
    }
}

/// A UDP socket of that host, for any process.
#[track_caller]
fn udp_on(host: &str) -> UdpSocket {
    let network = File::open(format!("/run/netns/{host}")).expect("a network namespace");
    // A thread may change its own; what it opens stays there.
    let open = thread::spawn(move || {
        setns(network, CloneFlags::CLONE_NEWNET).expect("enter the network namespace");
        UdpSocket::bind("0.0.0.0:0").expect("bind")
    });
    open.join().expect("a socket")
}

fn on(host: &str, program: &str) -> Program {
    Program::new("ip").words(&format!("netns exec {host}")).arg(program)
}

#[track_caller]
fn ip(words: &str) {
    let outcome = Program::new("ip").words(words).run();
    assert_eq!(outcome.code, Some(0), "ip {words}: {outcome}");
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.a, &self.b] {
            let _ = std::process::Command::new("ip").args(["netns", "del", host]).status();
        }
    }
}
