//! What the settings mean: one typed value per area, in the types that the modules take.

use super::tree::{ConfigErrors, Tree};
use crate::api::ServeSettings;
use crate::domain::secret::Secret;
use crate::egress::{AllowEntry, AllowList, EgressSettings};
use crate::store::StoreSettings;
use crate::telemetry::logs::Format;
use crate::webhooks::DeliverySettings;
use crate::whatsapp::WhatsappSettings;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything an instance needs to start.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    pub master_key: Secret,
    pub body_bytes_max: usize,
    pub pairing_wait: Duration,
    pub serve: ServeSettings,
    pub store: StoreSettings,
    pub log_level: String,
    pub log_format: Format,
    pub whatsapp: WhatsappSettings,
    pub queue_while_offline: bool,
    pub webhooks: DeliverySettings,
    pub egress: EgressSettings,
    pub idempotency_keep: Duration,
}

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const MASTER_KEY_DIGITS: usize = 64;

pub(super) fn read(mut tree: Tree) -> Result<Settings, ConfigErrors> {
    let t = &mut tree;
    let settings = Settings {
        listen: SocketAddr::new(host(t), port(t)),
        master_key: master_key(t),
        body_bytes_max: size(t, "server.body_bytes_max", 1_024..=64 << 20),
        pairing_wait: t.seconds("server.pairing_wait_s", 1.0..=120.0),
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
        log_level: log_level(t),
        log_format: log_format(t),
        whatsapp: WhatsappSettings {
            version: version(t),
            ping_interval: t.seconds("whatsapp.ping_interval_s", 0.1..=300.0),
            ping_timeout: t.seconds("whatsapp.ping_timeout_s", 0.1..=120.0),
            ack_timeout: t.seconds("whatsapp.ack_timeout_s", 0.1..=300.0),
            connect_attempts_max: u32::try_from(t.whole("whatsapp.connect_attempts_max", 0..=1_000_000)).unwrap_or(0),
            start_stagger: Duration::from_millis(t.whole("whatsapp.start_stagger_ms", 0..=60_000)),
            simulator: simulator(t),
        },
        queue_while_offline: t.flag("whatsapp.queue_while_offline"),
        webhooks: DeliverySettings {
            concurrency: size(t, "webhooks.concurrency", 1..=10_000),
            concurrency_per_webhook: size(t, "webhooks.concurrency_per_webhook", 1..=1_000),
        },
        egress: EgressSettings {
            allow: allow_list(t),
            connect_timeout: t.seconds("webhooks.connect_timeout_s", 0.1..=60.0),
            answer_bytes_max: size(t, "webhooks.answer_bytes_max", 0..=16 << 20),
        },
        idempotency_keep: Duration::from_secs(3_600 * t.whole("idempotency.keep_hours", 1..=8_760)),
    };
    tree.finish()?;
    Ok(settings)
}

fn size(tree: &mut Tree, key: &str, range: std::ops::RangeInclusive<u64>) -> usize {
    usize::try_from(tree.whole(key, range)).unwrap_or(usize::MAX)
}

fn host(tree: &mut Tree) -> IpAddr {
    let text = tree.text("server.host");
    text.parse().unwrap_or_else(|_| {
        tree.wrong("server.host", "must be an IP address such as 127.0.0.1 or 0.0.0.0");
        IpAddr::from([127, 0, 0, 1])
    })
}

fn port(tree: &mut Tree) -> u16 {
    u16::try_from(tree.whole("server.port", 0..=u64::from(u16::MAX))).unwrap_or(0)
}

fn master_key(tree: &mut Tree) -> Secret {
    let text = tree.text("master_key");
    if text.len() != MASTER_KEY_DIGITS || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let how = "set MASTER_KEY to the SHA-256 of a password of yours, 64 hex digits: \
                   printf %s \"$PASSWORD\" | sha256sum";
        tree.wrong("master_key", how);
    }
    Secret::new(text.to_ascii_lowercase())
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

fn version(tree: &mut Tree) -> (u32, u32, u32) {
    match tree.list::<u32>("whatsapp.version", "three whole numbers").as_slice() {
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
    let mut entries = Vec::new();
    for text in tree.list::<String>("egress.allow", "networks and hosts") {
        match text.parse::<AllowEntry>() {
            Ok(entry) => entries.push(entry),
            Err(error) => tree.wrong("egress.allow", error.to_string()),
        }
    }
    AllowList::new(entries)
}

#[cfg(test)]
mod tests {
    use crate::config::{Sources, load};

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
        assert_eq!(settings.log_level, "debug");
        assert_eq!(settings.log_format, crate::telemetry::logs::Format::Json);
        assert_eq!(settings.store.readers, 4);
    }

    #[test]
    fn every_error_is_reported_at_once_with_its_key_and_place() {
        let sources = environment(&[("PORT", "99999"), ("LOG_LEVEL", "loud"), ("RIJAN__SERVER__PROT", "1")]);

        let text = load(&sources).expect_err("refused").to_string();

        for part in [
            "server.port: must be a whole number from 0 to 65535 (from the environment)",
            "log.level: must be one of error, warn, info, debug, trace (from the environment)",
            "server.prot: is not a known key; did you mean server.port? (from the environment)",
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
    fn a_master_key_of_digits_only_stays_a_text() {
        let digits = "1".repeat(64);
        let settings = load(&environment(&[("MASTER_KEY", &digits)])).expect("loads");
        assert_eq!(settings.master_key.expose(), digits);
    }
}
