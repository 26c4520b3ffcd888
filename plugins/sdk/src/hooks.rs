//! The hooks: one trait each, and what they decide.

use crate::error::Result;
use crate::{Event, Millis};

/// Every event that the manifest subscribes to, in order per chat, before it reaches webhooks.
pub trait Inbound {
    fn on_event(&self, event: Event) -> Result<inbound::Outcome>;
}

/// Every message before it is accepted. It runs inside the caller's request: keep it short.
pub trait Outbound {
    fn on_send(&self, message: outbound::Message) -> Result<outbound::Verdict>;
}

/// The body of a delivery, for webhooks whose `format` names this plugin.
pub trait Webhook {
    fn format(&self, event: Event, webhook: webhook::WebhookRef) -> Result<webhook::Formatted>;
}

/// The schedules of the manifest, by name.
pub trait Scheduled {
    fn tick(&self, name: &str, scheduled_for: Millis, now: Millis) -> Result<Vec<scheduled::Effect>>;
}

pub mod inbound {
    pub use crate::bindings::inbound::exports::rijan::plugin::inbound::{Effect, Outcome, Patch, Verdict};
    use crate::{NewMessage, Sendable};

    impl Outcome {
        /// The event goes on as it is.
        pub fn pass() -> Self {
            Self { verdict: Verdict::Pass, effects: Vec::new() }
        }

        /// The event goes on changed.
        pub fn patch(patch: Patch) -> Self {
            Self { verdict: Verdict::Patch(patch), effects: Vec::new() }
        }

        /// The event is kept with this reason, and goes no further.
        pub fn drop(why: impl Into<String>) -> Self {
            Self { verdict: Verdict::Drop(why.into()), effects: Vec::new() }
        }

        /// And an effect, after those there are.
        pub fn with(mut self, effect: Effect) -> Self {
            self.effects.push(effect);
            self
        }

        /// And an answer to the same chat, which quotes the message. Text is a `Sendable`.
        pub fn reply(self, content: impl Into<Sendable>) -> Self {
            self.with(Effect::Reply(content.into()))
        }

        /// And another message.
        pub fn send(self, message: NewMessage) -> Self {
            self.with(Effect::Send(message))
        }
    }

    impl Default for Patch {
        /// Changes nothing.
        fn default() -> Self {
            Self { content: None, text: None, add_tags: Vec::new(), remove_tags: Vec::new(), extra: None }
        }
    }

    impl Patch {
        /// Replaces the text, or the caption of media.
        pub fn text(text: impl Into<String>) -> Self {
            Self { text: Some(text.into()), ..Self::default() }
        }

        pub fn tag(tag: impl Into<String>) -> Self {
            Self::default().and_tag(tag)
        }

        pub fn and_tag(mut self, tag: impl Into<String>) -> Self {
            self.add_tags.push(tag.into());
            self
        }
    }
}

pub mod outbound {
    pub use crate::bindings::outbound::exports::rijan::plugin::outbound::{
        Kind, Message, Origin, Patch, Rejection, Verdict,
    };

    impl Verdict {
        /// The caller gets a 422 with this code for programs and this message for people.
        pub fn reject(code: impl Into<String>, message: impl Into<String>) -> Self {
            Self::Reject(Rejection { code: code.into(), message: message.into() })
        }
    }

    impl Default for Patch {
        /// Changes nothing.
        fn default() -> Self {
            Self { content: None, text: None, add_tags: Vec::new(), remove_tags: Vec::new(), extra: None }
        }
    }

    impl Patch {
        /// Replaces the text, or the caption of media.
        pub fn text(text: impl Into<String>) -> Self {
            Self { text: Some(text.into()), ..Self::default() }
        }

        pub fn and_tag(mut self, tag: impl Into<String>) -> Self {
            self.add_tags.push(tag.into());
            self
        }
    }

    impl Message {
        /// The text, or the caption of media.
        pub fn text(&self) -> Option<&str> {
            self.content.as_ref()?.text()
        }
    }
}

pub mod webhook {
    use crate::Blob;
    pub use crate::bindings::webhook::exports::rijan::plugin::webhook::{Formatted, Request, WebhookRef};

    impl Formatted {
        /// A POST with this JSON document as its body.
        pub fn json(body: impl Into<String>) -> Self {
            Self::Request(Request {
                method: None,
                headers: Vec::new(),
                content_type: "application/json".into(),
                body: Blob::Text(body.into()),
            })
        }
    }
}

pub mod scheduled {
    pub use crate::bindings::scheduled::exports::rijan::plugin::scheduled::Effect;
}
