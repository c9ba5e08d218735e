//! A simulated flash in memory of a board beside that of the image.
#![expect(unsafe_code, reason = "memory by its address")]

use core::sync::atomic::{AtomicBool, Ordering};

use windlass_updater::{Harm, Nor};

/// The PSRAM of the MPS2 board; on `virt`, RAM behind the two megabytes that the linker fills.
const AT: usize = if cfg!(board = "mps2") { 0x2100_0000 } else { 0x8020_0000 };

/// The flash. The operation with this number changes nothing, if there is a number.
pub fn flash(worn: Option<u32>) -> Nor<&'static mut [u8]> {
    let flash = Nor::new(spare());
    match worn {
        Some(nth) => flash.harmed(nth, Harm::Worn),
        None => flash,
    }
}

/// Memory that keeps its bytes when the board starts again. The second call returns nothing of it.
fn spare() -> &'static mut [u8] {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return &mut [];
    }
    // SAFETY: 1 MiB of memory in which the linker puts nothing, and which is lent once.
    unsafe { core::slice::from_raw_parts_mut(AT as *mut u8, 1 << 20) }
}
