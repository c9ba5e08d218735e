//! Memory of the MPS2 board beside that of the image.
#![expect(unsafe_code, reason = "memory by its address")]

use core::sync::atomic::{AtomicBool, Ordering};

/// The PSRAM, in which a flash can be simulated: it keeps its bytes when the board starts again. The second
/// call returns nothing of it.
pub fn psram() -> &'static mut [u8] {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return &mut [];
    }
    // SAFETY: 1 MiB of the PSRAM, in which the linker puts nothing, and which is lent once.
    unsafe { core::slice::from_raw_parts_mut(0x2100_0000 as *mut u8, 1 << 20) }
}
