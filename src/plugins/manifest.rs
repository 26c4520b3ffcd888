//! What a plugin says of itself: its name, its hooks, what it wants. Written by its author as `rijan-plugin.toml`, carried
//! in the component as JSON in a custom section, read by the host before anything of the component runs.
//!
//! A manifest only asks. What a plugin gets is decided in `grants`.

use crate::domain::event::Subscription;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The custom section of a component that holds its manifest.
pub const SECTION: &str = "rijan-manifest";
/// The file beside a plugin's source.
pub const FILE: &str = "rijan-plugin.toml";
/// Bytes of a manifest; a larger one is refused.
pub const MANIFEST_BYTES_MAX: usize = 64 << 10;
const NAME_CHARS_MAX: usize = 63;
const VERSION_CHARS_MAX: usize = 64;
const DESCRIPTION_CHARS_MAX: usize = 500;
const ENTRIES_MAX: usize = 64;
const ENTRY_CHARS_MAX: usize = 256;

/// A name in lower case, digits and dashes, such as `keyword-reply`: of plugins, tenants, devices and webhooks in files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct PluginName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {NAME_CHARS_MAX} lower case letters, digits and dashes, and begin with a letter")]
pub struct InvalidName;

impl PluginName {
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let fits = !text.is_empty()
            && text.len() <= NAME_CHARS_MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PluginName {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::parse(&text)
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.0
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($variant:ident => $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $type { $($variant,)* }

        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named!(
    /// The points at which a plugin is called: the hook interfaces of `wit/`.
    Hook {
        Inbound => "inbound",
        Outbound => "outbound",
        Webhook => "webhook",
        Scheduled => "scheduled",
    }
);
named!(
    /// The interfaces of `wit/` that a plugin may import.
    Import {
        Log => "log",
        EventData => "event-data",
        Secrets => "secrets",
        Kv => "kv",
        Http => "http",
        Media => "media",
        Clock => "clock",
        Random => "random",
    }
);
named!(
    /// The effects that a hook may return.
    EffectKind {
        Reply => "reply",
        Send => "send",
        Forward => "forward",
        React => "react",
        MarkRead => "mark-read",
        Route => "route",
    }
);

impl Import {
    /// Whether a tenant has to grant it. The others cannot do anything to anybody.
    pub fn needs_grant(self) -> bool {
        matches!(self, Self::Secrets | Self::Kv | Self::Http | Self::Media)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: PluginName,
    /// For people, such as `1.2.0`.
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub hooks: Hooks,
    #[serde(default)]
    pub wants: Wants,
    /// The form of its configuration.
    #[serde(default, skip_serializing_if = "ConfigForm::is_empty")]
    pub config: ConfigForm,
}

/// Where it wants to be called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// Event types, or `*`; empty: it has no such hook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inbound: Vec<String>,
    #[serde(default)]
    pub outbound: bool,
    #[serde(default)]
    pub webhook: bool,
    /// Name of a schedule to cron text: minute, hour, day, month, weekday.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scheduled: BTreeMap<String, String>,
}

/// What it asks for. `imports` is also the world it is built against, so it names the free ones too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub imports: BTreeSet<Import>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub effects: BTreeSet<EffectKind>,
    /// Hosts for `http.fetch`: `api.example.com`, `api.example.com:8443`, `*.example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Names for `secrets.get`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigForm {
    /// A JSON Schema (draft 2020-12); none takes any object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<serde_json::Value>,
}

impl ConfigForm {
    fn is_empty(&self) -> bool {
        self.schema.is_none()
    }
}

/// Everything that is wrong with a manifest, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the manifest needs correction: {}", .0.join("; "))]
pub struct InvalidManifest(pub Vec<String>);

impl Manifest {
    /// As the author writes it.
    pub fn from_toml(text: &str) -> Result<Self, InvalidManifest> {
        let read: Self = toml::from_str(text).map_err(|error| InvalidManifest(vec![error.to_string()]))?;
        read.checked()
    }

    /// As a component carries it.
    pub fn from_json(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(InvalidManifest(vec![format!("it has more than {MANIFEST_BYTES_MAX} bytes")]));
        }
        let read: Self = serde_json::from_slice(bytes).map_err(|error| InvalidManifest(vec![error.to_string()]))?;
        read.checked()
    }

    pub fn hooks(&self) -> BTreeSet<Hook> {
        let has = |hook: Hook| match hook {
            Hook::Inbound => !self.hooks.inbound.is_empty(),
            Hook::Outbound => self.hooks.outbound,
            Hook::Webhook => self.hooks.webhook,
            Hook::Scheduled => !self.hooks.scheduled.is_empty(),
        };
        Hook::ALL.iter().copied().filter(|hook| has(*hook)).collect()
    }

    fn checked(self) -> Result<Self, InvalidManifest> {
        let mut wrong = Vec::new();
        if self.version.is_empty() || self.version.len() > VERSION_CHARS_MAX {
            wrong.push(format!("version: must have 1 to {VERSION_CHARS_MAX} characters"));
        }
        if self.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
            wrong.push(format!("description: must have at most {DESCRIPTION_CHARS_MAX} characters"));
        }
        if self.hooks().is_empty() {
            wrong.push("hooks: must name at least one of inbound, outbound, webhook, scheduled".to_owned());
        }
        for (index, name) in self.hooks.inbound.iter().enumerate() {
            if Subscription::parse(name).is_none() {
                wrong.push(format!("hooks.inbound[{index}]: {name:?} is no event type"));
            }
        }
        for (name, cron) in &self.hooks.scheduled {
            if PluginName::parse(name).is_err() {
                wrong.push(format!("hooks.scheduled.{name}: the name {InvalidName}"));
            }
            // The zone is the tenant's; any will do for reading the text.
            if let Err(error) = cronexpr::parse_crontab(&format!("{cron} UTC")) {
                wrong.push(format!("hooks.scheduled.{name}: {error}"));
            }
        }
        let lists = [("wants.hosts", &self.wants.hosts), ("wants.secrets", &self.wants.secrets)];
        for (field, list) in lists {
            if list.len() > ENTRIES_MAX {
                wrong.push(format!("{field}: must have at most {ENTRIES_MAX} entries"));
            }
            if list.iter().any(|entry| entry.is_empty() || entry.len() > ENTRY_CHARS_MAX) {
                wrong.push(format!("{field}: every entry must have 1 to {ENTRY_CHARS_MAX} characters"));
            }
        }
        let pairs = [
            ("wants.hosts", !self.wants.hosts.is_empty(), Import::Http),
            ("wants.secrets", !self.wants.secrets.is_empty(), Import::Secrets),
        ];
        for (field, given, import) in pairs {
            if given && !self.wants.imports.contains(&import) {
                wrong.push(format!("{field}: needs {import:?} in wants.imports", import = import.as_str()));
            }
        }
        if let Some(schema) = &self.config.schema
            && let Err(error) = jsonschema::validator_for(schema)
        {
            wrong.push(format!("config.schema: {error}"));
        }
        if wrong.is_empty() { Ok(self) } else { Err(InvalidManifest(wrong)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        name = "keyword-reply"
        version = "1.0.0"
        description = "answers a keyword"

        [hooks]
        inbound = ["message.received"]
        scheduled = { daily = "0 9 * * *" }

        [wants]
        imports = ["log", "kv", "http"]
        effects = ["reply", "mark-read"]
        hosts = ["hooks.example.com"]

        [config.schema]
        type = "object"
        required = ["keyword"]
    "#;

    #[test]
    fn a_manifest_survives_its_way_through_the_component() {
        let read = Manifest::from_toml(GOOD).expect("reads");

        let carried = Manifest::from_json(&serde_json::to_vec(&read).expect("json")).expect("reads again");

        assert_eq!(carried, read);
        assert_eq!(read.hooks(), BTreeSet::from([Hook::Inbound, Hook::Scheduled]));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let text = GOOD
            .replace("message.received", "message.no_such")
            .replace("0 9 * * *", "sometimes")
            .replace("\"log\", \"kv\", \"http\"", "\"log\"")
            .replace("1.0.0", "");

        let told = Manifest::from_toml(&text).expect_err("refused").to_string();

        for part in ["version:", "hooks.inbound[0]", "hooks.scheduled.daily", "wants.hosts: needs \"http\""] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
    }

    #[test]
    fn an_unknown_import_effect_or_key_is_refused_by_name() {
        for (from, to) in [("\"kv\"", "\"disk\""), ("mark-read", "erase"), ("version", "vession")] {
            let told = Manifest::from_toml(&GOOD.replacen(from, to, 1)).expect_err("refused").to_string();
            assert!(told.contains(to.trim_matches('"')), "{told}");
        }
    }

    #[test]
    fn names_are_written_and_documented_as_they_are_called() {
        fn check<T: Copy + Serialize + utoipa::PartialSchema>(all: &[T], name: impl Fn(T) -> &'static str) {
            let names: Vec<&str> = all.iter().copied().map(name).collect();
            let written = serde_json::to_value(all).expect("it can be written");
            let documented = serde_json::to_value(T::schema()).expect("it can be written");
            assert_eq!(written, serde_json::json!(names));
            assert_eq!(documented["enum"], serde_json::json!(names));
        }

        check(Hook::ALL, Hook::as_str);
        check(Import::ALL, Import::as_str);
        check(EffectKind::ALL, EffectKind::as_str);
    }
}
