//! Shows what the libraries tell: notices always, and with `--trace` the story
//! of what the storage driver did and the kernel calls it made.

use std::fmt;

use anstyle::{AnsiColor, Style};
use mocker_core::image::escaped;
use mocker_core::trace::{NOTICE, TARGET};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::args::Depth;
use crate::exit;

const STEP: Style = AnsiColor::Green.on_default();
const CALL: Style = Style::new().dimmed();

/// Makes this process tell.
pub(crate) fn install(depth: Option<Depth>) {
    let most = match depth {
        None | Some(Depth::Story) => Level::INFO,
        Some(Depth::Calls) => Level::DEBUG,
    };
    // Cannot fail: this is the first and only one in the process.
    let _set = tracing::subscriber::set_global_default(Teller { story: depth.is_some(), most });
}

struct Teller {
    story: bool,
    most: Level,
}

impl Subscriber for Teller {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match metadata.target() {
            NOTICE => true,
            TARGET => self.story && *metadata.level() <= self.most,
            _ => false,
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        let Told { message, call, micros, error } = told;
        let message = escaped(&message);
        if event.metadata().target() == NOTICE {
            exit::note(message);
        } else if call.is_empty() {
            exit::say(format_args!("{STEP}→{STEP:#} {message}"));
        } else if error.is_empty() {
            exit::say(format_args!("    {CALL}{call} {message}  {micros} µs{CALL:#}"));
        } else {
            exit::say(format_args!("    {CALL}{call} {message}  {micros} µs = {error}{CALL:#}"));
        }
    }

    // Nothing here opens spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Told {
    message: String,
    call: String,
    micros: u64,
    error: String,
}

impl Visit for Told {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "micros" {
            self.micros = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "call" {
            value.clone_into(&mut self.call);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "error" => self.error = format!("{value:?}"),
            _ => {}
        }
    }
}
