//! Log lines: one event a line, for people on standard error or as JSON on standard output, and in a file a day if the operator
//! wants one; without secrets.
//!
//! Every line passes the redaction by form; fields with a secret's name never reach it. Lines of the client library
//! come through the `log` crate and are kept to warnings unless RUST_LOG asks for more.

use super::log_files::DailyFiles;
use super::redact::{MASK, is_secret_field, redact};
use super::sentry::Reports;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    /// error, warn, info, debug or trace.
    pub level: String,
    pub format: Format,
    /// Where a file a day is written, if anywhere.
    pub folder: Option<PathBuf>,
    pub keep_days: u32,
    /// Of the lines' times and of the files' days.
    pub zone: TimeZone,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".into(), format: Format::Text, folder: None, keep_days: 14, zone: TimeZone::UTC }
    }
}

/// Starts logging for the process; RUST_LOG wins over the level when it is set. Errors go to `reports` as well. Fails when the
/// folder cannot be written.
pub fn start(settings: &LogSettings, reports: Option<Reports>) -> std::io::Result<()> {
    let files = match &settings.folder {
        Some(folder) => Some(Arc::new(DailyFiles::open(folder, settings.keep_days, today(&settings.zone))?)),
        None => None,
    };
    let fallback = || EnvFilter::new(format!("warn,rijan={}", settings.level));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| fallback());
    let writer = match settings.format {
        Format::Text => BoxMakeWriter::new(std::io::stderr),
        Format::Json => BoxMakeWriter::new(std::io::stdout),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .event_format(Lines { format: settings.format, zone: settings.zone.clone(), files, reports })
        .finish();
    // Fails when a test started logging before; the first one stands.
    let _ = tracing::subscriber::set_global_default(subscriber);
    let _ = tracing_log::LogTracer::init();
    Ok(())
}

fn today(zone: &TimeZone) -> jiff::civil::Date {
    Timestamp::now().to_zoned_datetime(zone.clone()).date()
}

struct Lines {
    format: Format,
    zone: TimeZone,
    files: Option<Arc<DailyFiles>>,
    reports: Option<Reports>,
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.plain(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

impl Fields {
    fn text(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = redact(value),
            // The `log` crate's own; its target and level are read by other means.
            name if name.starts_with("log.") => {}
            name if is_secret_field(name) => drop(self.rest.insert(name.to_owned(), MASK.into())),
            name => drop(self.rest.insert(name.to_owned(), redact(value).into())),
        }
    }

    fn plain(&mut self, field: &Field, value: Value) {
        let name = field.name();
        if !name.starts_with("log.") {
            let shown = if is_secret_field(name) { MASK.into() } else { value };
            self.rest.insert(name.to_owned(), shown);
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
        let normalized = event.normalized_metadata();
        let meta = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let now = Timestamp::now().to_zoned_datetime(self.zone.clone());
        if let Some(files) = &self.files {
            files.write(now.date(), &file_line(&now, *meta.level(), &fields));
        }
        if let (Some(reports), tracing::Level::ERROR) = (&self.reports, *meta.level()) {
            reports.error(meta.target(), &fields.message, &fields.rest);
        }
        match self.format {
            Format::Text => {
                let mut line = format!("[{}] {} {}: {}", time(&now), meta.level(), meta.target(), fields.message);
                for (name, value) in &fields.rest {
                    match value {
                        Value::String(text) => write!(line, " {name}={text}")?,
                        other => write!(line, " {name}={other}")?,
                    }
                }
                writeln!(out, "{}", one_line(&line))
            }
            Format::Json => {
                let line = json!({
                    "time": now.timestamp().to_string(),
                    "level": meta.level().as_str(),
                    "target": meta.target(),
                    "message": fields.message,
                    "fields": fields.rest,
                });
                writeln!(out, "{line}")
            }
        }
    }
}

fn time(now: &ZonedDateTime) -> String {
    now.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `[YYYY-MM-DD HH:MM:SS] env.LEVEL: message {json}`, as readers of the older files expect it.
fn file_line(now: &ZonedDateTime, level: tracing::Level, fields: &Fields) -> String {
    const ENVIRONMENT: &str = if cfg!(feature = "sandbox") { "sandbox" } else { "production" };
    let rest = Value::Object(fields.rest.clone());
    one_line(&format!("[{}] {ENVIRONMENT}.{level}: {} {rest}", time(now), fields.message))
}

/// A value with a line break must not look like two events, and one with an escape must not steer a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic holds it").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(format: Format, log: impl FnOnce()) -> String {
        let written = Written::default();
        let lines = Lines { format, zone: TimeZone::UTC, files: None, reports: None };
        let subscriber = tracing_subscriber::fmt().with_writer(written.clone()).event_format(lines).finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(written.0.lock().expect("no panic holds it").clone()).expect("UTF-8")
    }

    #[test]
    fn json_keeps_numbers_and_a_field_cannot_pass_for_the_level() {
        let line = logged(Format::Json, || tracing::warn!(count = 3, level = "INFO", api_key = "k", "counted"));
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&line["level"], &line["message"]), (&json!("WARN"), &json!("counted")));
        assert_eq!(line["fields"], json!({ "count": 3, "level": "INFO", "api_key": MASK }));
    }

    #[test]
    fn text_stays_on_one_line_and_steers_no_terminal() {
        let line = logged(Format::Text, || tracing::warn!(name = "a\nb\u{1b}[31m", "hello"));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains('\u{1b}') && line.contains("hello name=a"), "{line}");
    }
}
