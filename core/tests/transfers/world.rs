//! A transfer from a seed: both ends, two links, two disks.

use windlass_core::fault::Fault;
use windlass_core::file::{Answer, Digest, Op, Storage};
use windlass_core::sim::{Disk, Host, Link, Path, run};
use windlass_core::time::Instant;
use windlass_core::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use windlass_core::transfer::xfer::{XferClient, XferServer};
use windlass_core::transfer::{Timing, Transfer};

/// The longest datagram of a run.
pub(crate) const MTU: usize = 1500;

/// Which conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Xfer,
    Get,
    Put,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub kind: Kind,
    pub path: Path,
    /// Bytes of a block, and blocks of a window. xfer has 1024 and 1.
    pub block: u16,
    pub window: u16,
    /// Bytes of the file.
    pub size: usize,
    /// A CRC-32 goes with the file.
    pub digest: bool,
    pub seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The client, then the server.
    pub how: [Option<Result<(), Fault>>; 2],
    pub is_identical: bool,
    /// Something became valid that is not the file.
    pub is_wrong: bool,
    /// Datagrams that the end with the file sent.
    pub packets: u32,
    /// Until the file was whole, or its receiver had given up.
    pub us: u64,
}

/// A file that is like no other, and no part of it like another.
pub(crate) fn image(len: usize, seed: u64) -> Vec<u8> {
    let mut random = windlass_core::sim::Random::new(seed ^ 0xf11e);
    (0..len).map(|_| random.bits().to_le_bytes()[0]).collect()
}

pub(crate) const HOUR_US: u64 = 3_600_000_000;

impl Case {
    pub(crate) fn run(&self) -> Ran {
        let file = image(self.size, self.seed);
        let timing = Timing::CLIENT;
        let offer = Offer { block: Some(self.block), window: Some(self.window), ..Offer::DEFAULT };
        let config = Config { writes: true, ..Config::DEFAULT };
        match self.kind {
            Kind::Xfer => {
                let mut server = XferServer::<16>::new(Timing::SERVER);
                self.between(&mut XferClient::new(b"image", &timing), &mut server, &file)
            }
            Kind::Get => {
                let mut client = TftpGet::new(b"image", offer, &timing);
                if self.digest {
                    client = client.digest(windlass_core::file::DigestKind::Crc32);
                }
                self.between(&mut client, &mut TftpServer::<16>::new(config), &file)
            }
            Kind::Put => {
                let mut client = TftpPut::new(b"image", self.size as u64, offer, &timing);
                if self.digest {
                    let mut crc = windlass_core::crc::Crc32::new();
                    crc.update(&file);
                    client = client.digest(Digest::Crc32(crc.finish()));
                }
                self.between(&mut client, &mut TftpServer::<16>::new(config), &file)
            }
        }
    }

    /// Runs both ends.
    pub(crate) fn between(
        &self,
        client: &mut dyn Transfer,
        server: &mut dyn Transfer,
        file: &[u8],
    ) -> Ran {
        let (mut image, mut kept) = (Disk::new(file.to_vec()), Disk::new(vec![0; self.size]));
        let is_put = self.kind == Kind::Put;
        let disks = if is_put { [&mut image, &mut kept] } else { [&mut kept, &mut image] };
        // One by one, since both are larger than the stack of a test likes.
        let mut links = Vec::with_capacity(2);
        for seed in [self.seed, !self.seed] {
            links.push(Link::<160, MTU>::new(self.path, seed));
        }
        let mut links: Box<[_; 2]> = links.try_into().expect("two");
        let [mut at_client, mut at_server] =
            disks.map(|disk| Careful { disk, digest: self.digest });
        let outcome = run(
            [&mut Host::<MTU>::new(client, &mut at_client), &mut Host::new(server, &mut at_server)],
            &mut links,
            Instant::from_micros(HOUR_US),
        );
        Ran {
            how: outcome.how,
            is_identical: kept.whole() == Some(file),
            is_wrong: kept.whole().is_some_and(|it| it != file),
            packets: links[usize::from(!is_put)].sent(),
            us: outcome.closed_at[usize::from(is_put)].unwrap_or(outcome.over_at).as_micros(),
        }
    }
}

/// Takes no file without a digest, where one was asked for.
struct Careful<'d> {
    disk: &'d mut Disk<Vec<u8>>,
    digest: bool,
}

impl Storage for Careful<'_> {
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Create(head) if self.digest && head.digest.is_none() => {
                Answer::Failed(Fault::Integrity)
            }
            _ => self.disk.perform(now, op, memory),
        }
    }
}
