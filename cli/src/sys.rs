//! What happens when a page of memory that stands for a file cannot be had.
#![expect(unsafe_code, reason = "a signal handler; every block says why it is sound")]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::exit::ENGINE_FAILED;

/// What is said. Nothing can be formatted in a signal handler.
const LOST: &[u8] = b"mocker: cannot read or write a file of the root that is mapped into memory\n  \
    try: the device beneath may be failing: 'dmesg' tells what the kernel met\n";

/// Ends the process with words and a status, where the kernel would end it by
/// SIGBUS: the index that processes share lies in mapped memory, and a file
/// system that its device has failed gives no page of it any more (xfs shuts
/// down: `xfs_force_shutdown`, fs/xfs/xfs_fsops.c, Linux 6.18).
///
/// What had not come to its commit point counts as the work of a dead process, as
/// after every crash.
pub(crate) fn speak_of_lost_pages() {
    let action = SigAction::new(SigHandler::Handler(on_lost_page), SaFlags::SA_RESETHAND, SigSet::empty());
    // It is refused for signals alone that cannot be caught.
    // SAFETY: the handler makes two system calls that signal-safety(7) allows, and touches no memory
    // but a constant.
    let _before = unsafe { sigaction(Signal::SIGBUS, &action) };
}

extern "C" fn on_lost_page(_: nix::libc::c_int) {
    // SAFETY: the constant is as long as it says, and 2 is a number, whatever is open there.
    let _unheard = unsafe { nix::libc::write(2, LOST.as_ptr().cast(), LOST.len()) };
    // SAFETY: ends the process at once, without running anything of it.
    unsafe { nix::libc::_exit(ENGINE_FAILED.into()) }
}
