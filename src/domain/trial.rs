//! A version of a plugin that is tried on live traffic before it serves.
//!
//! Which chats a canary gets follows from their names alone, so that a chat sees the same version after a restart and on
//! every gateway, and one that is in stays in while the weight rises.

use super::clock::UnixMs;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// Percent of the chats: all of them.
pub const WEIGHT_MAX: u32 = 100;

/// What a version on trial may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialMode {
    /// It sees what the serving version sees; its effects are recorded and none is done.
    Shadow,
    /// It takes the place of the serving version for this share of the chats, in percent.
    Canary { weight: u8 },
}

impl TrialMode {
    pub fn canary(weight: u32) -> Option<Self> {
        u8::try_from(weight).ok().filter(|_| weight <= WEIGHT_MAX).map(|weight| Self::Canary { weight })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary { .. } => "canary",
        }
    }

    pub fn weight(self) -> Option<u8> {
        match self {
            Self::Shadow => None,
            Self::Canary { weight } => Some(weight),
        }
    }
}

/// What of a plugin is on trial, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// `None`: the plugin's own component is on trial, and nothing serves in its place.
    pub candidate: Option<Candidate>,
    pub mode: TrialMode,
    /// Why its chats went back to what serves.
    pub halted: Option<String>,
}

impl Trial {
    /// Whether nothing serves beside it.
    pub fn is_alone(&self) -> bool {
        self.candidate.is_none()
    }

    /// The same trial, whatever became of it.
    pub fn is_as(&self, other: &Self) -> bool {
        self.candidate == other.candidate && self.mode == other.mode
    }
}

/// A component beside the one that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// SHA-256 of the component, hex.
    pub sha256: String,
    /// The file it is reloaded from when that changes.
    pub file: Option<String>,
}

/// Whether a chat is among those that a canary of this weight gets.
pub fn takes(weight: u8, tenant: &str, plugin: &str, chat: &str) -> bool {
    let mut hash = Sha256::new();
    for part in [tenant, plugin, chat] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    number % u64::from(WEIGHT_MAX) < u64::from(weight)
}

/// What a shadow came to beside what serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Both said and wrote the same; or nothing serves, and the shadow would have done nothing.
    Agree,
    Differ,
    /// The shadow did not decide, or what it decided could not be followed.
    Failed,
}

impl Comparison {
    pub const ALL: [Self; 3] = [Self::Agree, Self::Differ, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Differ => "differ",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// What one version made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DifferenceSide)]
pub struct Side {
    /// SHA-256 of the component, hex.
    pub sha256: String,
    /// As in traces.
    pub decision: String,
    /// The verdict and the effects as the plugin said them, in the form of fixtures; null when it did not decide.
    #[schema(value_type = Option<Object>)]
    pub said: Value,
    /// What it wrote, in order.
    #[schema(value_type = Vec<Object>)]
    pub kv: Value,
    /// Method and address of what it fetched, or asked for.
    pub fetches: Vec<String>,
    /// Kind and text of the error.
    #[schema(value_type = Option<Object>)]
    pub error: Option<Value>,
    /// Microseconds.
    pub took_us: u64,
}

impl Side {
    /// Whether a person would see the same come of both.
    pub fn comes_to_the_same(&self, other: &Self) -> bool {
        (&self.decision, &self.said, &self.kv, &self.fetches)
            == (&other.decision, &other.said, &other.kv, &other.fetches)
    }

    /// Whether all goes on as if it had not been asked.
    pub fn does_nothing(&self) -> bool {
        let verdict = self.said.get("verdict").and_then(Value::as_str);
        let idle = |list: Option<&Value>| list.and_then(Value::as_array).is_none_or(Vec::is_empty);
        let passes = self.said.get("verdict").is_none() || matches!(verdict, Some("pass" | "default"));
        passes && idle(self.said.get("effects")) && idle(Some(&self.kv)) && self.fetches.is_empty()
    }
}

/// One call of a shadow beside that of what serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub plugin: String,
    /// Of the shadow.
    pub sha256: String,
    pub hook: &'static str,
    /// The event, message or tick.
    pub subject: String,
    /// The message or webhook, where a subject has several; else empty.
    pub part: String,
    pub comparison: Comparison,
    /// `None`: nothing served.
    pub serving: Option<Side>,
    pub candidate: Side,
    pub at: UnixMs,
}

/// How many of the differences that are kept came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Comparisons {
    pub agree: u64,
    pub differ: u64,
    pub failed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_weight_is_the_share_of_chats_and_a_rising_one_keeps_those_that_are_in() {
        let chats: Vec<String> = (0..10_000).map(|n| format!("62811{n:08}@s.whatsapp.net")).collect();
        let among = |weight: u8| chats.iter().filter(|chat| takes(weight, "tenant", "plugin", chat)).count();

        assert_eq!((among(0), among(100)), (0, 10_000));
        for weight in [1_u8, 10, 50, 90] {
            let share = among(weight);
            let meant = usize::from(weight) * 100;
            assert!(share.abs_diff(meant) < 150, "{share} of 10000 at {weight} percent");
        }
        assert!(chats.iter().all(|chat| !takes(10, "t", "p", chat) || takes(20, "t", "p", chat)));
        assert!(chats.iter().any(|chat| takes(50, "t", "p", chat) != takes(50, "t", "q", chat)));
    }

    #[test]
    fn passing_without_effects_writes_or_fetches_does_nothing() {
        let side = |said: Value| Side {
            sha256: String::new(),
            decision: "pass".into(),
            said,
            kv: json!([]),
            fetches: Vec::new(),
            error: None,
            took_us: 1,
        };
        for nothing in
            [json!({ "verdict": "pass", "effects": [] }), json!({ "verdict": "default" }), json!({ "effects": [] })]
        {
            assert!(side(nothing.clone()).does_nothing(), "{nothing}");
        }
        for something in [
            json!({ "verdict": { "drop": "why" }, "effects": [] }),
            json!({ "verdict": "pass", "effects": [{ "reply": { "text": "hi" } }] }),
            json!({ "verdict": "skip" }),
        ] {
            assert!(!side(something.clone()).does_nothing(), "{something}");
        }
        let pass = || side(json!({ "verdict": "pass", "effects": [] }));
        assert!(!Side { kv: json!([{ "op": "delete" }]), ..pass() }.does_nothing());
        assert!(!Side { fetches: vec!["GET https://example.com/".into()], ..pass() }.does_nothing());
    }
}
