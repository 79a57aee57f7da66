//! The files of the host's making that a container sees: `resolv.conf`,
//! `hosts` and `hostname`.
//!
//! They lie in the container's own directory, beside its log, and are
//! bind-mounted: what the command writes into them stays there and never gets
//! into an image.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sandbox::{BoundFile, Network};
use crate::tree::leave_out::TargetKind;

/// The most that is taken over from the host's own files.
const LONGEST: u64 = 1 << 20;

const RESOLV_CONF: &str = "resolv.conf";
const HOSTS: &str = "hosts";
const HOSTNAME: &str = "hostname";

/// Directories that the sandbox mounts.
const DIRECTORIES: [&str; 3] = ["proc", "sys", "dev"];

/// Every mount point that a container's tree must have.
pub(super) fn wanted_targets() -> Vec<(PathBuf, TargetKind)> {
    let directories = DIRECTORIES.iter().map(|name| (PathBuf::from(name), TargetKind::Directory));
    let files = ["etc/resolv.conf", "etc/hosts", "etc/hostname"];
    directories.chain(files.iter().map(|name| (PathBuf::from(name), TargetKind::File))).collect()
}

/// The files, as they will lie in `directory`.
pub(super) fn bound(directory: &Path) -> Vec<BoundFile> {
    let bound = |name| BoundFile { source: directory.join(name), target: Path::new("/etc").join(name) };
    [RESOLV_CONF, HOSTS, HOSTNAME].map(bound).into()
}

/// Writes the files into `directory`, which is made where it is missing.
pub(super) fn write(directory: &Path, hostname: &str, network: Network) -> Result<()> {
    make_directory(directory)?;
    let hosts = match network {
        Network::Host => host_file("/etc/hosts")?,
        Network::None => "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".into(),
    };
    let own_name = format!("127.0.1.1\t{hostname}\n");
    let resolv = match network {
        Network::Host => host_file("/etc/resolv.conf")?,
        Network::None => Vec::new(),
    };
    let contents = [
        (RESOLV_CONF, resolv),
        (HOSTS, [hosts, own_name.into_bytes()].concat()),
        (HOSTNAME, format!("{hostname}\n").into_bytes()),
    ];
    contents.iter().try_for_each(|(name, content)| write_file(&directory.join(name), content))
}

pub(super) fn make_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::io(format_args!("cannot make the directory '{}'", path.display()), error))
        }
        _ => Ok(()),
    }
}

fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
        // Whatever the umask: the command may run as any user.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.write_all(content)
    };
    write().map_err(|error| Error::io(format_args!("cannot write '{}'", path.display()), error))
}

/// One of the host's own files; nothing where the host has none.
fn host_file(path: &str) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    match std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut content)) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(format_args!("cannot read the host's '{path}'"), error)),
    }
    if content.last().is_some_and(|byte| *byte != b'\n') {
        content.push(b'\n');
    }
    Ok(content)
}

/// Checks a host name: letters, digits, `-` and `.`, as `sethostname(2)` and
/// the resolver take it.
pub(super) fn check_hostname(name: &str) -> Result<()> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    // The kernel's limit, __NEW_UTS_LEN of linux/utsname.h.
    if name.len() <= 64 && name.split('.').all(label) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("'{}' is not a host name", crate::image::printable(name)),
    )
    .with_hint("use letters, digits, '-' and '.', at most 64 characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for good in ["a", "web-1.example", "ps_4x7k02m9q1tz"] {
            check_hostname(good).unwrap();
        }
        for bad in ["", ".", "a..b", "-a", "a b", "a\n127.0.0.1 evil", &"a".repeat(65)] {
            assert!(check_hostname(bad).is_err(), "{bad:?}");
        }
    }
}
