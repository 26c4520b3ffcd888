//! A tenant's ordered plugins, and the way of an event, a message, a delivery and a tick through them.
//!
//! A pipeline never changes: another version, another order or other settings make a new one, which is swapped in whole.
//! Nothing here acts. What plugins decide comes back as values that the caller commits in one transaction; a call that is
//! repeated gives the same ids.

mod effects;
mod event;
mod format;
mod rehearsal;
mod run;
mod send;
mod shadow;
mod tick;
mod trial;

pub use event::{Decided, Passed};
pub use format::{Formatted, no_such};
pub use rehearsal::{InvalidMessage, Names, Rehearsed, Step};
pub use send::{Origin, Outgoing, Verdict};
pub use tick::Ticked;
pub use trial::{TriedEvent, TriedMessage};

pub(in crate::plugins) use shadow::{Shadow, ShadowGate};

use super::instance::{Failure, Version};
use super::manifest::Hook;
use super::settings::PluginSettings;
use crate::domain::event::{Event, EventType, wanted};
use crate::domain::ids::TenantId;
use crate::domain::jid::ChatId;
use crate::domain::trial::{TrialMode, takes};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// One version of a plugin at its place.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) settings: PluginSettings,
    /// What it would be called for; known even when it cannot run.
    pub(super) hooks: Vec<Hook>,
    /// Event types of the inbound hook.
    pub(super) events: Vec<String>,
    pub(super) state: Standing,
    /// How it is tried, when it is a version on trial.
    pub(super) mode: Option<TrialMode>,
}

#[derive(Clone)]
pub(super) enum Standing {
    Serving(Arc<Version>),
    /// It could not be loaded; each of its hooks fails with this, so that one that protects people still does.
    Broken(Failure),
    /// The plugin is on trial and nothing serves in its place: it has no hook that is called.
    Absent,
}

impl Entry {
    fn has(&self, hook: Hook) -> bool {
        self.hooks.contains(&hook)
    }

    fn wants(&self, type_: EventType) -> bool {
        self.has(Hook::Inbound) && wanted(&self.events, type_)
    }

    pub(super) fn version(&self) -> Option<&Arc<Version>> {
        match &self.state {
            Standing::Serving(version) => Some(version),
            Standing::Broken(_) | Standing::Absent => None,
        }
    }

    /// Of a plugin whose only version is on trial.
    pub(super) fn absent(name: &str, settings: &PluginSettings) -> Self {
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            hooks: Vec::new(),
            events: Vec::new(),
            state: Standing::Absent,
            mode: None,
        }
    }

    fn sha256(&self) -> String {
        self.version().map(|version| version.home.sha256.clone()).unwrap_or_default()
    }
}

/// A version on trial at its place.
#[derive(Clone)]
pub(super) struct OnTrial {
    pub(super) place: usize,
    pub(super) mode: TrialMode,
    /// Without hooks while nothing serves.
    pub(super) serving: Arc<Entry>,
    pub(super) candidate: Arc<Entry>,
    /// Where calls of a shadow wait; none of a canary, nor of a version that cannot run.
    pub(super) shadow: Option<Arc<Shadow>>,
}

impl OnTrial {
    /// The version of a canary that has this chat. A canary that cannot run or failed too often has none.
    fn version_for(&self, tenant: &TenantId, chat: Option<&str>) -> &Arc<Entry> {
        let runs = self.candidate.version().is_some_and(|version| version.halted().is_none());
        match (self.mode, chat) {
            (TrialMode::Canary { weight }, Some(chat))
                if runs && takes(weight, tenant.as_str(), &self.candidate.name, chat) =>
            {
                &self.candidate
            }
            _ => &self.serving,
        }
    }
}

#[derive(Clone)]
pub struct Pipeline {
    pub(super) tenant: TenantId,
    /// The versions that are asked, each at its place.
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) trials: Vec<OnTrial>,
    pub(super) store: Store,
    pub(super) metrics: Arc<Metrics>,
}

impl Pipeline {
    /// Whether any plugin has this hook, so that a caller without one goes its short way.
    pub fn has(&self, hook: Hook) -> bool {
        self.entries.iter().any(|entry| entry.has(hook))
            || self.trials.iter().any(|on| on.candidate.has(hook) && on.candidate.version().is_some())
    }

    /// The pipeline as this chat has it: a canary in its place where the chat is among its share. What belongs to no chat
    /// goes through what serves.
    fn way(&self, chat: Option<&str>) -> Cow<'_, Self> {
        let mut way = Cow::Borrowed(self);
        for on in &self.trials {
            let version = on.version_for(&self.tenant, chat);
            if !Arc::ptr_eq(&self.entries[on.place], version) {
                way.to_mut().entries[on.place] = version.clone();
            }
        }
        way
    }

    /// A shadow at this place that can run.
    fn shadow_at(&self, place: usize) -> Option<(&Entry, &Arc<Shadow>)> {
        let on = self.trials.iter().find(|on| on.place == place)?;
        on.shadow.as_ref().map(|shadow| (&*on.candidate, shadow))
    }

    /// Whether this plugin shapes bodies of webhooks.
    pub fn shapes(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.has(Hook::Webhook))
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &**entry)
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }
}

/// The chat of an event. A person who writes from a lid is named by the phone number where it is known, as whoever writes
/// to them does.
fn chat_of(event: &Event) -> Option<String> {
    let chat = event.data.get("chat").and_then(Value::as_str)?;
    let flag = |name: &str| event.data.get(name).and_then(Value::as_bool).unwrap_or(false);
    let person = || event.data.pointer("/sender/contactId").and_then(Value::as_str);
    let named = if chat.ends_with("@lid") && !flag("isGroup") && !flag("fromMe") { person() } else { None };
    let named = named.unwrap_or(chat);
    Some(ChatId::parse(named).map_or_else(|_| named.to_owned(), String::from))
}
