//! What the settings mean: one typed value per area, in the types that the modules take.

use super::tree::Tree;
use crate::api::{ApiSettings, ServeSettings, StreamSettings, UploadSettings};
use crate::domain::allowance::SendKind;
use crate::domain::correction::ConfigErrors;
use crate::domain::secret::Secret;
use crate::egress::{AllowEntry, AllowList, EgressSettings};
use crate::limits::{Limit, LimitSettings};
use crate::media::MediaSettings;
use crate::plugins::{COMPONENT_BYTES_MAX, EngineSettings};
use crate::store::{Keep, StoreSettings};
use crate::telemetry::logs::{Format, LogSettings};
use crate::telemetry::sentry::{Dsn, SentrySettings};
use crate::tenants::TenantsSettings;
use crate::webhooks::DeliverySettings;
use crate::whatsapp::WhatsappSettings;
use axum::http::HeaderValue;
use ipnet::IpNet;
use jiff::tz::TimeZone;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything an instance needs to start.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    pub master_key: Secret,
    pub api: ApiSettings,
    pub limits: LimitSettings,
    pub serve: ServeSettings,
    pub store: StoreSettings,
    pub log: LogSettings,
    pub whatsapp: WhatsappSettings,
    pub webhooks: DeliverySettings,
    pub egress: EgressSettings,
    pub media: MediaSettings,
    pub plugins: EngineSettings,
    pub tenants: TenantsSettings,
    /// `None` keeps events for good.
    /// `None` reports nothing to Sentry.
    pub sentry: Option<SentrySettings>,
}

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const MASTER_KEY_DIGITS: usize = 64;

pub(super) fn read(mut tree: Tree) -> Result<Settings, ConfigErrors> {
    let t = &mut tree;
    let master_key = master_key(t);
    let settings = Settings {
        listen: SocketAddr::new(host(t), port(t)),
        master_key: master_key.clone(),
        api: ApiSettings {
            master_key,
            body_bytes_max: size(t, "server.body_bytes_max", 1_024..=64 << 20),
            pairing_wait: t.seconds("server.pairing_wait_s", 1.0..=120.0),
            queue_while_offline: t.flag("whatsapp.queue_while_offline"),
            cors_origins: t.parsed_list("server.cors_origins", |text| {
                let origin = text == "*" || (text.starts_with("http") && !text.ends_with('/'));
                HeaderValue::from_str(text)
                    .ok()
                    .filter(|_| origin)
                    .ok_or("must be origins such as https://example.com, or *")
            }),
            metrics_token: metrics_token(t),
            trusted_proxies: t.parsed_list("server.trusted_proxies", network),
            streams: StreamSettings {
                per_tenant: whole_or_off(t, "limits.streams", 1..=10_000),
                ping: t.seconds("server.ws_ping_s", 0.1..=300.0),
                stall: t.seconds("server.stream_stall_s", 0.1..=300.0),
            },
            uploads: UploadSettings {
                allowed: t.flag("plugins.uploads"),
                bytes_max: size(t, "plugins.upload_bytes_max", 1_024..=COMPONENT_BYTES_MAX as u64),
            },
            keep: Keep {
                idempotency_keys: Duration::from_secs(3_600 * t.whole("idempotency.keep_hours", 1..=8_760)),
                deliveries: Duration::from_secs(86_400 * t.whole("webhooks.keep_days", 1..=3_650)),
                events_days: whole_or_off(t, "events.keep_days", 1..=3_650),
            },
            reports: None,
        },
        limits: limits(t),
        serve: ServeSettings {
            connections_max: size(t, "server.connections_max", 1..=1_000_000),
            header_read_timeout: t.seconds("server.header_read_timeout_s", 1.0..=300.0),
            shutdown_grace: t.seconds("server.shutdown_grace_s", 0.0..=600.0),
        },
        store: StoreSettings {
            path: PathBuf::from(t.text("store.path")),
            readers: size(t, "store.readers", 1..=64),
            batch_time_max: Duration::from_millis(t.whole("store.batch_ms_max", 1..=1_000)),
            batch_requests_max: size(t, "store.batch_requests_max", 1..=10_000),
            instance_id: Some(t.text("instance_id")).filter(|id| !id.is_empty()),
        },
        log: LogSettings {
            level: log_level(t),
            format: log_format(t),
            folder: Some(t.text("log.dir")).filter(|folder| !folder.is_empty()).map(PathBuf::from),
            keep_days: u32::try_from(t.whole("log.keep_days", 1..=3_650)).unwrap_or(1),
            zone: zone(t),
        },
        whatsapp: WhatsappSettings {
            version: version(t),
            ping_interval: t.seconds("whatsapp.ping_interval_s", 0.1..=300.0),
            ping_timeout: t.seconds("whatsapp.ping_timeout_s", 0.1..=120.0),
            ack_timeout: t.seconds("whatsapp.ack_timeout_s", 0.1..=300.0),
            connect_attempts_max: u32::try_from(t.whole("whatsapp.connect_attempts_max", 0..=1_000_000)).unwrap_or(0),
            start_stagger: Duration::from_millis(t.whole("whatsapp.start_stagger_ms", 0..=60_000)),
            protocol_tap: t.flag("debug.protocol_tap"),
            simulator: simulator(t),
        },
        webhooks: DeliverySettings {
            concurrency: size(t, "webhooks.concurrency", 1..=10_000),
            concurrency_per_webhook: size(t, "webhooks.concurrency_per_webhook", 1..=1_000),
        },
        egress: EgressSettings {
            allow: allow_list(t),
            connect_timeout: t.seconds("webhooks.connect_timeout_s", 0.1..=60.0),
            answer_bytes_max: size(t, "webhooks.answer_bytes_max", 0..=16 << 20),
        },
        media: media(t),
        plugins: EngineSettings {
            cache: Some(t.text("plugins.cache")).filter(|folder| !folder.is_empty()).map(PathBuf::from),
            pool_instances: u32::try_from(t.whole("plugins.pool_instances", 1..=100_000)).unwrap_or(1),
        },
        tenants: TenantsSettings {
            folder: PathBuf::from(t.text("tenants.folder")),
            plugins_folder: PathBuf::from(t.text("plugins.folder")),
        },
        sentry: sentry(t),
    };
    tree.finish()?;
    Ok(settings)
}

/// Every key is looked at, also where no DSN is named.
fn sentry(tree: &mut Tree) -> Option<SentrySettings> {
    let (text, environment) = (tree.text("sentry.dsn"), tree.text("sentry.environment"));
    let traces_sample_rate = tree.part("sentry.traces_sample_rate");
    if text.is_empty() {
        return None;
    }
    match Dsn::parse(&text) {
        Ok(dsn) => Some(SentrySettings { dsn, environment, traces_sample_rate }),
        Err(why) => {
            tree.wrong("sentry.dsn", why);
            None
        }
    }
}

fn size(tree: &mut Tree, key: &str, range: std::ops::RangeInclusive<u64>) -> usize {
    usize::try_from(tree.whole(key, range)).unwrap_or(usize::MAX)
}

fn whole_or_off(tree: &mut Tree, key: &str, range: std::ops::RangeInclusive<u64>) -> Option<u32> {
    Some(u32::try_from(tree.whole_or_off(key, range)?).unwrap_or(u32::MAX))
}

fn host(tree: &mut Tree) -> IpAddr {
    let text = tree.text("server.host");
    if text == "localhost" {
        return IpAddr::from([127, 0, 0, 1]);
    }
    text.parse().unwrap_or_else(|_| {
        tree.wrong("server.host", "must be an IP address such as 127.0.0.1 or 0.0.0.0, or localhost");
        IpAddr::from([127, 0, 0, 1])
    })
}

fn port(tree: &mut Tree) -> u16 {
    u16::try_from(tree.whole("server.port", 0..=u64::from(u16::MAX))).unwrap_or(0)
}

fn media(tree: &mut Tree) -> MediaSettings {
    const DAY_S: u64 = 86_400;
    let folder = tree.text("media.folder");
    let beside = PathBuf::from(tree.text("store.path")).with_file_name("media");
    let received = tree.text("media.received");
    if !["lazy", "eager"].contains(&received.as_str()) {
        tree.wrong("media.received", "must be lazy or eager");
    }
    MediaSettings {
        folder: if folder.is_empty() { beside } else { PathBuf::from(folder) },
        file_bytes_max: tree.whole("media.file_bytes_max", 1_024..=2_u64 << 30),
        tenant_bytes_max: tree.whole("media.tenant_bytes_max", 1_024..=1_u64 << 50),
        keep: tree.whole_or_off("media.keep_days", 1..=36_500).map(|days| Duration::from_secs(days * DAY_S)),
        eager: received == "eager",
        downloads_at_once: size(tree, "media.downloads_at_once", 1..=64),
        fetch_timeout: tree.seconds("media.fetch_timeout_s", 1.0..=120.0),
    }
}

/// From the key itself, or from a file (a mounted secret); not from both.
fn master_key(tree: &mut Tree) -> Secret {
    let (mut text, file) = (tree.text("master_key"), tree.text("master_key_file"));
    if !file.is_empty() {
        if !text.is_empty() {
            tree.wrong("master_key_file", "is set beside master_key; keep one of them");
        }
        match std::fs::read_to_string(&file) {
            Ok(content) => text = content.trim().to_owned(),
            Err(error) => {
                tree.wrong("master_key_file", format!("cannot be read: {error}"));
                return Secret::new(String::new());
            }
        }
    }
    if text.len() != MASTER_KEY_DIGITS || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let how = "set MASTER_KEY to the SHA-256 of a password of yours, 64 hex digits: \
                   printf %s \"$PASSWORD\" | sha256sum";
        tree.wrong("master_key", how);
    }
    Secret::new(text.to_ascii_lowercase())
}

fn metrics_token(tree: &mut Tree) -> Option<Secret> {
    let token = tree.text("metrics.token");
    if token.is_empty() {
        return None;
    }
    if !(16..=256).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        tree.wrong("metrics.token", "must be 16 to 256 letters, digits and signs, without blanks");
    }
    Some(Secret::new(token))
}

fn log_level(tree: &mut Tree) -> String {
    let level = tree.text("log.level").to_ascii_lowercase();
    if !LEVELS.contains(&level.as_str()) {
        tree.wrong("log.level", format!("must be one of {}", LEVELS.join(", ")));
    }
    level
}

fn log_format(tree: &mut Tree) -> Format {
    match tree.text("log.format").as_str() {
        "text" => Format::Text,
        "json" => Format::Json,
        _ => {
            tree.wrong("log.format", "must be text or json");
            Format::Text
        }
    }
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    one.or_else(|_| text.parse()).map_err(|_| "must be addresses or networks such as 10.0.0.0/8")
}

fn zone(tree: &mut Tree) -> TimeZone {
    TimeZone::get(&tree.text("log.timezone")).unwrap_or_else(|_| {
        tree.wrong("log.timezone", "must be a name of the IANA time zone database such as UTC or Asia/Jakarta");
        TimeZone::UTC
    })
}

fn limits(tree: &mut Tree) -> LimitSettings {
    const MINUTE: Duration = Duration::from_secs(60);
    let window = Duration::from_secs(tree.whole("limits.tenant_window_s", 1..=3_600));
    let mut limit = |key: &str, window: Duration| {
        let max = tree.whole_or_off(key, 1..=1_000_000)?;
        Some(Limit { max: u32::try_from(max).unwrap_or(u32::MAX), window })
    };
    LimitSettings {
        tenant: limit("limits.tenant", window),
        public: limit("limits.public_per_minute", MINUTE),
        failed_auth: limit("limits.failed_auth_per_minute", MINUTE),
        sent: SendKind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind, limit(&format!("limits.{}", kind.key()), MINUTE)?)))
            .collect(),
        groups: limit("limits.groups_per_minute", MINUTE),
        pairing: limit("limits.pairing_per_minute", MINUTE),
    }
}

fn version(tree: &mut Tree) -> (u32, u32, u32) {
    match tree.parsed_list("whatsapp.version", str::parse::<u32>).as_slice() {
        [a, b, c] => (*a, *b, *c),
        _ => {
            tree.wrong("whatsapp.version", "must be three whole numbers");
            (0, 0, 0)
        }
    }
}

/// Only a build that skips Meta's certificate can talk to a simulator; any other says so instead of failing later.
fn simulator(tree: &mut Tree) -> Option<url::Url> {
    const KEY: &str = "whatsapp.simulator_url";
    let text = tree.text(KEY);
    if text.is_empty() {
        return None;
    }
    if !cfg!(feature = "sandbox") {
        tree.wrong(KEY, "works only in a build with the cargo feature \"sandbox\"; this build talks to WhatsApp alone");
        return None;
    }
    match url::Url::parse(&text) {
        Ok(url) if url.scheme() == "http" && url.host().is_some() => Some(url),
        _ => {
            tree.wrong(KEY, "must be a URL such as http://127.0.0.1:4000");
            None
        }
    }
}

fn allow_list(tree: &mut Tree) -> AllowList {
    AllowList::new(tree.parsed_list("egress.allow", str::parse::<AllowEntry>))
}

#[cfg(test)]
mod tests {
    use crate::config::{Sources, load};
    use crate::domain::allowance::SendKind;

    fn environment(pairs: &[(&str, &str)]) -> Sources {
        let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sources { environment, ..Sources::default() }
    }

    const KEY: (&str, &str) = ("MASTER_KEY", "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file_and_the_defaults() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, "[server]\nport = 1\nhost = \"0.0.0.0\"\n[log]\nlevel = \"debug\"\n").expect("write");
        let mut sources = environment(&[KEY, ("PORT", "2"), ("RIJAN__LOG__FORMAT", "json")]);
        sources.file = Some(file);
        sources.flags = vec![("server.port".into(), "3".into())];

        let settings = load(&sources).expect("loads");

        assert_eq!(settings.listen.to_string(), "0.0.0.0:3");
        assert_eq!(settings.log.level, "debug");
        assert_eq!(settings.log.format, crate::telemetry::logs::Format::Json);
        assert_eq!(settings.store.readers, 4);
    }

    #[test]
    fn every_error_is_reported_at_once_with_its_key_and_place() {
        let sources = environment(&[("PORT", "99999"), ("LOG_LEVEL", "loud"), ("RIJAN__SERVER__PROT", "1")]);

        let text = load(&sources).expect_err("refused").to_string();

        for part in [
            "server.port: must be a whole number from 0 to 65535 (from the environment variable PORT)",
            "log.level: must be one of error, warn, info, debug, trace (from the environment variable LOG_LEVEL)",
            "server.prot: is not a known key; did you mean server.port? (from the environment variable RIJAN__SERVER__PROT)",
            "master_key: set MASTER_KEY",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_key_that_is_no_secret_hash_is_not_repeated_in_the_error() {
        let text = load(&environment(&[("MASTER_KEY", "my plain password")])).expect_err("refused").to_string();
        assert!(!text.contains("my plain password"));
    }

    #[test]
    fn a_line_that_does_not_parse_is_not_repeated_in_the_error() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, "master_key = \"deadbeefdeadbeef\n").expect("write");
        let sources = Sources { file: Some(file), ..Sources::default() };

        let text = load(&sources).expect_err("refused").to_string();

        assert!(!text.contains("deadbeef"), "{text}");
        assert!(text.contains("line 1") && text.contains("gateway.toml"), "{text}");
    }

    #[test]
    fn texts_lists_and_off_are_read_as_what_their_key_wants() {
        let settings = load(&environment(&[
            KEY,
            ("INSTANCE_ID", "true"),
            ("RIJAN__WHATSAPP__VERSION", "[2, 3000, 5]"),
            ("RIJAN__EGRESS__ALLOW", "10.0.0.0/8, intranet:8080"),
            ("RIJAN__WHATSAPP__QUEUE_WHILE_OFFLINE", "false"),
            ("RATE_LIMIT_MAX", "off"),
            ("RIJAN__LIMITS__POLL_PER_MINUTE", "off"),
            ("TIMEZONE", "Asia/Jakarta"),
            ("DEBUG_PROTOCOL_TAP", "1"),
        ]))
        .expect("loads");

        assert_eq!(settings.store.instance_id.as_deref(), Some("true"));
        assert_eq!(settings.whatsapp.version, (2, 3000, 5));
        assert!(!settings.api.queue_while_offline && settings.whatsapp.protocol_tap);
        assert_eq!(settings.limits.tenant, None);
        assert_eq!(settings.limits.sent.get(&SendKind::Poll), None);
    }

    #[test]
    fn every_kind_of_send_has_a_window_of_its_own() {
        let limits = load(&environment(&[KEY])).expect("loads").limits;

        let windows: Vec<u32> = limits.sent.values().map(|limit| limit.max).collect();

        assert_eq!(limits.sent.keys().copied().collect::<Vec<_>>(), SendKind::ALL);
        assert_eq!(windows, [60, 30, 40, 40, 100, 40, 30, 10]);
        assert_eq!(limits.groups.map(|limit| limit.max), Some(20));
    }

    #[test]
    fn a_section_that_is_none_is_one_error() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, "server = 5\n").expect("write");
        let sources = Sources { file: Some(file), ..environment(&[KEY]) };

        let errors = load(&sources).expect_err("refused");

        assert_eq!(errors.0.len(), 1, "{errors}");
        assert!(errors.to_string().starts_with("server: is a section"), "{errors}");
    }

    #[test]
    fn the_master_key_can_be_in_a_file_of_its_own() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("key");
        std::fs::write(&file, format!("{}\n", KEY.1)).expect("write");
        let path = file.display().to_string();

        let settings = load(&environment(&[("RIJAN__MASTER_KEY_FILE", &path)])).expect("loads");
        assert_eq!(settings.master_key.expose(), KEY.1);

        let text = load(&environment(&[KEY, ("RIJAN__MASTER_KEY_FILE", &path)])).expect_err("both").to_string();
        assert!(text.contains("keep one of them"), "{text}");
    }

    #[test]
    fn sentry_is_off_until_a_dsn_is_named_and_a_wrong_one_is_not_repeated() {
        assert!(load(&environment(&[KEY])).expect("loads").sentry.is_none());
        let dsn = ("SENTRY_DSN", "https://abc@sentry.example.com/1");
        let rate = ("SENTRY_TRACES_SAMPLE_RATE", "0.25");
        let settings = load(&environment(&[KEY, dsn, ("SENTRY_ENVIRONMENT", "staging"), rate])).expect("loads");
        let sentry = settings.sentry.expect("named");
        assert_eq!((sentry.environment.as_str(), sentry.traces_sample_rate), ("staging", 0.25));

        let wrong = [KEY, ("SENTRY_DSN", "https://hunter2"), ("SENTRY_TRACES_SAMPLE_RATE", "2")];
        let text = load(&environment(&wrong)).expect_err("refused").to_string();

        assert!(text.contains("sentry.dsn: must be a DSN") && text.contains("from 0 to 1"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_master_key_of_digits_only_stays_a_text() {
        let digits = "1".repeat(64);
        let settings = load(&environment(&[("MASTER_KEY", &digits)])).expect("loads");
        assert_eq!(settings.master_key.expose(), digits);
    }
}
