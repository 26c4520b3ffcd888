//! What hooks of plugins leave behind: it is committed in one transaction with the decision it came from, or not at all.

use super::clock::UnixMs;
use super::event::Event;
use super::ids::{DeviceId, MessageId};
use super::jid::ChatId;
use super::outgoing::Content;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A value of a plugin: text comes back as text, bytes as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvValue {
    Text(String),
    Bytes(Vec<u8>),
}

impl KvValue {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// A whole decimal number within ±2^53, as `increment` keeps it.
    pub fn number(&self) -> Option<i64> {
        const SAFE: i64 = 1 << 53;
        match self {
            Self::Text(text) => text.parse().ok().filter(|n: &i64| (-SAFE..=SAFE).contains(n)),
            Self::Bytes(_) => None,
        }
    }

    pub fn of_number(number: i64) -> Self {
        Self::Text(number.to_string())
    }
}

/// A value with the number of times it was written since it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    pub value: KvValue,
    pub version: u64,
}

/// One write of a call, in the order the plugin made it. `ttl_ms` counts from the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvWrite {
    Set {
        key: String,
        value: KvValue,
        ttl_ms: Option<u64>,
    },
    Delete {
        key: String,
    },
    /// Checked once more at the commit: when the version has moved, nothing of the call is kept.
    Cas {
        key: String,
        expected: u64,
        value: KvValue,
        ttl_ms: Option<u64>,
    },
    /// Adds at the commit to what is there then.
    Add {
        key: String,
        by: i64,
        ttl_ms: Option<u64>,
    },
}

impl KvWrite {
    pub fn key(&self) -> &str {
        match self {
            Self::Set { key, .. } | Self::Delete { key } | Self::Cas { key, .. } | Self::Add { key, .. } => key,
        }
    }

    /// The entry after this write; `Err` when what it relied on is not so.
    pub fn apply(&self, before: Option<KvEntry>) -> Result<Option<KvEntry>, Moved> {
        let version = before.as_ref().map_or(0, |entry| entry.version);
        let written = |value: KvValue| Ok(Some(KvEntry { value, version: version + 1 }));
        match self {
            Self::Set { value, .. } => written(value.clone()),
            Self::Delete { .. } => Ok(None),
            Self::Cas { expected, value, .. } if version == *expected => written(value.clone()),
            Self::Cas { .. } => Err(Moved),
            Self::Add { by, .. } => {
                let number = before.map_or(Some(0), |entry| entry.value.number()).ok_or(Moved)?;
                let sum = number.checked_add(*by).map(KvValue::of_number).filter(|sum| sum.number().is_some());
                written(sum.ok_or(Moved)?)
            }
        }
    }
}

/// A value is not what the call relied on any more; run the call again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value that the plugin relied on has changed")]
pub struct Moved;

/// The writes of one plugin, with what its keys and values may take in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvChanges {
    pub plugin: String,
    pub keys_max: u64,
    pub bytes_max: u64,
    pub writes: Vec<KvWrite>,
}

/// A line a plugin logged.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginLine {
    pub plugin: String,
    pub sha256: String,
    pub subject: String,
    pub level: &'static str,
    pub message: String,
    /// A JSON object of texts.
    pub fields: Value,
    pub at: UnixMs,
}

/// One call of a hook, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub plugin: String,
    pub sha256: String,
    pub hook: &'static str,
    pub subject: String,
    pub decision: &'static str,
    pub shadow: bool,
    pub detail: Value,
    pub took_us: u64,
    pub at: UnixMs,
}

/// A message that a plugin sends.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSend {
    pub plugin: String,
    pub device: DeviceId,
    pub id: MessageId,
    pub wa_id: String,
    pub chat: ChatId,
    pub content: Content,
    /// At most one message per plugin and key within a day.
    pub dedupe_key: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Aftermath {
    pub kv: Vec<KvChanges>,
    pub lines: Vec<PluginLine>,
    pub traces: Vec<Trace>,
    pub sends: Vec<PluginSend>,
    /// What is told of the plugins themselves.
    pub events: Vec<Event>,
}

/// The ids of a message that follows from something: the same cause and place give the same ids, so that a call that is
/// repeated after a crash sends what it sent before.
pub fn derived_ids(at: UnixMs, cause: &str, plugin: &str, ordinal: usize) -> (MessageId, String) {
    let parts = ["send", cause, plugin, &ordinal.to_string()];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let wa_id = format!("3EB0{}", hex::encode_upper(&hash.finalize()[..9]));
    (MessageId::derived(at, &parts), wa_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str, version: u64) -> Option<KvEntry> {
        Some(KvEntry { value: KvValue::Text(text.into()), version })
    }

    #[test]
    fn writes_follow_each_other_and_count_versions() {
        let set = KvWrite::Set { key: "k".into(), value: KvValue::Text("1".into()), ttl_ms: None };
        let add = KvWrite::Add { key: "k".into(), by: 2, ttl_ms: None };
        let delete = KvWrite::Delete { key: "k".into() };

        assert_eq!(set.apply(None), Ok(entry("1", 1)));
        assert_eq!(add.apply(entry("1", 1)), Ok(entry("3", 2)));
        assert_eq!(add.apply(None), Ok(entry("2", 1)));
        assert_eq!(delete.apply(entry("3", 2)), Ok(None));
    }

    #[test]
    fn what_relied_on_something_else_is_told() {
        let cas =
            |expected| KvWrite::Cas { key: "k".into(), expected, value: KvValue::Text("new".into()), ttl_ms: None };
        assert_eq!(cas(0).apply(entry("old", 4)), Err(Moved));
        assert_eq!(cas(4).apply(entry("old", 4)), Ok(entry("new", 5)));
        let add = KvWrite::Add { key: "k".into(), by: 1, ttl_ms: None };
        assert_eq!(add.apply(entry("no number", 1)), Err(Moved));
        assert_eq!(add.apply(entry(&(1_i64 << 53).to_string(), 1)), Err(Moved));
    }

    #[test]
    fn a_derived_id_depends_on_every_part_and_on_nothing_else() {
        let one = derived_ids(1_700_000_000_000, "evt_1", "a", 0);
        assert_eq!(one, derived_ids(1_700_000_000_000, "evt_1", "a", 0));
        for other in [derived_ids(0, "evt_2", "a", 0), derived_ids(0, "evt_1", "b", 0), derived_ids(0, "evt_1", "a", 1)]
        {
            assert_ne!(one.0, other.0);
            assert_ne!(one.1, other.1);
        }
        assert!(MessageId::parse(one.0.as_str()).is_ok());
    }
}
