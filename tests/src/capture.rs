//! Captures of packets that a test makes, and what `tshark` shows of a capture with our dissectors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::Program;

/// A capture in the format of `libpcap`, with a packet in each millisecond.
#[derive(Debug)]
pub struct Capture {
    bytes: Vec<u8>,
    packets: u32,
    /// The next sequence number of each direction of a TCP connection, by its ports.
    next: HashMap<(u16, u16), u32>,
}

impl Capture {
    /// Of IPv4 packets without a link layer.
    pub fn ip() -> Self {
        Self::new(101)
    }

    /// Of the bytes of a serial line: `DLT_USER0`.
    pub fn serial() -> Self {
        Self::new(147)
    }

    fn new(link_type: u32) -> Self {
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, link_type] {
            bytes.extend(u32::to_be_bytes(word));
        }
        Self { bytes, packets: 0, next: HashMap::new() }
    }

    /// One packet, as it is.
    pub fn record(&mut self, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).expect("a packet");
        for word in [self.packets / 1000, self.packets % 1000 * 1000, len, len] {
            self.bytes.extend(word.to_be_bytes());
        }
        self.bytes.extend(bytes);
        self.packets += 1;
    }

    /// The number of packets.
    pub fn len(&self) -> usize {
        self.packets as usize
    }

    /// Whether there is no packet.
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// A UDP datagram from one port to another one.
    pub fn udp(&mut self, from: u16, to: u16, payload: &[u8]) {
        let len = u16::try_from(8 + payload.len()).expect("a datagram");
        let mut head = Vec::new();
        for word in [from, to, len, 0] {
            head.extend(word.to_be_bytes());
        }
        self.packet(17, &head, payload);
    }

    /// A TCP segment, behind the last one from this port to that port.
    pub fn tcp(&mut self, from: u16, to: u16, payload: &[u8]) {
        let seq = *self.next.entry((from, to)).or_insert(1);
        let ack = *self.next.entry((to, from)).or_insert(1);
        let len = u32::try_from(payload.len()).expect("a segment");
        self.next.insert((from, to), seq + len);
        let mut head = Vec::new();
        head.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
        head.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
        // A header of five words, PSH and ACK, a window, no checksum, no urgent data.
        head.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        self.packet(6, &head, payload);
    }

    /// Both ends are 127.0.0.1, so the ports tell them apart.
    fn packet(&mut self, protocol: u8, head: &[u8], payload: &[u8]) {
        let len = u16::try_from(20 + head.len() + payload.len()).expect("a packet");
        let [high, low] = len.to_be_bytes();
        let ip = [0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
        self.record(&[&ip, head, payload].concat());
    }

    /// Has `tshark` dissect it.
    #[track_caller]
    pub fn dissect(&self, options: &str) -> Dissection {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("capture.pcap");
        std::fs::write(&file, &self.bytes).expect("write");
        let dissection = Dissection::of(&file, options);
        assert_eq!(dissection.packets.len(), self.len());
        dissection
    }
}

/// The dissectors.
pub fn dissectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/wireshark/windlass.lua")
}

/// The packets of a capture, as `tshark` shows them.
#[derive(Debug)]
pub struct Dissection {
    packets: Vec<Value>,
}

impl Dissection {
    /// Of a file, with further options. `DLT_USER0` is a line with the link layer.
    #[track_caller]
    pub fn of(file: &Path, options: &str) -> Self {
        // No settings of this user.
        let home = tempfile::tempdir().expect("a folder");
        let tshark =
            Program::new("tshark").env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
        let script = format!("lua_script:{}", dissectors().display());
        // Two passes, so that a request knows its response.
        let tshark = tshark.words("-2 -n -T json --no-duplicate-keys -X").arg(script);
        let tshark = tshark
            .arg("-o")
            .arg("uat:user_dlts:\"User 0 (DLT=147)\",\"windlass.link\",\"0\",\"\",\"0\",\"\"");
        let outcome = tshark.words(options).arg("-r").arg(file).run();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let packets = serde_json::from_slice(&outcome.stdout).expect("JSON");
        let dissection = Self { packets };
        let errors = dissection.all("_ws.lua.error");
        assert!(errors.is_empty(), "{errors:?}");
        dissection
    }

    /// The values of a field in the whole capture.
    pub fn all(&self, field: &str) -> Vec<String> {
        self.packets.iter().flat_map(|packet| values(packet, field)).collect()
    }

    /// The values of a field in each packet.
    pub fn each(&self, field: &str) -> Vec<Vec<String>> {
        self.packets.iter().map(|packet| values(packet, field)).collect()
    }
}

/// The values of a field, in order.
fn values(of: &Value, field: &str) -> Vec<String> {
    match of {
        Value::Object(members) => {
            let found = |(name, value): (&String, &Value)| {
                if name != field {
                    return values(value, field);
                }
                match value {
                    Value::String(text) => vec![text.clone()],
                    Value::Array(texts) if texts.iter().all(Value::is_string) => {
                        texts.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                    }
                    other => values(other, field),
                }
            };
            members.iter().flat_map(found).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| values(item, field)).collect(),
        _ => Vec::new(),
    }
}
