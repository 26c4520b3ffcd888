//! Errors and panics for Sentry, when the operator names a DSN: what the log says at the level of errors, redacted as it is
//! there, and requests by their route as far as they are sampled.
//!
//! Promises: nobody waits for it; what waits is bounded and what does not fit is counted and dropped; a stop hands over what
//! waits, in bounded time. Without a DSN there is no queue, no task and no hook.
//!
//! Envelopes go over the gateway's own client (docs/security.md says why there is no SDK in between): a POST each, as
//! Sentry's ingestion has it.

use super::redact::redact;
use crate::domain::secret::Secret;
use crate::egress::{AllowList, Egress, EgressSettings, Request};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};
use std::fmt;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Envelopes that wait; one more is dropped.
const WAITING_MAX: usize = 256;
/// Errors of one minute; further ones are dropped, so that a loop of errors does not eat an account's quota.
const ERRORS_PER_MINUTE_MAX: u32 = 60;
/// Characters of a text that is sent; the rest is cut.
const TEXT_CHARS_MAX: usize = 4_096;
/// For one try to hand an envelope over.
const TRY_TIME_MAX: Duration = Duration::from_secs(5);
/// Pauses between the tries for one envelope; after the last it is dropped.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15)];
/// As long as Sentry may make us wait, and does when it says no figure.
const QUIET_MAX: Duration = Duration::from_secs(3_600);
const QUIET_DEFAULT: Duration = Duration::from_secs(60);
/// For what waits, when the process stops.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);
const CLIENT: &str = concat!("rijan/", env!("CARGO_PKG_VERSION"));
const ANSWER_BYTES_MAX: usize = 1_024;
/// How often it is said that Sentry refuses what is brought.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(60);

/// What Sentry counts apart, and can ask to be spared of by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An error or a panic.
    Event,
    /// A request and its time.
    Transaction,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Transaction => "transaction",
        }
    }

    /// Whether Sentry's category is this one; it calls events errors.
    fn is(self, category: &str) -> bool {
        match self {
            Self::Event => matches!(category, "error" | "default"),
            Self::Transaction => category == "transaction",
        }
    }
}

/// Where envelopes go, and by which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dsn {
    endpoint: Url,
    key: Secret,
}

impl Dsn {
    /// `https://KEY@HOST/PROJECT`, as Sentry shows it; what stands before the project stays in front.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be a DSN as Sentry shows it, such as https://KEY@HOST/PROJECT";
        let mut url = Url::parse(text).map_err(|_| WRONG)?;
        let key = url.username().to_owned();
        let (path, project) = url.path().trim_end_matches('/').rsplit_once('/').ok_or(WRONG)?;
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !matches!(url.scheme(), "http" | "https") || !is_plain(&key) || !is_plain(project) {
            return Err(WRONG);
        }
        let path = format!("{path}/api/{project}/envelope/");
        url.set_path(&path);
        url.set_query(None);
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| WRONG)?;
        Ok(Self { endpoint: url, key: Secret::new(key) })
    }
}

#[derive(Debug, Clone)]
pub struct SentrySettings {
    pub dsn: Dsn,
    /// What Sentry calls the environment.
    pub environment: String,
    /// The part of the requests whose time is told, from 0 to 1.
    pub traces_sample_rate: f64,
}

enum Waiting {
    Envelope(Kind, Bytes),
    /// Everything before it has been handed over or dropped.
    Flush(oneshot::Sender<()>),
}

/// Takes reports. Cheap to clone.
#[derive(Clone)]
pub struct Reports(Arc<Inner>);

struct Inner {
    queue: mpsc::Sender<Waiting>,
    environment: String,
    traces_sample_rate: f64,
    /// The minute that began then, and the errors in it.
    minute: Mutex<(Instant, u32)>,
    dropped: AtomicU64,
    /// Nothing is paused for any more.
    ending: CancellationToken,
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reports")
    }
}

/// Starts to take reports, of panics too. Needs a runtime; fails when the client cannot be made.
pub fn start(settings: &SentrySettings) -> Result<Reports, reqwest::Error> {
    // Fails when it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The operator names this address, not a tenant: it may be anywhere.
    let anywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
    let egress = Egress::new(EgressSettings {
        allow: AllowList::new(anywhere),
        connect_timeout: TRY_TIME_MAX,
        answer_bytes_max: ANSWER_BYTES_MAX,
    })?;
    let (queue, waiting) = mpsc::channel(WAITING_MAX);
    let reports = Reports(Arc::new(Inner {
        queue,
        environment: settings.environment.clone(),
        traces_sample_rate: settings.traces_sample_rate,
        minute: Mutex::new((Instant::now(), 0)),
        dropped: AtomicU64::new(0),
        ending: CancellationToken::new(),
    }));
    let courier = Courier {
        egress,
        dsn: settings.dsn.clone(),
        reports: reports.clone(),
        quiet: Quiet::default(),
        complained: None,
    };
    tokio::spawn(courier.run(waiting));
    let (hook, of_panics) = (std::panic::take_hook(), reports.clone());
    std::panic::set_hook(Box::new(move |panic| {
        of_panics.panicked(panic);
        hook(panic);
    }));
    Ok(reports)
}

impl Reports {
    /// A line of the log, redacted already.
    pub(super) fn error(&self, target: &str, message: &str, fields: &Map<String, Value>) {
        if !self.fits_the_minute() {
            return;
        }
        let extra: Map<String, Value> =
            fields.iter().map(|(name, value)| (name.clone(), shortened(value.clone()))).collect();
        let mut event = self.event("error", SystemTime::now());
        event.insert("logger".into(), target.into());
        event.insert("message".into(), json!({ "formatted": cut(message) }));
        event.insert("extra".into(), extra.into());
        self.enqueue(Kind::Event, event);
    }

    fn panicked(&self, panic: &PanicHookInfo<'_>) {
        if !self.fits_the_minute() {
            return;
        }
        let said = redact(panic.payload_as_str().unwrap_or("a panic without words"));
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let mut event = self.event("fatal", SystemTime::now());
        let mechanism = json!({ "type": "panic", "handled": false });
        let exception = json!({ "type": "panic", "value": cut(&said), "mechanism": mechanism });
        event.insert("exception".into(), json!({ "values": [exception] }));
        event.insert("extra".into(), json!({ "place": place, "thread": std::thread::current().name() }));
        self.enqueue(Kind::Event, event);
    }

    /// A request that was answered; the sample decides whether it is told.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        if self.0.traces_sample_rate <= 0.0 || rand::random::<f64>() >= self.0.traces_sample_rate {
            return;
        }
        let now = SystemTime::now();
        let mut event = self.event("info", now);
        let outcome = match status {
            0..400 => "ok",
            404 => "not_found",
            429 => "resource_exhausted",
            400..500 => "invalid_argument",
            _ => "internal_error",
        };
        let trace = json!({
            "trace_id": hex::encode(rand::random::<[u8; 16]>()),
            "span_id": hex::encode(rand::random::<[u8; 8]>()),
            "op": "http.server",
            "status": outcome,
        });
        event.insert("type".into(), "transaction".into());
        event.insert("transaction".into(), format!("{method} {route}").into());
        event.insert("start_timestamp".into(), unix_seconds(now.checked_sub(took).unwrap_or(now)).into());
        event.insert("contexts".into(), json!({ "trace": trace }));
        event.insert("tags".into(), json!({ "http.status_code": status.to_string() }));
        event.insert("spans".into(), json!([]));
        self.enqueue(Kind::Transaction, event);
    }

    /// Hands over what waits; what does not go in time is lost with the process.
    pub async fn flush(&self) {
        self.0.ending.cancel();
        let flushed = async {
            let (done, told) = oneshot::channel();
            self.0.queue.send(Waiting::Flush(done)).await.is_ok() && told.await.is_ok()
        };
        let in_time = tokio::time::timeout(FLUSH_TIME_MAX, flushed).await.unwrap_or(false);
        let dropped = self.0.dropped.load(Ordering::Relaxed);
        if !in_time || dropped > 0 {
            tracing::warn!(dropped, in_time, "some reports did not reach sentry");
        }
    }

    fn event(&self, level: &str, at: SystemTime) -> Map<String, Value> {
        let about = json!({
            "event_id": hex::encode(rand::random::<[u8; 16]>()),
            "timestamp": unix_seconds(at),
            "platform": "other",
            "level": level,
            "environment": self.0.environment,
            "release": concat!("rijan@", env!("CARGO_PKG_VERSION")),
            "sdk": { "name": "rijan", "version": env!("CARGO_PKG_VERSION") },
        });
        if let Value::Object(about) = about { about } else { Map::new() }
    }

    fn fits_the_minute(&self) -> bool {
        let mut minute = self.0.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.0.elapsed() >= Duration::from_secs(60) {
            *minute = (Instant::now(), 0);
        }
        minute.1 += 1;
        let fits = minute.1 <= ERRORS_PER_MINUTE_MAX;
        if !fits {
            self.lost();
        }
        fits
    }

    fn enqueue(&self, kind: Kind, event: Map<String, Value>) {
        // Requests are many: they leave half of the room to errors.
        if kind == Kind::Transaction && self.0.queue.capacity() <= WAITING_MAX / 2 {
            return self.lost();
        }
        let head = json!({ "event_id": event.get("event_id") });
        let body = Value::Object(event).to_string();
        let item = json!({ "type": kind.as_str(), "length": body.len() });
        let envelope = Bytes::from(format!("{head}\n{item}\n{body}\n"));
        if self.0.queue.try_send(Waiting::Envelope(kind, envelope)).is_err() {
            self.lost();
        }
    }

    fn lost(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) => cut(&text).into(),
        other => other,
    }
}

/// Brings envelopes over, one after the other. Nothing of it is logged as an error: that would be one more report.
struct Courier {
    egress: Egress,
    dsn: Dsn,
    reports: Reports,
    quiet: Quiet,
    /// When it was last said that something was refused.
    complained: Option<Instant>,
}

/// Until when Sentry wants to be spared of what.
#[derive(Debug, Default)]
struct Quiet {
    events: Option<Instant>,
    transactions: Option<Instant>,
}

impl Quiet {
    fn holds(&self, kind: Kind, now: Instant) -> bool {
        let until = match kind {
            Kind::Event => self.events,
            Kind::Transaction => self.transactions,
        };
        until.is_some_and(|until| until > now)
    }

    fn keep(&mut self, kind: Kind, until: Instant) {
        match kind {
            Kind::Event => self.events = Some(until),
            Kind::Transaction => self.transactions = Some(until),
        }
    }

    /// `limits` is Sentry's `X-Sentry-Rate-Limits`: `seconds:category;category:scope, ...`, no category being all of them.
    fn ask(&mut self, limits: Option<&str>, retry_after: Option<u64>, now: Instant) {
        let until = |seconds: u64| now + Duration::from_secs(seconds).min(QUIET_MAX);
        let both = [Kind::Event, Kind::Transaction];
        let Some(limits) = limits else {
            let seconds = retry_after.unwrap_or(QUIET_DEFAULT.as_secs());
            both.into_iter().for_each(|kind| self.keep(kind, until(seconds)));
            return;
        };
        for limit in limits.split(',') {
            let mut parts = limit.trim().split(':');
            let Some(seconds) = parts.next().and_then(|seconds| seconds.parse().ok()) else { continue };
            let categories = parts.next().unwrap_or_default();
            let meant = |kind: &Kind| categories.is_empty() || categories.split(';').any(|one| kind.is(one));
            both.into_iter().filter(meant).for_each(|kind| self.keep(kind, until(seconds)));
        }
    }
}

enum Handed {
    Over,
    /// Sentry does not want it, now or at all.
    Refused,
    Failed,
}

impl Courier {
    async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        while let Some(next) = waiting.recv().await {
            match next {
                Waiting::Flush(done) => drop(done.send(())),
                Waiting::Envelope(kind, envelope) => {
                    if !self.bring(kind, &envelope).await {
                        self.reports.lost();
                    }
                }
            }
        }
    }

    async fn bring(&mut self, kind: Kind, envelope: &Bytes) -> bool {
        if self.quiet.holds(kind, Instant::now()) {
            return false;
        }
        for pause in PAUSES.map(Some).into_iter().chain([None]) {
            match self.hand(envelope.clone()).await {
                Handed::Over => return true,
                Handed::Refused => return false,
                Handed::Failed => {}
            }
            let Some(pause) = pause else { break };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.reports.0.ending.cancelled() => return matches!(self.hand(envelope.clone()).await, Handed::Over),
            }
        }
        false
    }

    async fn hand(&mut self, body: Bytes) -> Handed {
        let auth = format!("Sentry sentry_version=7, sentry_client={CLIENT}, sentry_key={}", self.dsn.key.expose());
        let Ok(mut auth) = HeaderValue::try_from(auth) else { return Handed::Refused };
        auth.set_sensitive(true);
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope")),
            (HeaderName::from_static("x-sentry-auth"), auth),
        ];
        let request = Request {
            method: Method::POST,
            url: self.dsn.endpoint.clone(),
            headers,
            body,
            timeout: TRY_TIME_MAX,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        match self.egress.exchange(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => Handed::Over,
            Ok(answer) if answer.status == 429 => {
                let named = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
                let retry_after = named(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
                self.quiet.ask(named("x-sentry-rate-limits"), retry_after, Instant::now());
                self.complain(|| tracing::warn!("sentry takes no more reports for a while"));
                Handed::Refused
            }
            Ok(answer) if answer.status < 500 => {
                self.complain(|| tracing::warn!(status = answer.status, "sentry refused a report; look at the DSN"));
                Handed::Refused
            }
            Ok(answer) => {
                self.complain(|| tracing::warn!(status = answer.status, "sentry did not take a report"));
                Handed::Failed
            }
            Err(error) => {
                self.complain(|| tracing::warn!(%error, "sentry was not reached"));
                Handed::Failed
            }
        }
    }

    /// Once in a while: with every request told, a wrong DSN would be a line for each.
    fn complain(&mut self, say: impl FnOnce()) {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINT_PERIOD) {
            self.complained = Some(Instant::now());
            say();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_says_where_envelopes_go_and_its_key_is_in_no_address() {
        let dsn = Dsn::parse("https://0123abc@o1.ingest.example.com/42").expect("a dsn");
        assert_eq!(dsn.endpoint.as_str(), "https://o1.ingest.example.com/api/42/envelope/");
        assert_eq!(dsn.key.expose(), "0123abc");
        let own = Dsn::parse("http://k:old@sentry.intern:9000/behind/a/proxy/7").expect("a dsn");
        assert_eq!(own.endpoint.as_str(), "http://sentry.intern:9000/behind/a/proxy/api/7/envelope/");
        for wrong in ["", "sentry", "https://example.com/1", "https://k@example.com/", "ftp://k@example.com/1"] {
            assert!(Dsn::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sentry_is_spared_of_what_it_names_and_of_all_when_it_names_nothing() {
        let now = Instant::now();
        for (limits, retry_after, events, transactions) in [
            (None, Some(5), true, true),
            (None, None, true, true),
            (Some("60:transaction:organization"), Some(60), false, true),
            (Some("60:error;default:key, 9:session:key"), None, true, false),
            (Some("2700::organization"), None, true, true),
            (Some("soon:error:key"), None, false, false),
        ] {
            let mut quiet = Quiet::default();
            quiet.ask(limits, retry_after, now);

            let holds = (quiet.holds(Kind::Event, now), quiet.holds(Kind::Transaction, now));
            assert_eq!(holds, (events, transactions), "{limits:?} {retry_after:?}");
            assert!(!quiet.holds(Kind::Event, now + QUIET_MAX + Duration::from_secs(1)), "it ends");
        }
    }
}
