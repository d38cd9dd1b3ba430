//! Logs: one event a line, JSON or text, to standard output. A full pipe or slow terminal never stops traffic for long:
//! per-message lines are at debug, and only what an administrator would act on is at info and above.

use smsgw_config::{LogFormat, LogSection};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// Changes what is logged while the process runs.
#[derive(Debug, Clone)]
pub(crate) struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Takes a new filter, as in `info,smsgw_node_operator=debug`.
    pub(crate) fn set(&self, log: &LogSection) {
        if let Err(error) = self.0.reload(filter(log)) {
            tracing::error!(%error, "log level could not be changed");
        }
    }
}

fn filter(log: &LogSection) -> EnvFilter {
    // The configuration has checked the words; what the filter does not understand of them is left out. The actor
    // library puts a span with a number around every line at info: noise, unless somebody asks for it.
    EnvFilter::new(format!("ractor=warn,{}", log.level.as_str()))
}

/// A panic becomes an event, in the format of all others: its place and words. Whoever supervises the part says what
/// follows from it.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload();
        let words = said
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| said.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no words");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(
            place,
            panic = words,
            thread = std::thread::current().name(),
            "panic"
        );
    }));
}

/// Starts logging as the configuration says.
pub(crate) fn init(log: &LogSection) -> LogLevel {
    let (filter, handle) = reload::Layer::new(filter(log));
    let lines = match log.format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stdout().is_terminal())
            .boxed(),
    };
    // A second start in one process (the demonstration inside a test) keeps the first one's subscriber.
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .unwrap_or_default();
    log_panics();
    LogLevel(handle)
}
