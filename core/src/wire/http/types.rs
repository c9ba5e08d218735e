//! The media types of files, by the end of their names.

use crate::bytes::is_word;

/// The types of files that are served most, by the part of the name behind its last dot.
///
/// Those of text are sent with `charset=utf-8`. What is not here is `application/octet-stream`, which
/// every client keeps as it is.
pub const TYPES: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("c", "text/plain"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("deb", "application/vnd.debian.binary-package"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("h", "text/plain"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("iso", "application/x-iso9660-image"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("m4a", "audio/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rs", "text/plain"),
    ("sh", "text/plain"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("toml", "application/toml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The type of a file by its name, which is that of a folder's page if it ends with `/`.
#[inline(never)]
pub fn type_of<'t>(name: &[u8], types: &[(&str, &'t str)]) -> &'t str {
    if matches!(name, [] | [.., b'/']) {
        return "text/html";
    }
    let end = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut parts = end.rsplit(|&byte| byte == b'.');
    let ending = parts.next().filter(|_| parts.next().is_some()).unwrap_or_default();
    let found = types.iter().find(|(known, _)| is_word(ending, known.as_bytes()));
    found.map_or("application/octet-stream", |(_, kind)| kind)
}
