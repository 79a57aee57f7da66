//! The tree that images are made of: a given one, or one with as many entries
//! and the same sizes as a minimal Debian.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use walkdir::WalkDir;

use crate::failure::{During, Result};
use crate::process::{command, run};
use crate::programs::Programs;

/// What `debootstrap --variant=minbase bookworm` makes, counted.
const DIRECTORIES: usize = 785;
const FILES: usize = 5329;
const SYMLINKS: usize = 646;

/// The sizes of its files: this share of them is at most so large. In between,
/// the logarithm grows evenly. The largest, one file, is the list of packages.
const SIZES: [(f64, f64); 18] = [
    (0.0, 1.0),
    (0.1, 290.0),
    (0.2, 633.0),
    (0.3, 966.0),
    (0.4, 1519.0),
    (0.5, 2176.0),
    (0.6, 3459.0),
    (0.7, 8709.0),
    (0.8, 18680.0),
    (0.9, 52112.0),
    (0.95, 110_728.0),
    (0.98, 239_864.0),
    (0.99, 421_444.0),
    (0.995, 764_192.0),
    (0.999, 2_190_440.0),
    (0.9998, 3_804_464.0),
    (0.9999, 50_060_337.0),
    (1.0, 50_060_337.0),
];

/// The deepest that directories are nested.
const DEPTH: usize = 7;

/// How many entries a tree has, and how many bytes its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Extent {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// Makes the synthetic tree at `top`, with a static busybox as its `true`.
pub(crate) fn make(programs: &Programs, top: &Path) -> Result<()> {
    // Not the seed of the run: every run has the same tree.
    let mut rng = Rng::with_seed(1);
    fill(top, programs, &mut rng).during(format_args!("make the tree '{}'", top.display()))
}

fn fill(top: &Path, programs: &Programs, rng: &mut Rng) -> std::io::Result<()> {
    for directory in ["", "bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr", "var"] {
        fs::create_dir(top.join(directory))?;
    }
    fs::copy(&programs.busybox, top.join("bin/busybox"))?;
    for name in ["sh", "true"] {
        symlink("busybox", top.join("bin").join(name))?;
    }
    fs::write(top.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(top.join("etc/group"), "root:x:0:\n")?;
    fs::write(top.join("etc/resolv.conf"), "")?;
    fs::write(top.join("etc/hostname"), "bench\n")?;

    let mut directories: Vec<(PathBuf, usize)> = vec![(top.join("usr"), 1), (top.join("var"), 1)];
    while directories.len() < DIRECTORIES {
        let (parent, depth) = directories[rng.usize(..directories.len())].clone();
        if depth < DEPTH {
            let path = parent.join(format!("directory-{}", directories.len()));
            fs::create_dir(&path)?;
            directories.push((path, depth + 1));
        }
    }
    let mut ranks: Vec<usize> = (0..FILES).collect();
    rng.shuffle(&mut ranks);
    for (number, rank) in ranks.into_iter().enumerate() {
        let path = somewhere(&directories, rng).join(format!("file-{number}"));
        write_noise(&path, size_at((rank as f64 + 0.5) / FILES as f64), rng)?;
        let mode = if rng.u8(..8) == 0 { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    for number in 0..SYMLINKS {
        symlink("../somewhere/else", somewhere(&directories, rng).join(format!("link-{number}")))?;
    }
    Ok(())
}

/// A few directories hold most of the entries, as in any distribution.
fn somewhere<'a>(directories: &'a [(PathBuf, usize)], rng: &mut Rng) -> &'a Path {
    let at = (rng.f64().powi(4) * directories.len() as f64) as usize;
    &directories[at].0
}

fn size_at(share: f64) -> u64 {
    let after = SIZES.iter().position(|(until, _)| *until >= share).unwrap_or(SIZES.len() - 1).max(1);
    let ((from, small), (until, large)) = (SIZES[after - 1], SIZES[after]);
    let size = small * (large / small).powf((share - from) / (until - from));
    size as u64
}

/// Writes bytes that no file system can make smaller.
pub(crate) fn write_noise(path: &Path, size: u64, rng: &mut Rng) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(buffer.len()).min(buffer.len());
        rng.fill(&mut buffer[..length]);
        file.write_all(&buffer[..length])?;
        left -= length as u64;
    }
    Ok(())
}

/// Copies a tree with everything that `cp` can keep.
pub(crate) fn copy(programs: &Programs, from: &Path, to: &Path) -> Result<()> {
    run(command(&programs.cp, ["-a", "--"]).args([from, to])).map(drop)
}

/// Counts a tree, its top not included.
pub(crate) fn extent(top: &Path) -> Result<Extent> {
    let mut extent = Extent { entries: 0, bytes: 0 };
    for entry in WalkDir::new(top).min_depth(1) {
        let entry = entry.during(format_args!("walk '{}'", top.display()))?;
        extent.entries += 1;
        if entry.file_type().is_file() {
            extent.bytes += entry.metadata().during(format_args!("walk '{}'", top.display()))?.size();
        }
    }
    Ok(extent)
}

/// Reads a whole tree, so that both sides find it in memory.
pub(crate) fn warm(top: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    for entry in WalkDir::new(top) {
        let entry = entry.during(format_args!("walk '{}'", top.display()))?;
        if entry.file_type().is_file() {
            let mut file =
                File::open(entry.path()).during(format_args!("open '{}'", entry.path().display()))?;
            while file.read(&mut buffer).during(format_args!("read '{}'", entry.path().display()))? > 0 {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_table() {
        assert_eq!(size_at(0.5), 2176);
        assert_eq!(size_at(1.0), 50_060_337);
        let total: u64 = (0..FILES).map(|rank| size_at((rank as f64 + 0.5) / FILES as f64)).sum();
        // The real one has 203 MB.
        assert!((180_000_000..220_000_000).contains(&total), "{total}");
    }
}
