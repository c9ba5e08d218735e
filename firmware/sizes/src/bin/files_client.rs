//! The files client, complete: the request, the pump, a checksum.
#![no_std]
#![no_main]

use windlass_core::file::DigestKind;
use windlass_core::session::FilesClient;
use windlass_core::session::files::{Options, Request};
use windlass_sizes::{Flash, image, keep, number, run};

image!({
    let mut request = [0; 128];
    let options =
        Options { digest: Some(DigestKind::Crc32), offset: Some(number().into()), ..Options::NONE };
    if let Ok(len) = (Request { name: b"image", options }).render(&mut request) {
        let request = request.get(..len).unwrap_or_default();
        let mut session = FilesClient::new(request, [0; 64]);
        keep(run(&mut session, &mut Flash::new()).is_ok().into());
        keep(session.reason().map_or(0, <[u8]>::len));
    }
});
