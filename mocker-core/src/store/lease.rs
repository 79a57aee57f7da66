//! Leases: how one process knows whether another is still alive.
//!
//! A process that changes anything holds one exclusive file lock for as long
//! as it lives; its intents and its running container carry the lease's token.
//! The kernel drops the lock when the process ends, however it ends. Whoever
//! then gets the lock may clean up after it, and nobody else can meanwhile.
//!
//! The file names the container that the process has forked, from before any
//! record does, so that whoever cleans up can make sure of its end.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sandbox::ProcessIdentity;

/// A held lease. Dropped: the lock is free, and the file is gone.
#[derive(Debug)]
pub struct Lease {
    token: String,
    path: PathBuf,
    lock: File,
}

/// Whose a lease is.
#[derive(Debug)]
pub enum Holder {
    /// A living process has it.
    Alive,
    /// Nobody had it; now we do.
    Dead(Lease),
}

impl Lease {
    /// Takes a fresh lease in the directory `leases`.
    ///
    /// # Errors
    /// Those of making and locking a file there.
    pub fn take(leases: &Path) -> Result<Self> {
        let mut random = [0u8; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| Error::io("cannot draw a lease token", errno))?;
        let token = format!("{:016x}", u64::from_ne_bytes(random));
        match Self::try_take(leases, &token)? {
            Holder::Dead(lease) => Ok(lease),
            // Somebody who looks for leases without an owner has just this one locked.
            Holder::Alive => Self::take(leases),
        }
    }

    /// Asks whose the lease `token` is, and takes it if nobody lives.
    ///
    /// # Errors
    /// Those of opening and locking the file.
    pub fn try_take(leases: &Path, token: &str) -> Result<Holder> {
        let path = leases.join(token);
        loop {
            let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
            let lock = open.map_err(|error| {
                let error = Error::io(
                    format_args!("cannot make '{}', by which others know of us", path.display()),
                    error,
                );
                match error.kind() {
                    ErrorKind::NoSpace => error.with_hint("free some space on the file system of the root"),
                    _ => error.with_hint("the root must be writable; choose another one with --root"),
                }
            })?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Holder::Alive),
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io(format_args!("cannot lock lease {token}"), error));
                }
            }
            let links = lock.metadata().map(|metadata| metadata.nlink());
            match links.map_err(|error| Error::io(format_args!("cannot look at lease {token}"), error))? {
                // Whoever held it removed the file between our two calls. A lock on a file without a
                // name keeps nobody away.
                0 => {}
                _ => return Ok(Holder::Dead(Self { token: token.to_owned(), path, lock })),
            }
        }
    }

    /// Whether nobody who lives has the lease `token`; changes nothing. Only for
    /// leases that were held once.
    ///
    /// # Errors
    /// Those of opening and locking the file.
    pub fn is_free(leases: &Path, token: &str) -> Result<bool> {
        match File::open(leases.join(token)) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => Ok(true),
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(error)) => {
                    Err(Error::io(format_args!("cannot look at lease {token}"), error))
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(Error::io(format_args!("cannot open lease {token}"), error)),
        }
    }

    /// Waits until whoever holds the lease `token` is gone. At once where
    /// there is no such lease.
    ///
    /// # Errors
    /// Those of opening and locking the file.
    pub fn wait_for(leases: &Path, token: &str) -> Result<()> {
        match File::open(leases.join(token)) {
            Ok(file) => file
                .lock_shared()
                .map_err(|error| Error::io(format_args!("cannot wait for lease {token}"), error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io(format_args!("cannot open lease {token}"), error)),
        }
    }

    /// Writes down the container that this process has forked. Survives the
    /// death of any process.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn carry(&self, process: ProcessIdentity) -> Result<()> {
        let line = format!("{} {}\n", process.pid, process.start_time);
        self.lock
            .write_all_at(line.as_bytes(), 0)
            .map_err(|error| Error::io(format_args!("cannot write lease {}", self.token), error))
    }

    /// What the process whose lease this was had forked, if anything.
    ///
    /// # Errors
    /// Those of reading a file.
    pub fn carried(&self) -> Result<Option<ProcessIdentity>> {
        let text = std::fs::read_to_string(&self.path)
            .map_err(|error| Error::io(format_args!("cannot read lease {}", self.token), error))?;
        let Some((pid, start_time)) = text.trim_end().split_once(' ') else { return Ok(None) };
        let parsed = pid.parse().ok().zip(start_time.parse().ok());
        Ok(parsed.map(|(pid, start_time)| ProcessIdentity { pid, start_time }))
    }

    /// The descriptor whose lock it is.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// The token that records carry.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Removed while the lock is held: a process that opened the file before finds that it has
        // lost its name, and starts anew.
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(target: crate::trace::TARGET, %error, "lease file {} stays", self.token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lease_is_alive_and_a_dropped_one_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let lease = Lease::take(folder.path()).unwrap();
        let token = lease.token().to_owned();
        assert!(matches!(Lease::try_take(folder.path(), &token).unwrap(), Holder::Alive));
        drop(lease);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(matches!(Lease::try_take(folder.path(), &token).unwrap(), Holder::Dead(_)));
    }

    #[test]
    fn whoever_takes_a_dead_lease_learns_what_it_carried() {
        let folder = tempfile::tempdir().unwrap();
        let lease = Lease::take(folder.path()).unwrap();
        assert_eq!(lease.carried().unwrap(), None);
        let process = ProcessIdentity { pid: 4321, start_time: 1 << 40 };
        lease.carry(process).unwrap();
        // As if it had been killed: the lock goes, the file stays.
        std::fs::hard_link(folder.path().join(lease.token()), folder.path().join("kept")).unwrap();
        drop(lease);
        let Holder::Dead(lease) = Lease::try_take(folder.path(), "kept").unwrap() else { panic!("alive") };
        assert_eq!(lease.carried().unwrap(), Some(process));
    }

    #[test]
    fn n1_a_lease_never_has_two_holders() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let (holders, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3000 {
                        if let Holder::Dead(lease) = Lease::try_take(folder.path(), "contended").unwrap() {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two have it");
                            holders.fetch_sub(1, Ordering::SeqCst);
                            taken.fetch_add(1, Ordering::Relaxed);
                            drop(lease);
                        }
                    }
                });
            }
        });
        assert!(taken.load(Ordering::Relaxed) > 100);
    }
}
