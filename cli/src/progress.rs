//! Shows how far a long copy is, on a terminal, and stops it on Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mocker_core::engine::Progress;
use mocker_core::{Error, ErrorKind, Result};
use nix::sys::signal::{SigSet, Signal};

/// What stops a verb that then cleans up behind itself.
const STOPPING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The first two requests are for a clean end; whoever asks a third time
/// wants no clean-up, and the next command does it.
const PATIENCE: u32 = 3;

/// Watches one copy.
#[derive(Debug)]
pub(crate) struct Watcher {
    bar: ProgressBar,
    entries: AtomicU64,
    bytes: AtomicU64,
    stops: Arc<AtomicU32>,
}

impl Watcher {
    /// Starts watching. To be called before other threads exist: they take
    /// over that the signals are held back.
    ///
    /// # Errors
    /// Those of holding back signals.
    pub(crate) fn start(what: &str, traced: bool) -> Result<Self> {
        // First, so that every thread that is started later holds the signals back too.
        let stops = count_stops()?;
        // Hidden by itself where stderr is no terminal.
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {prefix} ({elapsed})") {
            bar.set_style(style);
        }
        // Lines of a trace would be written into it.
        if traced {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Ok(Self { bar, entries: AtomicU64::new(0), bytes: AtomicU64::new(0), stops })
    }

    /// Takes the line away again.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn check(&self) -> Result<()> {
        if self.stops.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Interrupted, "stopped; nothing was made"))
    }
}

impl Progress for Watcher {
    fn entries(&self, count: u64) -> Result<()> {
        let before = self.entries.fetch_add(count, Ordering::Relaxed);
        if !self.bar.is_hidden() {
            // Not earlier: what is told while the storage is set up has the line to itself.
            if before == 0 {
                self.bar.enable_steady_tick(Duration::from_millis(100));
            }
            let entries = self.entries.load(Ordering::Relaxed);
            let bytes = self.bytes.load(Ordering::Relaxed);
            self.bar.set_prefix(format!("{} entries, {} written", HumanCount(entries), BinaryBytes(bytes)));
        }
        self.check()
    }

    fn directory(&self, _identity: (u64, u64)) -> Result<()> {
        self.check()
    }

    fn data(&self, bytes: u64) -> Result<()> {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.check()
    }
}

/// Counts the requests to stop, in a thread that waits for them.
fn count_stops() -> Result<Arc<AtomicU32>> {
    let failed = |errno: nix::Error| Error::io("cannot hold signals back", std::io::Error::from(errno));
    let signals: SigSet = STOPPING.into_iter().collect();
    signals.thread_block().map_err(failed)?;
    let stops = Arc::new(AtomicU32::new(0));
    let counter = stops.clone();
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            if counter.fetch_add(1, Ordering::Relaxed) + 1 == PATIENCE {
                #[expect(clippy::exit, reason = "the user insists; the journal knows what to clean up")]
                std::process::exit(128 + signal as i32);
            }
        }
    });
    Ok(stops)
}
