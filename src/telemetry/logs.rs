//! Log lines: one event a line on standard error, for people or as JSON, without secrets.
//!
//! Every line passes the redaction by form; fields with a secret's name never reach it. Lines of the client library
//! come through the `log` crate and are kept to warnings unless RUST_LOG asks for more.

use super::redact::{is_secret_field, redact};
use serde::Deserialize;
use std::fmt::Write as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Text,
    Json,
}

/// Starts logging for the process. `level` is a filter such as `info` or `rijan=debug`; RUST_LOG wins when set.
pub fn start(level: &str, format: Format) {
    let fallback = || EnvFilter::new(format!("warn,rijan={level}"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| fallback());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .event_format(Lines { format })
        .finish();
    // Fails when a test started logging before; the first one stands.
    let _ = tracing::subscriber::set_global_default(subscriber);
    let _ = tracing_log::LogTracer::init();
}

struct Lines {
    format: Format,
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(String, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record(field, format!("{value:?}"));
    }
}

impl Fields {
    fn record(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = redact(&value),
            name if name.starts_with("log.") => {}
            name if is_secret_field(name) => self.rest.push((name.to_owned(), "[redacted]".to_owned())),
            name => self.rest.push((name.to_owned(), redact(&value))),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let meta = event.metadata();
        let at = timestamp();
        match self.format {
            Format::Text => {
                let mut line = format!("[{at}] {} {}: {}", meta.level(), meta.target(), fields.message);
                for (name, value) in &fields.rest {
                    write!(line, " {name}={value}")?;
                }
                // A value with a line break must not look like two events.
                writeln!(out, "{}", line.replace(['\n', '\r'], "⏎"))
            }
            Format::Json => {
                let mut line = serde_json::Map::new();
                line.insert("time".into(), at.into());
                line.insert("level".into(), meta.level().to_string().into());
                line.insert("target".into(), meta.target().into());
                line.insert("message".into(), fields.message.into());
                line.extend(fields.rest.into_iter().map(|(name, value)| (name, value.into())));
                writeln!(out, "{}", serde_json::Value::Object(line))
            }
        }
    }
}

/// `YYYY-MM-DD HH:MM:SS` in UTC, by the civil-from-days algorithm (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn timestamp() -> String {
    let seconds = crate::domain::clock::Clock::system().now_s();
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}
