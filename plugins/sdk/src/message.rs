//! What is received and sent.

use crate::{Content, Event, NewMessage, Sendable};

impl Event {
    /// The text, or the caption of media.
    pub fn text(&self) -> Option<&str> {
        match self.content.as_ref()? {
            Content::Text(text) => Some(text),
            Content::Media(media) => media.caption.as_deref(),
            _ => None,
        }
    }
}

impl Sendable {
    /// The text, or the caption of media.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Media(media) => media.caption.as_deref(),
            _ => None,
        }
    }
}

impl From<&str> for Sendable {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Sendable {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl NewMessage {
    /// From this device to this phone number, contact id or JID.
    pub fn new(device: impl Into<String>, to: impl Into<String>, content: impl Into<Sendable>) -> Self {
        Self {
            device: device.into(),
            to: to.into(),
            content: content.into(),
            reply_to: None,
            mentions: Vec::new(),
            dedupe_key: None,
        }
    }

    /// At most one message with this key within 24 hours.
    pub fn once(mut self, key: impl Into<String>) -> Self {
        self.dedupe_key = Some(key.into());
        self
    }
}
