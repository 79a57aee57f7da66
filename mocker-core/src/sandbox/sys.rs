//! The system calls that no crate here wraps, as safe functions that take
//! borrowed descriptors.
#![expect(unsafe_code, reason = "raw system calls; every block says why it is sound")]

use std::ffi::{CString, c_char, c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::mount::MountAttrFlags;

use super::wire;

/// `CLONE_CLEAR_SIGHAND` of linux/sched.h, which does not fit the type that libc gives it.
const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
/// `CLONE_INTO_CGROUP` of linux/sched.h (Linux 5.7), likewise.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// The descriptors that the new process starts with.
pub(super) struct Launch<'a> {
    /// A detached mount whose root is the program file.
    pub(super) program: BorrowedFd<'a>,
    /// The only descriptor above 2 that survives the exec; a failure is reported on it.
    pub(super) control: BorrowedFd<'a>,
    /// Closed first of all: a lock that counts as held while anybody has it.
    pub(super) lock: BorrowedFd<'a>,
    /// Becomes descriptor 0, unless that stays as it is.
    pub(super) stdin: Option<BorrowedFd<'a>>,
    /// Becomes descriptor 1.
    pub(super) stdout: BorrowedFd<'a>,
    /// Becomes descriptor 2.
    pub(super) stderr: BorrowedFd<'a>,
    /// The argument vector.
    pub(super) argv: &'a [CString],
    /// The `CLONE_NEW…` flags.
    pub(super) namespaces: c_int,
    /// The control group of cgroup v2 in which the process starts.
    pub(super) cgroup: Option<BorrowedFd<'a>>,
}

/// Makes a process in new namespaces that executes the program; answers its
/// pid and pidfd. Where the exec fails the process says so on the control
/// socket ([`wire::EXEC_FAILED`]) and ends with 125.
///
/// The caller must have one thread only; needs Linux 5.9 (`clone3`, 5.5 for
/// `CLONE_CLEAR_SIGHAND`, and `close_range`).
pub(super) fn clone_and_exec(launch: &Launch<'_>) -> io::Result<(i32, OwnedFd)> {
    let mut argv: Vec<*const c_char> = launch.argv.iter().map(|arg| arg.as_ptr()).collect();
    argv.push(std::ptr::null());
    let mut pidfd: c_int = -1;
    // SAFETY: clone_args is plain numbers, for which zero is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = (launch.namespaces | libc::CLONE_PIDFD) as u64 | CLONE_CLEAR_SIGHAND;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = launch.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is a fork: the child gets a copy of the
    // address space and of this very stack. The structure outlives the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: this is the child; `argv` ends with a null pointer and, as
        // everything that `launch` borrows, is part of the copied memory.
        0 => unsafe { exec_in_child(launch, argv.as_ptr()) },
        pid => {
            // SAFETY: clone3 succeeded, so it stored a descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok((pid as i32, pidfd))
        }
    }
}

/// The child's side of [`clone_and_exec`]: system calls only, no allocation
/// and no lock, because the memory is a copy taken at an arbitrary moment.
///
/// # Safety
/// To be called in the child of a fork, with a null-terminated `argv`.
unsafe fn exec_in_child(launch: &Launch<'_>, argv: *const *const c_char) -> ! {
    let environment: [*const c_char; 1] = [std::ptr::null()];
    let control = launch.control.as_raw_fd();
    // SAFETY: each is a system call on descriptors that are open, and on
    // memory that lives until the process image is replaced (the closure
    // captures nothing and is inlined or called, never allocated); dup2, fcntl,
    // prctl, write and _exit are async-signal-safe (signal-safety(7)).
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "one argument covers the whole chain")]
    unsafe {
        libc::close(launch.lock.as_raw_fd());
        let ready = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
            && launch.stdin.is_none_or(|stdin| libc::dup2(stdin.as_raw_fd(), 0) == 0)
            && libc::dup2(launch.stdout.as_raw_fd(), 1) == 1
            && libc::dup2(launch.stderr.as_raw_fd(), 2) == 2
            && libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0
            && libc::fcntl(control, libc::F_SETFD, 0) == 0;
        if ready {
            libc::syscall(
                libc::SYS_execveat,
                launch.program.as_raw_fd(),
                c"".as_ptr(),
                argv,
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        let report = wire::exec_failed(*libc::__errno_location());
        libc::write(control, report.as_ptr().cast(), report.len());
        libc::_exit(125)
    }
}

/// Adds attributes to a mount, and cuts it off from what it was cloned from:
/// mount_setattr(2), Linux 5.12.
pub(super) fn mount_setattr(mount: BorrowedFd<'_>, add: MountAttrFlags) -> io::Result<()> {
    set_attributes(mount, add, 0)
}

/// As [`mount_setattr`], for the mounts beneath it as well.
pub(crate) fn mount_setattr_recursively(mount: BorrowedFd<'_>, add: MountAttrFlags) -> io::Result<()> {
    set_attributes(mount, add, libc::AT_RECURSIVE)
}

fn set_attributes(mount: BorrowedFd<'_>, add: MountAttrFlags, flags: c_int) -> io::Result<()> {
    // The modes of access time exclude one another: the old one has to be taken away (mount_setattr(2)).
    let clear = if add.contains(MountAttrFlags::MOUNT_ATTR_NOATIME) { libc::MOUNT_ATTR__ATIME } else { 0 };
    let attr = libc::mount_attr {
        attr_set: u64::from(add.bits()),
        attr_clr: clear,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    // SAFETY: the path is a C string and the structure has the size that is passed.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            &raw const attr,
            size_of_val(&attr),
        )
    };
    checked(outcome)
}

/// Gives the process a session keyring of its own: keyctl(2). A kernel without
/// keys is no error, because then there is nothing to keep apart.
pub(super) fn join_new_session_keyring() -> io::Result<()> {
    /// `KEYCTL_JOIN_SESSION_KEYRING` of linux/keyctl.h.
    const JOIN: c_int = 1;
    // SAFETY: a null name asks for a new anonymous keyring; nothing is read.
    let outcome = unsafe { libc::syscall(libc::SYS_keyctl, JOIN, std::ptr::null::<c_char>()) };
    match checked(outcome) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        other => other,
    }
}

/// Marks every descriptor from `first` on to be closed by the next exec.
pub(super) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: close_range with CLOEXEC changes flags of descriptors only.
    checked(unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })
}

/// Takes over a descriptor that the exec left open.
pub(super) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads a flag, and fails where the descriptor is not open.
    checked(c_long::from(unsafe { libc::fcntl(number, libc::F_GETFD) }))?;
    // SAFETY: it is open, and in a process that was just executed nothing of
    // Rust owns a descriptor above 2.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Gives every signal its default disposition, also those that the C library
/// keeps to itself, and which somebody before us may have ignored.
pub(super) fn default_dispositions() {
    /// The kernel's own `struct sigaction`, all zeros: `SIG_DFL`, no flags, and
    /// an empty mask of 64 signals.
    const DEFAULT: [usize; 4] = [0; 4];
    // SAFETY: the structure is at least as long as the kernel's and installs no
    // code; KILL and STOP are refused, as they should be.
    (1..=64).for_each(|signal: c_int| unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), std::ptr::null::<usize>(), 8usize);
    });
}

/// Whether this process ignores a signal.
pub(super) fn is_ignored(signal: c_int) -> bool {
    // SAFETY: sigaction is plain data, for which zero is a valid value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only reads the present one into `action`.
    let outcome = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    outcome == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Ignores `SIGCHLD`, or stops ignoring it.
pub(super) fn ignore_child_signal(ignore: bool) {
    // SAFETY: neither disposition installs code.
    unsafe { libc::signal(libc::SIGCHLD, if ignore { libc::SIG_IGN } else { libc::SIG_DFL }) };
}

/// Switches the loopback interface of the present network namespace on;
/// `socket` is any socket of the family `AF_INET`.
pub(super) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: ifreq is plain data, for which zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
    // SAFETY: SIOCSIFFLAGS reads an ifreq (netdevice(7)).
    checked(c_long::from(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }))
}

fn checked(outcome: c_long) -> io::Result<()> {
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn structures_have_the_sizes_of_the_kernel_headers() {
        // CLONE_ARGS_SIZE_VER2 and MOUNT_ATTR_SIZE_VER0.
        assert_eq!(size_of::<libc::clone_args>(), 88);
        assert_eq!(size_of::<libc::mount_attr>(), 32);
    }
}
