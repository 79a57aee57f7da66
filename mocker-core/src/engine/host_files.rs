//! The files of the host's making that a container sees: `resolv.conf`,
//! `hosts` and `hostname`.
//!
//! They lie in memory and are bind-mounted: what the command writes into them
//! never gets into an image, and is gone when it ends.

use std::fs::DirBuilder;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sandbox::{BoundFile, Network};
use crate::tree::leave_out::TargetKind;

/// The most that is taken over from the host's own files.
const LONGEST: u64 = 1 << 20;

/// Directories that the sandbox mounts.
const DIRECTORIES: [&str; 3] = ["proc", "sys", "dev"];

/// Every mount point that a container's tree must have.
pub(super) fn wanted_targets() -> Vec<(PathBuf, TargetKind)> {
    let directories = DIRECTORIES.iter().map(|name| (PathBuf::from(name), TargetKind::Directory));
    let files = ["etc/resolv.conf", "etc/hosts", "etc/hostname"];
    directories.chain(files.iter().map(|name| (PathBuf::from(name), TargetKind::File))).collect()
}

/// The files, with what is in them when the command starts.
pub(super) fn files(hostname: &str, network: Network) -> Result<Vec<BoundFile>> {
    let hosts = match network {
        Network::Host => host_file("/etc/hosts")?,
        Network::None => "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".into(),
    };
    let own_name = format!("127.0.1.1\t{hostname}\n");
    let resolv = match network {
        Network::Host => host_file("/etc/resolv.conf")?,
        Network::None => Vec::new(),
    };
    let bound = |name, content| BoundFile { content, target: Path::new("/etc").join(name) };
    Ok(vec![
        bound("resolv.conf", resolv),
        bound("hosts", [hosts, own_name.into_bytes()].concat()),
        bound("hostname", format!("{hostname}\n").into_bytes()),
    ])
}

pub(super) fn make_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::io(format_args!("cannot make the directory '{}'", path.display()), error))
        }
        _ => Ok(()),
    }
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
