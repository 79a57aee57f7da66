//! `mocker pool`: the btrfs in a file, where the root lies on another file
//! system.

use mocker_backend_btrfs::{DRIVER, pool::Pool};
use mocker_core::engine::Root;
use mocker_core::{Error, ErrorKind, Result};

use super::open;
use crate::output::{self, Format, size};

const EXAMPLES: &str = "\
Examples:
  mocker pool                      what there is
  mocker pool create --size 20G
  mocker pool grow 40G
  mocker pool destroy

The pool is a sparse file, ROOT/pool/btrfs.img. It is made on first use and takes on the host only
what is stored in it. SIZE is a number of bytes, with K, M, G or T for powers of 1024.";

/// Look after the storage pool, a btrfs in a file
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the pool, changing nothing
    Status {
        /// How to show it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Make the pool, where there is none
    Create {
        /// How large it may become [default: what the host has free less a reserve, at most 64G]
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        size: Option<u64>,
    },
    /// Let the pool become larger
    Grow {
        /// How large it may become
        #[arg(value_name = "SIZE", value_parser = parse_size)]
        size: u64,
    },
    /// Unmount the pool; the next command that needs it mounts it again
    Umount,
    /// Remove the pool from the disk
    Destroy {
        /// Remove the images and containers in it as well
        #[arg(short, long)]
        force: bool,
    },
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let root = args.root_directory()?;
        let pool = |root: &Root| Pool::at(root.path());
        match self.action.as_ref().unwrap_or(&Action::Status { format: Format::Table }) {
            Action::Status { format } => status(&Pool::at(&existing(&root)?), *format)?,
            Action::Create { size: asked } => {
                let made = pool(&Root::open(&root)?).create(*asked)?;
                let state = if made.fresh { "Created" } else { "Exists already" };
                output::print(&format!("{state}: a pool of up to {}\n", size(made.size)))?;
            }
            Action::Grow { size: asked } => {
                pool(&Root::open(&existing(&root)?)?).grow(*asked)?;
                output::print(&format!("Grown: a pool of up to {}\n", size(*asked)))?;
            }
            Action::Umount => {
                let pool = pool(&Root::open(&existing(&root)?)?);
                open(args, "pool umount")?.refuse_if_used(DRIVER.name)?;
                pool.umount()?;
                output::print("Unmounted: the pool\n")?;
            }
            Action::Destroy { force } => {
                let pool = pool(&Root::open(&existing(&root)?)?);
                let engine = open(args, "pool destroy")?;
                engine.refuse_if_used(DRIVER.name)?;
                pool.destroy(*force, || engine.forget_backend(DRIVER.name).map(drop))?;
                output::print("Removed: the pool\n")?;
            }
        }
        Ok(0)
    }
}

/// The root, which only `create` makes.
fn existing(root: &std::path::Path) -> Result<std::path::PathBuf> {
    if root.is_dir() {
        return Ok(root.to_owned());
    }
    Err(Error::new(ErrorKind::NotFound, format!("there is no root at '{}', and so no pool", root.display()))
        .with_hint("'mocker pool create' makes one; --root names another place"))
}

fn status(pool: &Pool, format: Format) -> Result<()> {
    let status = pool.status()?;
    if format == Format::Json {
        return output::json(&status);
    }
    if !status.exists {
        return output::print(&format!(
            "there is no pool at {}\nfree on the host: {}\n",
            status.file.display(),
            size(status.host_free)
        ));
    }
    let shown = |path: Option<&std::path::PathBuf>| {
        path.map_or_else(|| "-".to_owned(), |path| path.display().to_string())
    };
    output::print(&format!(
        "file:              {}\nsize:              {}\ntaken on the host: {}\nfree on the host:  {}\n\
         free in the pool:  {}\ndevice:            {}\nmounted at:        {}\n",
        status.file.display(),
        size(status.size),
        size(status.allocated),
        size(status.host_free),
        status.free.map_or_else(|| "not mounted".to_owned(), size),
        shown(status.device.as_ref()),
        shown(status.mounted_at.as_ref()),
    ))
}

/// Reads a size such as `512M`. The units are powers of 1024, as Docker has
/// them.
fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err("a size is a number with K, M, G or T behind it, such as 20G".to_owned()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "a size is a number with K, M, G or T behind it, such as 20G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse_size("4096"), Ok(4096));
        for text in ["2G", "2g", "2GB", "2GiB"] {
            assert_eq!(parse_size(text), Ok(2 << 30), "{text}");
        }
        for bad in ["", "G", "-1", "1.5G", "1X", "99999999999999999999", "999999999T", "1 G"] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
    }
}
