//! What a tenant says of a plugin: its configuration, what it is granted, its limits, what follows from its errors.

use super::manifest::{EffectKind, Hook, Import, Manifest};
use super::signature::Signer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use utoipa::ToSchema;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSettings {
    /// The hooks that are used; all that it has when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<BTreeSet<Hook>>,
    /// Handed to the plugin when an instance of it starts.
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    pub grants: Grants,
    pub limits: Limits,
    pub on_error: OnError,
    pub isolation: Isolation,
    /// Public keys, 64 hex digits each; the component must be signed by one of them. Empty asks for no signature.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
}

/// What the tenant allows. A plugin gets what it wants and is granted, no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    pub imports: BTreeSet<Import>,
    pub effects: BTreeSet<EffectKind>,
    /// Hosts for `http.fetch`: `api.example.com`, `api.example.com:8443`, `*.example.com`.
    pub hosts: Vec<String>,
    /// Names of secrets it may read.
    pub secrets: Vec<String>,
    /// Devices it may send from beside the event's own: ids or slugs, or `*`.
    pub devices: Vec<String>,
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty = $default:literal, $min:literal..=$max:literal;)*) => {
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits { $($(#[doc = $doc])* pub $name: $type,)* }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Limits {
            /// Name, default, range and meaning of every limit: the table of docs/plugins.md.
            pub const TABLE: &'static [(&'static str, u64, u64, u64, &'static str)] =
                &[$((stringify!($name), $default, $min, $max, concat!($($doc),*)),)*];

            fn wrong(&self, wrong: &mut Vec<String>) {
                $(if !($min..=$max).contains(&self.$name) {
                    wrong.push(format!("limits.{}: must be a whole number from {} to {}", stringify!($name), $min, $max));
                })*
            }
        }
    };
}

limits! {
    /// Memory of one instance. Beyond it the guest's allocation fails, which most languages end with a trap.
    memory_mib: u32 = 64, 1..=256;
    /// Time of one call, host calls included. A call that takes longer is ended and counts as an error.
    call_ms: u32 = 1_000, 10..=60_000;
    /// Instances at once; a call beyond them waits for one, within its own time.
    instances: u32 = 4, 1..=64;
    /// Calls after which an instance is thrown away.
    calls_per_instance: u32 = 10_000, 1..=1_000_000;
    /// Log lines of one call; more are counted and not kept.
    log_lines_per_call: u32 = 20, 0..=1_000;
    /// Bytes of a log line with its fields; a longer one is cut.
    log_line_bytes: u32 = 4_096, 64..=65_536;
    /// Keys it may keep; one more is `quota-exceeded`.
    kv_keys: u32 = 10_000, 0..=10_000_000;
    /// What its keys and values may take in all; more is `quota-exceeded`.
    kv_kib: u32 = 10_240, 0..=10_485_760;
    /// Bytes of one value; a larger one is `value-too-large`.
    kv_value_bytes: u32 = 65_536, 1..=1_048_576;
    /// Writes of one call; one more is `rate-limited`.
    kv_writes_per_call: u32 = 100, 0..=10_000;
    /// `http.fetch` in one call; one more is `rate-limited`.
    fetches_per_call: u32 = 4, 0..=100;
    /// `http.fetch` in a minute; one more is `rate-limited`.
    fetches_per_minute: u32 = 600, 0..=100_000;
    /// Bytes of a fetched body; a larger one is `too-large`.
    fetch_body_bytes: u32 = 1_048_576, 1..=16_777_216;
    /// Messages of one call; a call that returns more is refused.
    sends_per_call: u32 = 10, 0..=100;
    /// Messages in a minute; a call beyond them is refused.
    sends_per_minute: u32 = 120, 0..=10_000;
    /// Errors in a row after which it is not called for a while.
    errors_until_tripped: u32 = 5, 1..=1_000;
    /// Seconds until it is tried again then.
    tripped_s: u32 = 30, 1..=86_400;
}

/// What follows when a hook could not decide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OnError {
    pub inbound: InboundError,
    pub outbound: OutboundError,
    pub webhook: WebhookError,
}

/// `pass`: the event goes on as if this plugin were not there. `drop`: it is kept and delivered nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InboundError {
    #[default]
    Pass,
    Drop,
}

/// `reject`: the message is not taken, 422. `pass`: it is taken as it was before this plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutboundError {
    #[default]
    Reject,
    Pass,
}

/// `default`: the gateway's own body is sent. `park`: nothing is sent, the delivery goes to the dead letter queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookError {
    #[default]
    Default,
    Park,
}

/// `reused`: an instance serves many calls. `fresh`: each call has its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    #[default]
    Reused,
    Fresh,
}

/// Everything that is wrong, one line each, with the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plugin's settings need correction: {}", .0.join("; "))]
pub struct InvalidSettings(pub Vec<String>);

impl PluginSettings {
    pub fn from_json(value: &Value) -> Result<Self, InvalidSettings> {
        serde_json::from_value(value.clone()).map_err(|error| InvalidSettings(vec![error.to_string()]))
    }

    /// Whether these settings fit a plugin that says this of itself.
    pub fn check(&self, manifest: &Manifest) -> Result<(), InvalidSettings> {
        let mut wrong = Vec::new();
        self.limits.wrong(&mut wrong);
        let has = manifest.hooks();
        for (index, key) in self.signed_by.iter().enumerate() {
            if Signer::parse(key).is_none() {
                wrong.push(format!("signed_by[{index}]: must be 64 hex digits, as \"rijan plugin key\" prints them"));
            }
        }
        for hook in self.hooks.iter().flatten() {
            if !has.contains(hook) {
                wrong.push(format!("hooks: {} has no hook {:?}", manifest.name, hook.as_str()));
            }
        }
        if let Some(schema) = &manifest.config.schema {
            match jsonschema::validator_for(schema) {
                Ok(validator) => {
                    let config = Value::Object(self.config.clone());
                    for error in validator.iter_errors(&config) {
                        wrong.push(format!("config{}: {error}", error.instance_path().as_str().replace('/', ".")));
                    }
                }
                Err(error) => wrong.push(format!("config: the plugin's schema does not read: {error}")),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(InvalidSettings(wrong)) }
    }

    /// Whether one of those who signed is one that the tenant asks for.
    pub fn accepts(&self, signers: &[Signer]) -> bool {
        let asked = self.signed_by.iter().filter_map(|key| Signer::parse(key));
        self.signed_by.is_empty() || asked.into_iter().any(|asked| signers.contains(&asked))
    }

    /// The hooks in use.
    pub fn hooks(&self, manifest: &Manifest) -> BTreeSet<Hook> {
        let has = manifest.hooks();
        match &self.hooks {
            Some(chosen) => has.intersection(chosen).copied().collect(),
            None => has,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        Manifest::from_json(
            json!({
                "name": "greeter", "version": "1", "hooks": { "inbound": ["message.received"] },
                "config": { "schema": { "type": "object", "required": ["word"],
                    "properties": { "word": { "type": "string" } } } },
            })
            .to_string()
            .as_bytes(),
        )
        .expect("manifest")
    }

    #[test]
    fn what_does_not_fit_the_plugin_is_told_at_once_with_its_key() {
        let written = json!({ "hooks": ["outbound"], "config": { "word": 7 }, "limits": { "call_ms": 1 } });
        let settings = PluginSettings::from_json(&written).expect("reads");

        let told = settings.check(&manifest()).expect_err("refused").to_string();

        for part in ["limits.call_ms", "no hook \"outbound\"", "config.word"] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
    }

    #[test]
    fn the_page_has_every_limit_as_it_is() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plugins.md");
        let page = std::fs::read_to_string(file).expect("the page");
        let rows = Limits::TABLE.iter().map(|(name, default, min, max, means)| {
            format!("| `{name}` | {default} | {min} to {max} | {} |\n", means.trim())
        });
        let table: String =
            ["| limit | default | range | |\n|---|---|---|---|\n".to_owned()].into_iter().chain(rows).collect();
        let (before, rest) = page.split_once("<!-- limits -->\n").expect("where the table begins");
        let (there, after) = rest.split_once("<!-- end -->").expect("where it ends");

        if there != table {
            std::fs::write(file, format!("{before}<!-- limits -->\n{table}<!-- end -->{after}")).expect("written");
        }

        assert!(there == table, "the limits of docs/plugins.md were out of date, and are written anew");
    }

    #[test]
    fn an_unknown_key_is_refused_and_the_rest_has_defaults() {
        assert!(PluginSettings::from_json(&json!({ "grant": {} })).is_err());
        let settings = PluginSettings::from_json(&json!({ "config": { "word": "hi" } })).expect("reads");
        assert_eq!(settings.check(&manifest()), Ok(()));
        assert_eq!(settings.on_error.outbound, OutboundError::Reject);
        assert_eq!(settings.limits.memory_mib, 64);
    }
}
