//! The form of a manifest on the disk: a line that names the format and the
//! checksum of the rest, then the rest.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// What the first line begins with. Another format gets another number.
const FORMAT: &str = "mocker-manifest-1 sha256:";

/// The longest manifest that is read. A chain of 500 layers has 4 KiB; what an
/// image declares and a command line come to it.
const LONGEST: u64 = 4 << 20;

/// Puts the line before some content.
pub(super) fn seal(content: &[u8]) -> Vec<u8> {
    let mut line = FORMAT.to_owned();
    for byte in Sha256::digest(content) {
        // Writing to a String cannot fail.
        let _written = write!(line, "{byte:02x}");
    }
    [line.as_bytes(), b"\n", content].concat()
}

/// Reads a file and takes the line off.
///
/// # Errors
/// [`ErrorKind::Corrupt`] where it is no file, too long, of another format, or
/// not what was written; [`ErrorKind::NotFound`]; those of reading.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let describe = |error| Error::io(format_args!("cannot read '{}'", path.display()), error);
    let bad = |why: &str| Error::new(ErrorKind::Corrupt, format!("'{}' is damaged: {why}", path.display()));
    // Never waits for a FIFO, and never follows a link out of the root.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::LOOP) => return Err(bad("it is a link")),
        Err(errno) => return Err(describe(errno.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|errno| describe(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(bad("it is no file"));
    }
    let mut bytes = Vec::new();
    File::from(file).take(LONGEST + 1).read_to_end(&mut bytes).map_err(describe)?;
    if bytes.len() as u64 > LONGEST {
        return Err(bad("it is too long"));
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Err(bad("it breaks off")) };
    let content = bytes.split_off(end + 1);
    if seal(&content).get(..=end) != Some(&bytes) {
        return Err(bad("its checksum is not that of its content"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let sealed = seal(b"{\"a\": 1}\n");
        std::fs::write(&path, &sealed).unwrap();
        assert_eq!(read(&path).unwrap(), b"{\"a\": 1}\n");
        for end in 0..sealed.len() {
            std::fs::write(&path, &sealed[..end]).unwrap();
            assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::Corrupt, "cut at {end}");
        }
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::Corrupt, "changed at {place}");
        }
    }

    #[test]
    fn what_is_no_file_or_has_no_end_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("directory")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), Mode::RUSR).unwrap();
        File::create(path("long")).unwrap().set_len(1 << 40).unwrap();
        for name in ["directory", "link", "fifo", "long"] {
            assert_eq!(read(&path(name)).unwrap_err().kind(), ErrorKind::Corrupt, "{name}");
        }
        assert_eq!(read(&path("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
