//! Which modules a module may name: the imports that `tidy` allows.

/// A module, and the modules that it may name.
pub(crate) type Layers = &'static [(&'static str, &'static [&'static str])];

/// Which modules a module may name, by crate. Tests may name any.
pub(crate) const LAYERS: [(&str, Layers); 2] = [
    (
        "core/src/",
        &[
            ("bytes", &[]),
            ("decimal", &[]),
            ("text", &["bytes", "decimal"]),
            ("crc", &[]),
            ("rtt", &[]),
            ("time", &[]),
            ("fault", &[]),
            ("transform", &[]),
            ("want", &["fault", "time"]),
            ("wire", &["bytes", "decimal", "text", "fault"]),
            ("file", &["bytes", "time", "fault", "wire"]),
            ("stream", &["bytes", "fault"]),
            ("frame", &["bytes", "crc", "rtt", "time", "want", "fault", "wire"]),
            (
                "session",
                &[
                    "bytes",
                    "decimal",
                    "text",
                    "time",
                    "want",
                    "fault",
                    "file",
                    "wire",
                    "stream",
                    "frame",
                    "transform",
                ],
            ),
            ("responder", &["bytes", "time", "fault", "wire", "transform"]),
            (
                "transfer",
                &["bytes", "rtt", "time", "want", "fault", "file", "wire", "stream", "frame"],
            ),
            ("pool", &["time", "want", "fault", "wire", "stream", "frame"]),
            ("pump", &["bytes", "time", "want", "fault", "file", "session"]),
            ("driver", &["time", "want", "fault", "file", "frame", "session", "pump"]),
            ("laws", &["bytes", "time", "want", "fault", "file", "session", "pump", "responder"]),
        ],
    ),
    (
        "host/src/",
        &[
            ("printable", &[]),
            ("addr", &["printable"]),
            ("sys", &["addr", "error", "printable"]),
            ("standard", &["sys", "error", "printable"]),
            ("digest", &[]),
            ("role", &["sys"]),
            ("log", &["role", "sys", "printable", "standard"]),
            ("drive", &["digest", "sys", "addr", "error", "printable"]),
            ("reactor", &["drive", "sys", "addr", "error", "printable"]),
            ("status", &["printable"]),
            (
                "server",
                &[
                    "status",
                    "reactor",
                    "drive",
                    "digest",
                    "sys",
                    "addr",
                    "error",
                    "printable",
                    "role",
                ],
            ),
            (
                "client",
                &["status", "reactor", "drive", "sys", "addr", "error", "printable", "standard"],
            ),
            (
                "bench",
                &["server", "client", "reactor", "sys", "addr", "error", "printable", "standard"],
            ),
            (
                "cli",
                &[
                    "bench",
                    "status",
                    "server",
                    "client",
                    "reactor",
                    "sys",
                    "addr",
                    "error",
                    "printable",
                    "standard",
                    "role",
                    "log",
                ],
            ),
        ],
    ),
];
