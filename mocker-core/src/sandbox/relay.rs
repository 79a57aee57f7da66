//! Carries the story of the init stage to the supervisor, so that `--trace`
//! shows the mounts although another process makes them.

use std::fmt;
use std::os::unix::net::UnixStream;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::wire::{self, Fields, Parser, TOLD};
use crate::trace::TARGET;

/// How much of the story somebody listens to: 0 nothing, 1 the sentences, 2
/// the kernel calls too.
pub(super) fn verbosity() -> u8 {
    if tracing::enabled!(target: TARGET, Level::DEBUG) {
        2
    } else {
        u8::from(tracing::enabled!(target: TARGET, Level::INFO))
    }
}

/// Sends every event of this workspace over the control socket.
pub(super) struct Relay {
    pub(super) control: UnixStream,
    pub(super) verbosity: u8,
}

impl Subscriber for Relay {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = if self.verbosity > 1 { Level::DEBUG } else { Level::INFO };
        metadata.target() == TARGET && *metadata.level() <= wanted
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        let mut body = Fields::default();
        body.number(told.micros);
        body.bytes(told.call.as_bytes());
        body.bytes(told.message.as_bytes());
        body.bytes(told.error.as_bytes());
        // Nobody to tell it to is the supervisor's death, which ends this process.
        let _sent = wire::send(&self.control, TOLD, &body.0);
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
    micros: u64,
    call: String,
    message: String,
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

/// Tells again, in this process, what the init stage told.
pub(super) fn retell(body: &[u8]) {
    let mut fields = Parser(body);
    let micros = fields.number().unwrap_or_default();
    let mut text = || String::from_utf8_lossy(fields.bytes().unwrap_or_default());
    let (call, message, error) = (&*text(), text(), text());
    match (call.is_empty(), error.is_empty()) {
        (true, _) => tracing::info!(target: TARGET, "{message}"),
        (false, true) => tracing::debug!(target: TARGET, call, micros, "{message}"),
        (false, false) => tracing::debug!(target: TARGET, call, micros, %error, "{message}"),
    }
}
