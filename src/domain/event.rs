//! What can happen: the names of events, as tenants subscribe to them and find them in the log.

use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, EventId, TenantId};

macro_rules! event_types {
    ($($variant:ident => $name:literal,)*) => {
        /// The type of an event. The text form is the public name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType { $($variant,)* }

        impl EventType {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

event_types! {
    MessageReceived => "message.received",
    MessageSent => "message.sent",
    MessageUpdated => "message.updated",
    MessageDeleted => "message.deleted",
    MessageReaction => "message.reaction",
    PollVote => "poll.vote",
    ReceiptDelivery => "receipt.delivery",
    ReceiptRead => "receipt.read",
    ReceiptPlayed => "receipt.played",
    GroupCreated => "group.created",
    GroupUpdated => "group.updated",
    GroupDeleted => "group.deleted",
    ParticipantAdded => "participant.added",
    ParticipantRemoved => "participant.removed",
    ParticipantPromoted => "participant.promoted",
    ParticipantDemoted => "participant.demoted",
    ContactUpdated => "contact.updated",
    ChatUpdated => "chat.updated",
    PresenceUpdated => "presence.updated",
    NewsletterJoined => "newsletter.joined",
    NewsletterLeft => "newsletter.left",
    NewsletterUpdated => "newsletter.updated",
    NewsletterReactions => "newsletter.reactions",
    CallReceived => "call.received",
    MessageUndecryptable => "message.undecryptable",
    IdentityMerged => "identity.merged",
    DeviceConnected => "device.connected",
    DeviceDisconnected => "device.disconnected",
    DevicePairing => "device.pairing",
    DeviceNeedsPairing => "device.needs_pairing",
    DeviceDegraded => "device.degraded",
    DeviceRecovered => "device.recovered",
    HistorySynced => "history.synced",
    WebhookFailing => "webhook.failing",
    WebhookDisabled => "webhook.disabled",
    WebhookRecovered => "webhook.recovered",
    PluginLoaded => "plugin.loaded",
    PluginReloaded => "plugin.reloaded",
    PluginReloadFailed => "plugin.reload_failed",
    PluginTripped => "plugin.tripped",
    ConfigApplied => "config.applied",
}

/// What a webhook asks for: one type, all of them, or an older name that stands for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription(Vec<EventType>);

impl Subscription {
    /// The old name that covers every change of a sent message's status.
    pub const MESSAGE_STATUS: &'static str = "message.status";

    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "*" => Some(Self(EventType::ALL.to_vec())),
            Self::MESSAGE_STATUS => {
                Some(Self(vec![EventType::MessageUpdated, EventType::ReceiptDelivery, EventType::ReceiptRead]))
            }
            _ => EventType::parse(name).map(|one| Self(vec![one])),
        }
    }

    pub fn types(&self) -> &[EventType] {
        &self.0
    }

    pub fn covers(&self, type_: EventType) -> bool {
        self.0.contains(&type_)
    }
}

/// Whether any of a webhook's subscriptions wants events of this type. A name we do not know wants nothing.
pub fn wanted(subscriptions: &[String], type_: EventType) -> bool {
    subscriptions.iter().filter_map(|name| Subscription::parse(name)).any(|s| s.covers(type_))
}

/// One thing that happened, on its way into the log. `data` is the documented public payload.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: EventId,
    pub tenant: TenantId,
    /// Absent for what concerns the tenant as a whole.
    pub device: Option<DeviceId>,
    pub type_: EventType,
    pub at: UnixMs,
    pub data: serde_json::Value,
    /// Set when a plugin dropped it: it is kept and delivered nowhere.
    pub dropped: Option<Dropped>,
    /// Set when plugins chose among the webhooks that want it: their names.
    pub route: Option<Vec<String>>,
}

/// Which plugin dropped an event, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub by: String,
    pub why: String,
}

impl Event {
    pub fn new(
        tenant: TenantId,
        device: Option<DeviceId>,
        type_: EventType,
        at: UnixMs,
        data: serde_json::Value,
    ) -> Self {
        Self { id: EventId::generate(), tenant, device, type_, at, data, dropped: None, route: None }
    }

    /// Whether plugins see it. What the gateway says of plugins, webhooks and configuration passes them by: a plugin that
    /// fails on the event that it failed would feed itself.
    pub fn passes_plugins(&self) -> bool {
        !["plugin.", "webhook.", "config."].iter().any(|area| self.type_.as_str().starts_with(area))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_to_its_type() {
        for type_ in EventType::ALL {
            assert_eq!(EventType::parse(type_.as_str()), Some(*type_));
        }
    }

    #[test]
    fn a_star_wants_all_and_the_old_status_name_wants_three() {
        assert!(wanted(&["*".into()], EventType::PluginTripped));
        let status = ["message.status".to_owned()];
        assert!(wanted(&status, EventType::ReceiptRead));
        assert!(wanted(&status, EventType::MessageUpdated));
        assert!(!wanted(&status, EventType::MessageReceived));
        assert!(!wanted(&["no.such".into()], EventType::MessageReceived));
    }
}
