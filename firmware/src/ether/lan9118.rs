//! The SMSC LAN9118 of the MPS2 board, polled: frames are moved word by word through its FIFOs.
//!
//! Registers and bits: SMSC LAN9118 data sheet. Address: Arm DAI 0386.

use crate::register::Register;

/// Starts it with this address. Returns whether the device is there.
pub(super) fn start(address: [u8; 6]) -> bool {
    if BYTE_TEST.load() != 0x8765_4321 {
        return false;
    }
    let [low @ .., fifth, sixth] = address;
    mac_store(MAC_ADDRESS_LOW, u32::from_le_bytes(low));
    mac_store(MAC_ADDRESS_HIGH, u32::from_le_bytes([fifth, sixth, 0, 0]));
    TX_CFG.store(TX_ON);
    mac_store(MAC_CR, MAC_FULL_DUPLEX | MAC_GROUPS | MAC_TX_ENABLE | MAC_RX_ENABLE);
    true
}

/// Takes a frame without its checksum, and returns its length. One with an error, or one that is longer
/// than `to`, is dropped: then there may be another one.
pub(super) fn recv(to: &mut [u8]) -> Option<usize> {
    if RX_FIFO_INF.load() & RX_STATUS_USED == 0 {
        return None;
    }
    let status = RX_STATUS.load();
    let len = (status >> 16 & 0x3fff) as usize;
    let mut words = to.chunks_mut(4);
    for _ in 0..len.div_ceil(4) {
        let word = RX_DATA.load().to_le_bytes();
        for (byte, of) in words.next().unwrap_or_default().iter_mut().zip(word) {
            *byte = of;
        }
    }
    let frame = len.saturating_sub(CHECKSUM);
    (status & RX_ERROR == 0 && frame <= to.len()).then_some(frame)
}

/// Whether there is room for the longest frame.
pub(super) fn has_room() -> bool {
    TX_FIFO_INF.load() & 0xffff >= 1536
}

/// Sends a frame, for which there is room.
pub(super) fn send(frame: &[u8]) {
    let len = u32::try_from(frame.len()).unwrap_or(0);
    TX_DATA.store(TX_FIRST | TX_LAST | len);
    TX_DATA.store(len);
    for part in frame.chunks(4) {
        let mut word = [0; 4];
        for (byte, of) in word.iter_mut().zip(part) {
            *byte = *of;
        }
        TX_DATA.store(u32::from_le_bytes(word));
    }
    // The reports on sent frames have to be taken, or the device stops.
    while TX_FIFO_INF.load() & TX_STATUS_USED != 0 {
        let _ = TX_STATUS.load();
    }
}

/// From now on the device receives the frames that it sends, and no others; or it is on the wire again.
pub(super) fn loops(on: bool) {
    mac_store(MAC_MII_DATA, if on { PHY_LOOPS } else { 0 });
    mac_store(MAC_MII, MII_BASIC_CONTROL | MII_WRITE);
}

/// Writes a register of the MAC, which is behind the others.
fn mac_store(register: u32, value: u32) {
    while MAC_CSR_CMD.load() & MAC_BUSY != 0 {}
    MAC_CSR_DATA.store(value);
    MAC_CSR_CMD.store(MAC_BUSY | register);
    while MAC_CSR_CMD.load() & MAC_BUSY != 0 {}
}

/// The bytes behind each received frame.
const CHECKSUM: usize = 4;

const RX_DATA: Register = Register(0x4020_0000);
const TX_DATA: Register = Register(0x4020_0020);
const RX_STATUS: Register = Register(0x4020_0040);
const TX_STATUS: Register = Register(0x4020_0048);
const BYTE_TEST: Register = Register(0x4020_0064);
const TX_CFG: Register = Register(0x4020_0070);
const RX_FIFO_INF: Register = Register(0x4020_007c);
const TX_FIFO_INF: Register = Register(0x4020_0080);
const MAC_CSR_CMD: Register = Register(0x4020_00a4);
const MAC_CSR_DATA: Register = Register(0x4020_00a8);

const TX_ON: u32 = 1 << 1;
const TX_FIRST: u32 = 1 << 13;
const TX_LAST: u32 = 1 << 12;
const TX_STATUS_USED: u32 = 0xff << 16;
const RX_STATUS_USED: u32 = 0xff << 16;
const RX_ERROR: u32 = 1 << 15;

const MAC_BUSY: u32 = 1 << 31;
const MAC_CR: u32 = 1;
const MAC_ADDRESS_HIGH: u32 = 2;
const MAC_ADDRESS_LOW: u32 = 3;
const MAC_MII: u32 = 6;
const MAC_MII_DATA: u32 = 7;
/// The PHY is number 1, and this register of it number 0.
const MII_BASIC_CONTROL: u32 = 1 << 11;
const MII_WRITE: u32 = 1 << 1;
const PHY_LOOPS: u32 = 1 << 14;
/// Frames for every group are received.
const MAC_GROUPS: u32 = 1 << 19;
const MAC_FULL_DUPLEX: u32 = 1 << 20;
const MAC_TX_ENABLE: u32 = 1 << 3;
const MAC_RX_ENABLE: u32 = 1 << 2;
