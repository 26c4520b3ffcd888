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
mod tick;
mod trial;

pub use event::{Decided, Passed};
pub use format::{Formatted, no_such};
pub use rehearsal::{InvalidMessage, Names, Rehearsed, Step};
pub use send::{Origin, Outgoing, Verdict};
pub use tick::Ticked;
pub use trial::{TriedEvent, TriedMessage};

use super::instance::{Failure, Version};
use super::manifest::Hook;
use super::settings::PluginSettings;
use crate::domain::event::{EventType, wanted};
use crate::domain::ids::TenantId;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;

/// One plugin at its place.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) settings: PluginSettings,
    /// What it would be called for; known even when it cannot run.
    pub(super) hooks: Vec<Hook>,
    /// Event types of the inbound hook.
    pub(super) events: Vec<String>,
    pub(super) state: Standing,
}

#[derive(Clone)]
pub(super) enum Standing {
    Serving(Arc<Version>),
    /// It could not be loaded; each of its hooks fails with this, so that one that protects people still does.
    Broken(Failure),
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
            Standing::Broken(_) => None,
        }
    }

    fn sha256(&self) -> String {
        self.version().map(|version| version.home.sha256.clone()).unwrap_or_default()
    }
}

pub struct Pipeline {
    pub(super) tenant: TenantId,
    pub(super) entries: Vec<Entry>,
    pub(super) store: Store,
    pub(super) metrics: Arc<Metrics>,
}

impl Pipeline {
    /// Whether any plugin has this hook, so that a caller without one goes its short way.
    pub fn has(&self, hook: Hook) -> bool {
        self.entries.iter().any(|entry| entry.has(hook))
    }

    /// Whether this plugin shapes bodies of webhooks.
    pub fn shapes(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.has(Hook::Webhook))
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}
