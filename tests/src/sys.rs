//! Files mapped into memory, which needs calls that the compiler cannot check.

#![expect(unsafe_code, reason = "memory that a file backs is reached through a pointer")]

use std::ffi::c_void;
use std::fs::File;
use std::ptr::null_mut;

use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

/// The beginning of a file in memory, shared with everybody who has it open.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: *mut c_void,
    length: usize,
}

impl Mapping {
    /// Maps the first `length` bytes of a file that is open for both.
    pub(crate) fn of(file: &File, length: usize) -> Self {
        Self::map(file, length, ProtFlags::READ | ProtFlags::WRITE)
    }

    /// Maps the first `length` bytes of a file that is open for reading. Nothing
    /// can be written through that: [`Mapping::fill`] would end the process.
    pub(crate) fn for_reading(file: &File, length: usize) -> Self {
        Self::map(file, length, ProtFlags::READ)
    }

    fn map(file: &File, length: usize, access: ProtFlags) -> Self {
        // SAFETY: The kernel chooses an address where nothing is mapped.
        let mapped = unsafe { mmap(null_mut(), length, access, MapFlags::SHARED, file, 0) };
        Self { address: mapped.expect("map a file"), length }
    }

    /// Sets every byte of it.
    pub(crate) fn fill(&self, byte: u8) {
        // SAFETY: The mapping is `length` bytes long, writable, lives as long as this, and no reference
        // into it is ever made.
        unsafe { self.address.cast::<u8>().write_bytes(byte, self.length) };
    }

    /// The first byte as it is now.
    pub(crate) fn first(&self) -> u8 {
        // SAFETY: The mapping has a byte at least, is readable, and lives as long as this.
        unsafe { self.address.cast::<u8>().read_volatile() }
    }

    /// Writes it to the disk.
    pub(crate) fn sync(&self) {
        // SAFETY: These bytes are mapped, and stay so.
        unsafe { msync(self.address, self.length, MsyncFlags::SYNC) }.expect("sync a mapping");
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: It is mapped, and nothing uses it any more.
        unsafe { munmap(self.address, self.length) }.expect("unmap a file");
    }
}
