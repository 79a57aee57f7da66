//! The kernel calls of loop devices, as safe functions that take borrowed
//! descriptors (loop(4)).

#![expect(unsafe_code, reason = "ioctl(2) takes raw pointers; this is the place for it")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::loop_device as raw_loop;

use crate::sys::checked;

nix::ioctl_none_bad!(loop_ctl_get_free, raw_loop::LOOP_CTL_GET_FREE);
nix::ioctl_write_ptr_bad!(loop_configure, raw_loop::LOOP_CONFIGURE, raw_loop::loop_config);
nix::ioctl_read_bad!(loop_get_status64, raw_loop::LOOP_GET_STATUS64, raw_loop::loop_info64);
nix::ioctl_none_bad!(loop_set_capacity, raw_loop::LOOP_SET_CAPACITY);

/// The number of a loop device that nobody uses; somebody else can take it
/// before we do.
pub(crate) fn free_loop_device(control: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: the opcode takes no argument.
    checked(unsafe { loop_ctl_get_free(control.as_raw_fd()) })
}

/// Attaches a file to a free loop device, to be detached by the kernel when
/// its last user is gone.
pub(crate) fn attach_loop(device: BorrowedFd<'_>, file: BorrowedFd<'_>, direct: bool) -> io::Result<()> {
    let mut config = MaybeUninit::<raw_loop::loop_config>::zeroed();
    // SAFETY: zeroed memory is a value of this structure of integers.
    let config = unsafe { config.assume_init_mut() };
    config.fd = file.as_raw_fd().cast_unsigned();
    config.info.lo_flags = raw_loop::LO_FLAGS_AUTOCLEAR as u32;
    if direct {
        config.info.lo_flags |= raw_loop::LO_FLAGS_DIRECT_IO as u32;
    }
    // SAFETY: `config` is a whole, initialised structure of the type that the opcode is for.
    checked(unsafe { loop_configure(device.as_raw_fd(), &raw const *config) }).map(drop)
}

/// Device and inode number of the file behind a loop device.
pub(crate) fn loop_backing_file(device: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let mut info = MaybeUninit::<raw_loop::loop_info64>::zeroed();
    // SAFETY: the pointer is to memory of the size that the kernel writes.
    checked(unsafe { loop_get_status64(device.as_raw_fd(), info.as_mut_ptr()) })?;
    // SAFETY: zeroed before, filled by the kernel; integers and bytes only.
    let info = unsafe { info.assume_init() };
    Ok((info.lo_device, info.lo_inode))
}

/// Makes a loop device as large as its file has become.
pub(crate) fn update_loop_size(device: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the opcode takes no argument.
    checked(unsafe { loop_set_capacity(device.as_raw_fd()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::raw_loop;

    #[test]
    fn structures_have_the_sizes_of_the_kernel_headers() {
        // Read off linux/loop.h of Linux 6.1 by a C program.
        assert_eq!(size_of::<raw_loop::loop_info64>(), 232);
        assert_eq!(size_of::<raw_loop::loop_config>(), 304);
    }
}
