//! What a tenant may do how often and how much of it is kept, where its file says so in place of the gateway's own limits.

use serde::{Deserialize, Serialize};

/// So many, or as many as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    Off,
    Max(u32),
}

/// What a device sends, by the window it is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SendKind {
    /// Texts, and what is made of text alone: templates, buttons and lists, edits, deletions.
    Text,
    Media,
    Location,
    Contact,
    Reaction,
    Poll,
    Forward,
    /// Status posts.
    Status,
}

impl SendKind {
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Media,
        Self::Location,
        Self::Contact,
        Self::Reaction,
        Self::Poll,
        Self::Forward,
        Self::Status,
    ];

    /// The key of its window, in the gateway's configuration and in a tenant's file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Text => "text_per_minute",
            Self::Media => "media_per_minute",
            Self::Location => "location_per_minute",
            Self::Contact => "contact_per_minute",
            Self::Reaction => "reaction_per_minute",
            Self::Poll => "poll_per_minute",
            Self::Forward => "forward_per_minute",
            Self::Status => "status_per_minute",
        }
    }

    /// What is said of a message that waits until there is room.
    pub fn waits(self) -> String {
        format!("waits for room in the device's window {}", self.key())
    }
}

/// What is left out is as the gateway's configuration says. What is per minute is of one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    /// Requests in the window below.
    pub requests: Option<Allowed>,
    pub requests_window_s: Option<u32>,
    pub text_per_minute: Option<Allowed>,
    pub media_per_minute: Option<Allowed>,
    pub location_per_minute: Option<Allowed>,
    pub contact_per_minute: Option<Allowed>,
    pub reaction_per_minute: Option<Allowed>,
    pub poll_per_minute: Option<Allowed>,
    pub forward_per_minute: Option<Allowed>,
    pub status_per_minute: Option<Allowed>,
    /// Operations on groups.
    pub groups_per_minute: Option<Allowed>,
    /// Streams of events that are open at once.
    pub streams: Option<Allowed>,
    /// Days that events are kept.
    pub events_keep_days: Option<Allowed>,
}

impl Allowance {
    pub fn of(&self, kind: SendKind) -> Option<Allowed> {
        match kind {
            SendKind::Text => self.text_per_minute,
            SendKind::Media => self.media_per_minute,
            SendKind::Location => self.location_per_minute,
            SendKind::Contact => self.contact_per_minute,
            SendKind::Reaction => self.reaction_per_minute,
            SendKind::Poll => self.poll_per_minute,
            SendKind::Forward => self.forward_per_minute,
            SendKind::Status => self.status_per_minute,
        }
    }
}
