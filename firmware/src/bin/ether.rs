//! Files over Ethernet: by TFTP from servers of others, and by the service `files` over TCP, on networks
//! from perfect to one that loses a fifth of all frames.
//!
//! It prints how long each download took on the board, reports to the host how many were right, and ends QEMU with
//! a failure if a byte is wrong, a download does not end, or one takes longer than it may.
//!
//! QEMU's own TFTP server is part of the emulator: where time is a number of instructions, the times of its
//! downloads are exact. Servers on the host have the time of the host, so they get a run in which the board
//! has it too. The ports of these servers are in files; if there are none, the run is the first one.
#![no_std]
#![no_main]

use defmt::println;
use smoltcp::wire::IpEndpoint;
use windlass_core::fault::Fault;
use windlass_core::file::DigestKind;
use windlass_core::session::files::{FilesClient, Options, Request};
use windlass_core::sim::Path;
use windlass_core::transfer::tftp::{Config, Offer, TftpGet, TftpServer};
use windlass_core::transfer::xfer::{XferClient, XferServer};
use windlass_core::transfer::{Timing, parts};
use windlass_core::wire::Score;
use windlass_firmware::cpu::{self, entry};
use windlass_firmware::ether::Ether;
use windlass_firmware::ether::awake::keep_awake;
use windlass_firmware::ether::files::{Compared, Number};
use windlass_firmware::ether::net::{BOARD, HOST, Memory, Net};
use windlass_firmware::{board, clock};
use windlass_updater::{Nor, Updater};

/// One download.
struct Trial {
    what: &'static str,
    from: From,
    /// The network to the board, and from it.
    ways: [Path; 2],
    /// The longest time on the board, in milliseconds.
    most_ms: u64,
    /// How often it is tried.
    tries: u32,
}

impl Trial {
    const fn new(what: &'static str, from: From, ways: [Path; 2], most_ms: u64) -> Self {
        Self { what, from, ways, most_ms, tries: 1 }
    }

    /// The time is that of a host at rest, and may be kept in one of some attempts. A server that gives up after six
    /// datagrams may do so on a busy host.
    const fn in_one_of(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }
}

#[derive(Clone, Copy)]
enum From {
    /// The TFTP server of QEMU. It answers every ACK with the next block, so it has no use for a network
    /// that loses blocks.
    Qemu,
    /// A TFTP server of others on the host.
    Tftp,
    /// Services of windlass on the host.
    Own,
    Xfer,
    Files,
    /// The same service, into the flash of the updater.
    Update,
    /// Servers of this image: the device receives what it sends. All of that is in the emulator, so its times are exact
    /// on any network.
    Board,
    BoardXfer,
    /// By TFTP into the flash of the updater.
    BoardUpdate,
}

/// A window is half of the receive buffer.
const OFFER: Offer = Offer { window: Some(3), ..Offer::DEFAULT };

/// What the transfers of a board have: an ERROR needs no words, and its server takes no files.
const PARTS: u8 = parts::ROUND_TRIPS | parts::EXTENSIONS;

fn tftp_get(name: &'static [u8], offer: Offer) -> TftpGet<&'static [u8], PARTS> {
    TftpGet::with_parts(name, offer, &Timing::CLIENT)
}

/// The sizes of the files in bytes.
const IMAGE: usize = 256 * 1024;
const SMALL: usize = 64 * 1024;

/// Bytes of a slot of the updater.
const SLOT: u32 = 64 * 1024;

/// A network that loses so many of a thousand frames.
const fn loses(loss: u16) -> Path {
    Path { loss, ..Path::PERFECT }
}

/// One that also doubles frames and lets others overtake them.
const BAD: Path = Path { duplicate: 50, reorder: 50, reorder_us: 3000, ..loses(50) };

/// What the board sends to itself passes both ways: a fifth is lost in each direction.
const FIFTH: [Path; 2] = [loses(200), Path::PERFECT];

/// A download from a host at rest takes a tenth of this time.
const HOST_MS: u64 = 60_000;

const TRIALS: [Trial; 15] = {
    use self::From::{Board, BoardUpdate, BoardXfer, Files, Own, Qemu, Tftp, Update, Xfer};
    [
        Trial::new("TFTP from QEMU, 256 KiB", Qemu, [Path::PERFECT; 2], 800),
        Trial::new(
            "TFTP from QEMU, 256 KiB, 5 % of requests lost",
            Qemu,
            [Path::PERFECT, loses(50)],
            1000,
        ),
        Trial::new(
            "TFTP from QEMU, 256 KiB, 20 % of requests lost",
            Qemu,
            [Path::PERFECT, loses(200)],
            6000,
        ),
        Trial::new("TFTP from itself, 64 KiB, 20 % lost", Board, FIFTH, 1500),
        Trial::new("xfer from itself, 64 KiB, 20 % lost", BoardXfer, FIFTH, 2500),
        Trial::new("an update by TFTP from itself, 64 KiB, 20 % lost", BoardUpdate, FIFTH, 12_000),
        Trial::new("TFTP from tftp-hpa, 256 KiB, 20 % lost", Tftp, [loses(200); 2], HOST_MS)
            .in_one_of(3),
        Trial::new(
            "TFTP from tftp-hpa, 256 KiB, 5 % each lost, doubled and late",
            Tftp,
            [BAD; 2],
            HOST_MS,
        )
        .in_one_of(3),
        Trial::new("TFTP from tftp-hpa, 256 KiB, 5 % lost", Tftp, [loses(50); 2], 1000)
            .in_one_of(30),
        Trial::new("TFTP in windows, 256 KiB, 5 % lost", Own, [loses(50); 2], HOST_MS),
        Trial::new("TFTP in windows, 256 KiB, 20 % lost", Own, [loses(200); 2], HOST_MS),
        Trial::new("xfer, 64 KiB, 20 % lost", Xfer, [loses(200); 2], HOST_MS),
        Trial::new("files over TCP, 64 KiB", Files, [Path::PERFECT; 2], HOST_MS),
        Trial::new("files over TCP, 64 KiB, 5 % lost", Files, [loses(50); 2], 2 * HOST_MS),
        Trial::new("an update over TCP, 64 KiB, 5 % lost", Update, [loses(50); 2], 2 * HOST_MS),
    ]
};

#[entry]
fn main() -> ! {
    static mut ETHER: Ether = Ether::new();
    static mut MEMORY: Memory = Memory::new();

    let _uart = board::start();
    let Some(mut net) = Net::start(ETHER, MEMORY, BOARD) else {
        println!("no LAN9118");
        cpu::exit(1);
    };
    let (mut is_right, mut downloads) = (true, 0);
    let qemu = IpEndpoint::new(HOST, 69);
    let names = [&b"tftp"[..], b"own", b"xfer", b"files", b"score"];
    let [tftp, own, xfer, files, score] = names.map(|name| {
        let mut port = Number::default();
        let mut get = tftp_get(name, Offer::DEFAULT);
        let found = net.transfer(&mut get, &mut port, qemu);
        found.ok().filter(|()| port.0 > 0).map(|()| IpEndpoint::new(HOST, port.0))
    });
    if files.is_some() {
        keep_awake();
    }
    for trial in &TRIALS {
        let server = match trial.from {
            From::Qemu | From::Board | From::BoardXfer | From::BoardUpdate => {
                Some(qemu).filter(|_| files.is_none())
            }
            From::Tftp => tftp,
            From::Own => own,
            From::Xfer => xfer,
            From::Files | From::Update => files,
        };
        let Some(server) = server else { continue };
        let is_in_time = (0..trial.tries).any(|_| {
            let (how, ms) = download(&mut net, trial, server);
            // Wrong bytes are wrong in any of them.
            is_right &= how != Err(Fault::Integrity);
            how.is_ok() && ms <= trial.most_ms
        });
        is_right &= is_in_time;
        downloads += u32::from(is_in_time);
    }
    if let Some(to) = score {
        let (perfect, mut report) = (Path::PERFECT, [0; 32]);
        net.ether.becomes(perfect, perfect);
        let name = board::NAME.as_bytes();
        if let Ok(report) = Score::render((!is_right).into(), downloads, name, &mut report) {
            net.report(report, to);
        }
    }
    cpu::exit(u8::from(!is_right))
}

/// Downloads a file. Returns how that ended, and the time on the board in milliseconds.
fn download(net: &mut Net, trial: &Trial, server: IpEndpoint) -> (Result<(), Fault>, u64) {
    let [inward, outward] = trial.ways;
    net.ether.becomes(inward, outward);
    let is_alone = matches!(trial.from, From::Board | From::BoardXfer | From::BoardUpdate);
    net.ether.loops(is_alone);
    let size = match trial.from {
        From::Qemu | From::Tftp | From::Own => IMAGE,
        From::Xfer
        | From::Files
        | From::Update
        | From::Board
        | From::BoardXfer
        | From::BoardUpdate => SMALL,
    };
    let (mut file, mut sent) = (Compared::new(size), Compared::new(size));
    let (lost, begun) = (net.ether.lost(), clock::now());
    let how = match trial.from {
        From::Qemu | From::Tftp | From::Own => {
            let mut get = tftp_get(b"image", OFFER);
            net.transfer(&mut get, &mut file, server)
        }
        From::Board => {
            let mut get = tftp_get(b"small", OFFER);
            let mut server =
                TftpServer::<64, { PARTS | parts::READS }>::with_parts(Config::DEFAULT);
            net.alone([&mut get, &mut server], [&mut file, &mut sent])
        }
        From::BoardXfer => {
            let mut get = XferClient::<_, PARTS>::with_parts(b"small", &Timing::CLIENT);
            let mut server = XferServer::<64, PARTS>::with_parts(Timing::SERVER);
            net.alone([&mut get, &mut server], [&mut file, &mut sent])
        }
        From::Xfer => {
            let mut get = XferClient::<_, PARTS>::with_parts(b"small", &Timing::CLIENT);
            net.transfer(&mut get, &mut file, server)
        }
        From::Files => {
            let mut request = [0; 64];
            let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
            let len = Request { name: b"small", options }.render(&mut request).unwrap_or(0);
            let request = request.get(..len).unwrap_or_default();
            net.session(&mut FilesClient::new(request, [0; 64]), &mut file, server)
        }
        From::Update => update(|updater| {
            let mut request = [0; 96];
            let len = updater.request(b"small", &mut request).unwrap_or(0);
            let mut client = FilesClient::new(request.get(..len).unwrap_or_default(), [0; 96]);
            net.session(&mut client, updater, server)
        }),
        From::BoardUpdate => update(|updater| {
            let get = tftp_get(b"small", OFFER);
            let mut get = get.seek(updater.kept().into()).digest(DigestKind::Crc32);
            let mut server =
                TftpServer::<64, { PARTS | parts::READS }>::with_parts(Config::DEFAULT);
            net.alone([&mut get, &mut server], [updater, &mut sent])
        }),
    };
    let ms = clock::now().since(begun) / 1000;
    let lost = net.ether.lost() - lost;
    println!("{}: {} ms (at most {}), {} frames lost", trial.what, ms, trial.most_ms, lost);
    if let Err(fault) = how {
        println!("{}: {}, at byte {}", trial.what, fault, file.next);
    }
    (how, ms)
}

/// Updates the board, as `updater` does over a UART.
fn update(
    download: impl FnOnce(&mut Updater<Nor<&'static mut [u8]>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut updater = Updater::start(board::flash(None), SLOT)?;
    let how = download(&mut updater);
    while updater.settle(clock::now())?.is_some() {}
    let verdict = updater.verdict(how);
    let boots = updater.boot()?;
    println!("{}: boots {}", verdict, boots);
    if boots.is_some() { how } else { Err(Fault::Integrity) }
}
