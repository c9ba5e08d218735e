//! What the image is told by the program that runs it, and tells that: semihosting, as Arm defines it for every
//! processor.
#![expect(unsafe_code, reason = "semihosting takes pointers")]

use super::kind::semihosting;

/// Ends QEMU with this exit code.
pub fn exit(code: u8) -> ! {
    // ADP_Stopped_ApplicationExit.
    let block = [0x2_0026, usize::from(code)];
    loop {
        // SAFETY: SYS_EXIT_EXTENDED takes two words, a reason and a code.
        unsafe { semihosting::syscall(0x20, &block) };
    }
}

/// The arguments that QEMU was given for the image, as far as they fit.
pub fn arguments(buf: &mut [u8; 80]) -> &str {
    let mut block = [buf.as_mut_ptr() as usize, buf.len()];
    // SAFETY: SYS_GET_CMDLINE takes a buffer and its length, and replaces the length by that of the text.
    let failed = unsafe { semihosting::syscall1(0x15, block.as_mut_ptr() as usize) };
    let len = if failed == 0 { block[1] } else { 0 };
    let text = buf.get(..len).unwrap_or_default();
    core::str::from_utf8(text).unwrap_or_default().trim_end_matches('\0')
}
