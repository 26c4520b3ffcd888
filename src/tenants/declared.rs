//! What a tenant's file means.

use super::section::{Reading, Section};
use crate::domain::allowance::Allowance;
use crate::domain::correction::ConfigErrors;
use crate::domain::delivery::{ATTEMPTS_DEFAULT, ATTEMPTS_MAX, Order, Schedule};
use crate::domain::event::Subscription;
use crate::domain::media::{Received, TenantMedia};
use crate::domain::secret::Secret;
use crate::domain::trial::{TrialMode, WEIGHT_MAX};
use crate::domain::webhook::{
    DEVICES_MAX, EVENTS_MAX, FILTER_ENTRIES_MAX, Filter, HEADERS_MAX, NAME_CHARS_MAX, SHARED_TOKEN_CHARS_MAX,
    TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN, URL_CHARS_MAX, WEBHOOKS_PER_TENANT_MAX,
};
use crate::egress::Egress;
use crate::plugins::PLUGINS_PER_TENANT_MAX;
use crate::plugins::manifest::{Hook, PluginName};
use crate::plugins::settings::{Limits, PluginSettings};
use crate::webhooks::{is_reserved, validate_secret};
use http::{HeaderName, HeaderValue};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::Table;

const LABEL_CHARS_MAX: usize = 100;
const PATH_CHARS_MAX: usize = 4_096;
const SECRETS_MAX: usize = 64;
const HASH_DIGITS: usize = 64;
const REQUESTS_MAX: u32 = 1_000_000;
const WINDOW_S_MAX: u32 = 3_600;
const STREAMS_MAX: u32 = 10_000;
const KEEP_DAYS_MAX: u32 = 3_650;

/// A tenant, as its file declares it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    /// Its name in the folder.
    pub(super) file: String,
    pub(super) slug: PluginName,
    pub(super) name: String,
    pub(super) suspended: bool,
    pub(super) limits: Allowance,
    pub(super) media: TenantMedia,
    pub(super) devices: Vec<Device>,
    pub(super) webhooks: Vec<Webhook>,
    /// In the order of the pipeline.
    pub(super) plugins: Vec<Plugin>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) slug: PluginName,
    pub(super) label: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Webhook {
    pub(super) slug: PluginName,
    pub(super) name: Option<String>,
    pub(super) url: String,
    pub(super) events: Vec<String>,
    pub(super) enabled: bool,
    pub(super) secret: Secret,
    pub(super) headers: BTreeMap<String, Secret>,
    pub(super) retry_count: u32,
    pub(super) timeout_ms: u32,
    /// Slugs; `None` is every device.
    pub(super) devices: Option<Vec<PluginName>>,
    /// The plugin that shapes the bodies.
    pub(super) format: Option<PluginName>,
    pub(super) shared_token: Option<Secret>,
    pub(super) schedule: Schedule,
    pub(super) order: Order,
    pub(super) filter: Filter,
    pub(super) raw: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plugin {
    pub(super) name: PluginName,
    pub(super) component: Origin,
    pub(super) enabled: bool,
    pub(super) settings: PluginSettings,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) trial: Option<Trial>,
}

/// What of a plugin is tried before it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    /// `None`: the plugin's own component.
    pub(super) candidate: Option<Origin>,
    pub(super) mode: TrialMode,
}

/// Where a plugin's component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// As written; relative to the folder of plugins.
    File(String),
    /// One that the store keeps, by its hash in hex.
    Kept(String),
}

const TENANT: [&str; 8] = ["name", "slug", "suspended", "devices", "webhooks", "plugins", "limits", "media"];
const MEDIA: [&str; 2] = ["received", "keep_days"];
const LIMITS: [&str; 13] = [
    "requests",
    "requests_window_s",
    "text_per_minute",
    "media_per_minute",
    "location_per_minute",
    "contact_per_minute",
    "reaction_per_minute",
    "poll_per_minute",
    "forward_per_minute",
    "status_per_minute",
    "groups_per_minute",
    "streams",
    "events_keep_days",
];
const DEVICE: [&str; 2] = ["slug", "label"];
const WEBHOOK: [&str; 20] = [
    "slug",
    "name",
    "url",
    "events",
    "enabled",
    "secret",
    "secret_env",
    "secret_file",
    "retry_count",
    "timeout_ms",
    "headers",
    "devices",
    "format",
    "shared_token",
    "shared_token_env",
    "shared_token_file",
    "schedule",
    "ordering",
    "filter",
    "raw",
];
const FILTER: [&str; 4] = ["chats", "types", "from_me", "is_group"];
const PLUGIN: [&str; 15] = [
    "name",
    "file",
    "sha256",
    "enabled",
    "hooks",
    "config",
    "grants",
    "limits",
    "on_error",
    "isolation",
    "signed_by",
    "secrets",
    "mode",
    "weight",
    "candidate",
];
const CANDIDATE: [&str; 4] = ["file", "sha256", "mode", "weight"];
const GRANTS: [&str; 5] = ["imports", "effects", "hosts", "secrets", "devices"];
const ON_ERROR: [&str; 3] = ["inbound", "outbound", "webhook"];

/// Reads the text of `file`. `folder` is where files with secrets lie, `environment` where variables are looked up.
pub(super) fn read(
    file: &str,
    text: &str,
    folder: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    egress: &Egress,
) -> Result<Declared, ConfigErrors> {
    let reading = Reading { file, folder, environment, errors: Default::default() };
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            // The parser would show the line, and the line may hold a secret: only the place is told.
            let error: toml::de::Error = error;
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            reading.wrong(file, format!("does not read as TOML at line {line}; check its syntax"));
            return Err(ConfigErrors(reading.errors.into_inner()));
        }
    };
    let declared = tenant(&reading, &table, egress);
    let errors = reading.errors.into_inner();
    match declared {
        Some(declared) if errors.is_empty() => Ok(declared),
        _ => Err(ConfigErrors(errors)),
    }
}

/// `None` only beside an error that says why. Everything is read before anything is given up, here and below, so that
/// every error is told.
fn tenant(reading: &Reading<'_>, table: &Table, egress: &Egress) -> Option<Declared> {
    let root = Section::new(reading, table, String::new(), &TENANT);
    let stem = reading.file.strip_suffix(".toml").unwrap_or(reading.file);
    let slug = match root.has("slug") {
        true => slug(&root, "slug"),
        false => root.parsed("slug", Some(stem.to_owned()), |stem| {
            PluginName::parse(stem).map_err(|why| format!("is the file's name when left out, and {why}"))
        }),
    };
    let name = root.needed("name", 1..=NAME_CHARS_MAX);
    if name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        root.wrong("name", "must not be blank");
    }
    let devices: Vec<Option<Device>> = root.sections("devices", &DEVICE, DEVICES_MAX).iter().map(device).collect();
    let slugs: Vec<_> = devices.iter().map(|device| device.as_ref().map(|device| device.slug.clone())).collect();
    unique(&root, "devices", "slug", slugs.iter().map(Option::as_ref));
    let most = usize::try_from(WEBHOOKS_PER_TENANT_MAX).unwrap_or(usize::MAX);
    let webhooks = root.sections("webhooks", &WEBHOOK, most);
    let webhooks: Vec<_> = webhooks.iter().map(|section| webhook(section, &slugs, egress)).collect();
    unique(&root, "webhooks", "slug", webhooks.iter().map(|webhook| webhook.as_ref().map(|webhook| &webhook.slug)));
    let plugins = root.sections("plugins", &PLUGIN, PLUGINS_PER_TENANT_MAX);
    let plugins: Vec<_> = plugins.iter().map(plugin).collect();
    let names: Vec<_> = plugins.iter().map(|plugin| plugin.as_ref().map(|plugin| &plugin.name)).collect();
    unique(&root, "plugins", "name", names.iter().copied());
    for (index, webhook) in webhooks.iter().enumerate() {
        let format = webhook.as_ref().and_then(|webhook| webhook.format.as_ref());
        if format.is_some_and(|format| !names.contains(&Some(format))) {
            root.wrong(&format!("webhooks[{index}].format"), "names no plugin of this file");
        }
    }
    let (suspended, limits, media) = (root.flag("suspended", false), limits(&root), media(&root));
    Some(Declared {
        file: reading.file.to_owned(),
        slug: slug?,
        name: name?,
        suspended,
        limits,
        media,
        devices: devices.into_iter().collect::<Option<_>>()?,
        webhooks: webhooks.into_iter().collect::<Option<_>>()?,
        plugins: plugins.into_iter().collect::<Option<_>>()?,
    })
}

fn limits(root: &Section<'_>) -> Allowance {
    let Some(limits) = root.section("limits", &LIMITS) else { return Allowance::default() };
    Allowance {
        requests: limits.allowed("requests", 1..=REQUESTS_MAX),
        requests_window_s: limits.whole("requests_window_s", 1..=WINDOW_S_MAX),
        text_per_minute: limits.allowed("text_per_minute", 1..=REQUESTS_MAX),
        media_per_minute: limits.allowed("media_per_minute", 1..=REQUESTS_MAX),
        location_per_minute: limits.allowed("location_per_minute", 1..=REQUESTS_MAX),
        contact_per_minute: limits.allowed("contact_per_minute", 1..=REQUESTS_MAX),
        reaction_per_minute: limits.allowed("reaction_per_minute", 1..=REQUESTS_MAX),
        poll_per_minute: limits.allowed("poll_per_minute", 1..=REQUESTS_MAX),
        forward_per_minute: limits.allowed("forward_per_minute", 1..=REQUESTS_MAX),
        status_per_minute: limits.allowed("status_per_minute", 1..=REQUESTS_MAX),
        groups_per_minute: limits.allowed("groups_per_minute", 1..=REQUESTS_MAX),
        streams: limits.allowed("streams", 1..=STREAMS_MAX),
        events_keep_days: limits.allowed("events_keep_days", 1..=KEEP_DAYS_MAX),
    }
}

fn media(root: &Section<'_>) -> TenantMedia {
    const DAYS_MAX: u32 = 36_500;
    let Some(media) = root.section("media", &MEDIA) else { return TenantMedia::default() };
    TenantMedia {
        received: media.parsed("received", media.text("received", 1..=NAME_CHARS_MAX), Received::parse),
        keep_days: media.whole("keep_days", 1..=DAYS_MAX),
    }
}

fn slug(section: &Section<'_>, name: &str) -> Option<PluginName> {
    section.parsed(name, section.needed(name, 0..=NAME_CHARS_MAX), PluginName::parse)
}

/// Complains of every name that was there before.
fn unique<'n>(root: &Section<'_>, list: &str, key: &str, names: impl Iterator<Item = Option<&'n PluginName>>) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if name.is_some_and(|name| !seen.insert(name)) {
            root.wrong(&format!("{list}[{index}].{key}"), "is there twice");
        }
    }
}

fn device(section: &Section<'_>) -> Option<Device> {
    let (slug, label) = (slug(section, "slug"), section.needed("label", 1..=LABEL_CHARS_MAX));
    Some(Device { slug: slug?, label: label? })
}

fn webhook(section: &Section<'_>, devices: &[Option<PluginName>], egress: &Egress) -> Option<Webhook> {
    let slug = slug(section, "slug");
    let url = section
        .parsed("url", section.needed("url", 1..=URL_CHARS_MAX), |url| egress.check_url(url).map(|_| url.to_owned()));
    if !section.has("events") {
        section.wrong("events", "is required");
    }
    let events = section.list("events", 1..=EVENTS_MAX, |name| match Subscription::parse(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err("is not the name of an event; use one of the list in the documentation, or \"*\""),
    });
    let secret = section.secret("secret").filter(|secret| {
        let checked = validate_secret(secret.expose());
        checked.map_err(|why| section.wrong("secret", why.to_string())).is_ok()
    });
    let headers: BTreeMap<String, Secret> = section.secrets("headers", HEADERS_MAX).into_iter().collect();
    for (name, value) in &headers {
        let key = format!("headers.{name}");
        if is_reserved(name) {
            section.wrong(&key, "is set by the gateway");
        } else if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value.expose()).is_err() {
            section.wrong(&key, "is not a valid header");
        }
    }
    let only = section.list("devices", 1..=DEVICES_MAX, |text| match PluginName::parse(text) {
        Ok(slug) if devices.contains(&Some(slug.clone())) => Ok(slug),
        _ => Err("names no device of this file; leave devices out for all"),
    });
    let format = section.parsed("format", section.text("format", 0..=NAME_CHARS_MAX), PluginName::parse);
    let has_token = ["shared_token", "shared_token_env", "shared_token_file"].iter().any(|form| section.has(form));
    let shared_token = if has_token { section.secret("shared_token") } else { None };
    if shared_token.as_ref().is_some_and(|token| !(1..=SHARED_TOKEN_CHARS_MAX).contains(&token.expose().len())) {
        section.wrong("shared_token", format!("must have 1 to {SHARED_TOKEN_CHARS_MAX} characters"));
    }
    let word = |name: &str| section.text(name, 0..=NAME_CHARS_MAX);
    let schedule = section.parsed("schedule", word("schedule"), Schedule::parse).unwrap_or_default();
    let order = section.parsed("ordering", word("ordering"), Order::parse).unwrap_or_default();
    if let Err(why) = order.fits(schedule) {
        section.wrong("ordering", why);
    }
    let filter = section.section("filter", &FILTER).map(|inner| filter(&inner)).unwrap_or_default();
    let name = section.text("name", 1..=NAME_CHARS_MAX);
    let enabled = section.flag("enabled", true);
    let raw = section.flag("raw", false);
    let retry_count = section.whole("retry_count", 1..=ATTEMPTS_MAX).unwrap_or(ATTEMPTS_DEFAULT);
    let timeout_ms = section.whole("timeout_ms", TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).unwrap_or(TIMEOUT_MS_DEFAULT);
    Some(Webhook {
        slug: slug?,
        name,
        url: url?,
        events: events?,
        enabled,
        secret: secret?,
        headers,
        retry_count,
        timeout_ms,
        devices: only,
        format,
        shared_token,
        schedule,
        order,
        filter,
        raw,
    })
}

fn filter(section: &Section<'_>) -> Filter {
    let listed = |name: &str| {
        section.list(name, 1..=FILTER_ENTRIES_MAX, |text| match text.is_empty() {
            true => Err("must not be empty"),
            false => Ok(text.to_owned()),
        })
    };
    let flag = |name: &str| section.has(name).then(|| section.flag(name, false));
    Filter { chats: listed("chats"), types: listed("types"), from_me: flag("from_me"), is_group: flag("is_group") }
}

fn plugin(section: &Section<'_>) -> Option<Plugin> {
    let name = slug(section, "name");
    let component = origin(section);
    let trial = trial(section);
    let limits: Vec<&str> = Limits::TABLE.iter().map(|(name, ..)| *name).collect();
    let secrets: BTreeMap<String, Secret> = section.secrets("secrets", SECRETS_MAX).into_iter().collect();
    let settings = PluginSettings {
        hooks: section.typed::<BTreeSet<Hook>>("hooks"),
        config: section.json("config").unwrap_or_default(),
        grants: section.typed_section("grants", &GRANTS).unwrap_or_default(),
        limits: section.typed_section("limits", &limits).unwrap_or_default(),
        on_error: section.typed_section("on_error", &ON_ERROR).unwrap_or_default(),
        isolation: section.typed("isolation").unwrap_or_default(),
        signed_by: section.typed("signed_by").unwrap_or_default(),
    };
    for granted in &settings.grants.secrets {
        if !secrets.contains_key(granted) {
            section.wrong("grants.secrets", format!("grants {granted:?}, which is not below [plugins.secrets]"));
        }
    }
    let enabled = section.flag("enabled", true);
    Some(Plugin { name: name?, component: component?, enabled, settings, secrets, trial })
}

fn origin(section: &Section<'_>) -> Option<Origin> {
    let file = section.text("file", 1..=PATH_CHARS_MAX);
    let hash = section.parsed("sha256", section.text("sha256", HASH_DIGITS..=HASH_DIGITS), |hash| {
        let hex = hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex { Ok(hash.to_owned()) } else { Err("must be 64 lower case hex digits") }
    });
    if section.has("file") == section.has("sha256") {
        section.wrong("file", "needs one of file and sha256");
    }
    file.map(Origin::File).or(hash.map(Origin::Kept))
}

/// A candidate with its mode or weight; or those of the plugin itself, when nothing serves in its place.
fn trial(section: &Section<'_>) -> Option<Trial> {
    let own = mode(section);
    let Some(candidate) = section.section("candidate", &CANDIDATE) else {
        return own.flatten().map(|mode| Trial { candidate: None, mode });
    };
    for key in ["mode", "weight"].into_iter().filter(|key| section.has(key)) {
        section.wrong(key, format!("is the candidate's while there is one; write candidate.{key}"));
    }
    let origin = origin(&candidate);
    let mode = mode(&candidate).flatten();
    if mode.is_none() && !candidate.has("mode") && !candidate.has("weight") {
        candidate.wrong("mode", "needs mode = \"shadow\", or a weight: percent of the chats");
    } else if candidate.text("mode", 0..=NAME_CHARS_MAX).as_deref() == Some("serving") {
        candidate.wrong("mode", "must be \"shadow\"; to let it serve, make its file the plugin's own");
    }
    Some(Trial { candidate: Some(origin?), mode: mode? })
}

/// What `mode` or `weight` say: `Some(None)` is that it serves.
fn mode(section: &Section<'_>) -> Option<Option<TrialMode>> {
    let named = section.parsed("mode", section.text("mode", 0..=NAME_CHARS_MAX), |name| match name {
        "serving" => Ok(None),
        "shadow" => Ok(Some(TrialMode::Shadow)),
        _ => Err("must be \"serving\" or \"shadow\"; a canary is said by its weight"),
    });
    let weight = section.whole("weight", 0..=WEIGHT_MAX).and_then(TrialMode::canary);
    if section.has("mode") && section.has("weight") {
        section.wrong("weight", "is of a canary; write it or mode, not both");
    }
    named.or(weight.map(Some))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::allowance::{Allowed, SendKind};
    use crate::egress::{AllowList, EgressSettings};
    use std::time::Duration;

    pub(in crate::tenants) fn egress() -> Egress {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connect_timeout = Duration::from_secs(1);
        Egress::new(EgressSettings { allow: AllowList::default(), connect_timeout, answer_bytes_max: 1 })
            .expect("egress")
    }

    fn declare(text: &str) -> Result<Declared, ConfigErrors> {
        let environment = |name: &str| (name == "HOOK_SECRET").then(|| "a secret of the hook".to_owned());
        read("acme.toml", text, Path::new("."), &environment, &egress())
    }

    const GOOD: &str = r#"
        name = "Acme"

        [[devices]]
        slug = "sales"
        label = "Sales"

        [[webhooks]]
        slug = "crm"
        url = "https://crm.example.com/hook"
        events = ["message.received"]
        secret_env = "HOOK_SECRET"
        devices = ["sales"]
        format = "shape"
        [webhooks.headers]
        authorization = { env = "HOOK_SECRET" }
        x-team = "sales"

        [[plugins]]
        name = "shape"
        file = "shape.wasm"
        hooks = ["webhook"]
        [plugins.config]
        word = "hi"
        [plugins.grants]
        imports = ["secrets"]
        secrets = ["token"]
        [plugins.secrets]
        token = { value = "a token of the plugin" }

        [limits]
        requests = 500
        text_per_minute = "off"
        [media]
        received = "eager"
        keep_days = 7
    "#;

    #[test]
    fn every_limit_can_be_set_by_a_file() {
        let keys = SendKind::ALL.map(SendKind::key);
        let lines: String = keys.iter().map(|key| format!("{key} = 7\n")).collect();

        let more = "groups_per_minute = 8\nstreams = 9\nevents_keep_days = \"off\"\n";
        let declared = declare(&format!("name = \"Acme\"\n[limits]\n{lines}{more}")).expect("reads");

        for kind in SendKind::ALL {
            assert_eq!(declared.limits.of(kind), Some(Allowed::Max(7)), "{}", kind.key());
        }
        assert_eq!(declared.limits.groups_per_minute, Some(Allowed::Max(8)));
        assert_eq!(declared.limits.streams, Some(Allowed::Max(9)));
        assert_eq!(declared.limits.events_keep_days, Some(Allowed::Off));
    }

    #[test]
    fn a_file_says_what_it_means_and_the_rest_has_defaults() {
        let declared = declare(GOOD).expect("reads");

        assert_eq!(declared.slug.as_str(), "acme");
        assert_eq!(declared.limits.text_per_minute, Some(Allowed::Off));
        assert_eq!(declared.media, TenantMedia { received: Some(Received::Eager), keep_days: Some(7) });
        let webhook = &declared.webhooks[0];
        assert_eq!((webhook.retry_count, webhook.timeout_ms, webhook.enabled), (3, 10_000, true));
        assert_eq!(webhook.secret.expose(), "a secret of the hook");
        assert_eq!(webhook.headers["authorization"].expose(), "a secret of the hook");
        assert_eq!(declared.plugins[0].component, Origin::File("shape.wasm".to_owned()));
        assert_eq!(declared.plugins[0].settings.config["word"], "hi");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_file_and_key() {
        let text = GOOD
            .replace("name = \"Acme\"", "nmae = \"Acme\"")
            .replace("label = \"Sales\"", "label = 7")
            .replace("message.received", "message.no_such")
            .replace("https://crm", "ftp://crm")
            .replace("secret_env = \"HOOK_SECRET\"", "secret_env = \"NO_SUCH\"\nretry_count = 99")
            .replace("devices = [\"sales\"]", "devices = [\"slaes\"]")
            .replace("format = \"shape\"", "format = \"shap\"")
            .replace("file = \"shape.wasm\"", "")
            .replace("[plugins.grants]", "[plugins.limits]\ncal_ms = 7\n[plugins.grants]\nhots = []")
            .replace("secrets = [\"token\"]", "secrets = [\"tokn\"]")
            .replace("requests = 500", "requests = 0\nrequest_window_s = 1");

        let told = declare(&text).expect_err("refused").to_string();

        for part in [
            "nmae: is not a known key; did you mean name? (from acme.toml)",
            "name: is required (from acme.toml)",
            "devices[0].label: must be a text",
            "webhooks[0].url: must start with https:// or http://",
            "webhooks[0].events[0]: is not the name of an event",
            "webhooks[0].secret_env: the environment variable NO_SUCH is not set",
            "webhooks[0].retry_count: must be a whole number from 1 to 20",
            "webhooks[0].devices[0]: names no device of this file",
            "plugins[0].file: needs one of file and sha256",
            "plugins[0].limits.cal_ms: is not a known key; did you mean call_ms?",
            "plugins[0].grants.hots: is not a known key; did you mean hosts?",
            "limits.requests: must be a whole number from 1 to 1000000, or \"off\"",
            "limits.request_window_s: is not a known key; did you mean requests_window_s?",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
        assert!(!told.contains("a token of the plugin"), "{told}");
    }

    #[test]
    fn a_candidate_has_a_component_and_a_mode_or_a_weight_and_a_plugin_alone_has_only_those() {
        let with =
            |line: &str| declare(&GOOD.replace("file = \"shape.wasm\"", &format!("file = \"shape.wasm\"\n{line}")));
        let trial = |line: &str| with(line).expect("reads").plugins[0].trial.clone();
        let shadow = Trial { candidate: Some(Origin::File("next.wasm".into())), mode: TrialMode::Shadow };
        assert_eq!(trial("candidate = { file = \"next.wasm\", mode = \"shadow\" }"), Some(shadow.clone()));
        let canary = TrialMode::Canary { weight: 10 };
        assert_eq!(trial("candidate = { file = \"next.wasm\", weight = 10 }"), Some(Trial { mode: canary, ..shadow }));
        assert_eq!(trial("mode = \"shadow\""), Some(Trial { candidate: None, mode: TrialMode::Shadow }));
        assert_eq!(trial("weight = 10"), Some(Trial { candidate: None, mode: canary }));
        assert_eq!(trial("mode = \"serving\""), None);

        for (line, part) in [
            ("candidate = { mode = \"shadow\" }", "plugins[0].candidate.file: needs one of file and sha256"),
            ("candidate = { file = \"n.wasm\" }", "plugins[0].candidate.mode: needs mode"),
            ("candidate = { file = \"n.wasm\", mode = \"serving\" }", "plugins[0].candidate.mode: must be \"shadow\""),
            ("candidate = { file = \"n.wasm\", weight = 101 }", "plugins[0].candidate.weight: must be a whole number"),
            ("candidate = { file = \"n.wasm\", weight = 1 }\nmode = \"shadow\"", "write candidate.mode"),
            ("mode = \"shadow\"\nweight = 1", "plugins[0].weight: is of a canary"),
            ("mode = \"canary\"", "plugins[0].mode: must be \"serving\" or \"shadow\""),
            ("candidate = { file = \"n.wasm\", wieght = 1 }", "did you mean weight?"),
        ] {
            let told = with(line).expect_err(line).to_string();
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
    }

    #[test]
    fn names_twice_a_foreign_format_and_an_empty_list_of_devices_are_refused() {
        let twice = "[[devices]]\nslug = \"sales\"\nlabel = \"Again\"\n[[webhooks]]";
        let text = GOOD.replacen("[[webhooks]]", twice, 1).replace("format = \"shape\"", "format = \"other\"");
        let told = declare(&text).expect_err("refused").to_string();
        assert!(told.contains("devices[1].slug: is there twice"), "{told}");
        assert!(told.contains("webhooks[0].format: names no plugin of this file"), "{told}");

        let told = declare(&GOOD.replace("[\"sales\"]", "[]")).expect_err("refused").to_string();
        assert!(told.contains("webhooks[0].devices: must have 1 to"), "{told}");
    }

    #[test]
    fn a_line_that_does_not_parse_is_not_repeated() {
        let told = declare("name = \"Acme\"\n\n[[webhooks]]\nsecret = \"deadbeefdeadbeef\n").expect_err("refused");
        assert_eq!(told.to_string(), "acme.toml: does not read as TOML at line 4; check its syntax (from acme.toml)");
    }
}
