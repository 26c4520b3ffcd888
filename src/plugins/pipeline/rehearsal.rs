//! One step of a rehearsal: an event, a message, a delivery or a tick goes through the same code as any other, and what the
//! plugin said is kept word for word beside what came of it. The author's tests are made of these.
//!
//! A rehearsal may name a tenant, a device or an event as it likes; the plugin sees these names, the store their ids.

use super::Pipeline;
use super::run::Run;
use crate::domain::aftermath::Aftermath;
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::ids::DeviceId;
use crate::plugins::bindings::outbound;
use crate::plugins::bindings::types::{self, ContactCard, Location, Reaction, Sendable};
use crate::plugins::convert::{self, Unusable};
use crate::plugins::instance::Failure;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands for ids.
#[derive(Debug, Clone, Default)]
pub struct Names {
    pub tenant: String,
    /// Of the event, when the step has one.
    pub event: String,
    pub devices: BTreeMap<String, DeviceId>,
}

pub enum Step {
    Event(Event),
    /// The fields of `outbound.message`, in camelCase, all of them.
    Message(Value),
    Delivery {
        event: Event,
        webhook_id: String,
        webhook_name: String,
    },
    Tick {
        name: String,
        scheduled_for: UnixMs,
    },
}

pub struct Rehearsed {
    /// What the plugin said, as `{"verdict", "effects"}`; none when it was not asked, or could not say anything.
    pub said: Option<Value>,
    /// It could not decide, or what it decided cannot be followed.
    pub failure: Option<Failure>,
    /// To be committed, as the gateway would.
    pub aftermath: Aftermath,
}

/// The message of a step is none that a gateway could take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an outbound message: {0}")]
pub struct InvalidMessage(String);

/// What a run holds while it is a rehearsal.
#[derive(Default)]
pub(super) struct Rehearsal {
    pub(super) names: Names,
    pub(super) said: Option<Value>,
    pub(super) failure: Option<Failure>,
}

impl Rehearsal {
    fn name_of(&self, id: &str) -> Option<&String> {
        self.names.devices.iter().find(|(_, device)| device.as_str() == id).map(|(name, _)| name)
    }

    /// The event with names for ids.
    pub(super) fn named(&self, mut event: types::Event) -> types::Event {
        event.tenant.clone_from(&self.names.tenant);
        event.id.clone_from(&self.names.event);
        if let Some(name) = self.name_of(&event.device) {
            event.device.clone_from(name);
        }
        event
    }
}

impl Pipeline {
    /// Takes one step through the plugin of this name, at its last try: an error is an error, and nobody waits.
    pub async fn rehearse(&self, plugin: &str, names: Names, step: Step) -> Result<Rehearsed, InvalidMessage> {
        let subject = match &step {
            Step::Event(event) | Step::Delivery { event, .. } => event.id.to_string(),
            Step::Message(message) => message["id"].as_str().unwrap_or_default().to_owned(),
            Step::Tick { name, scheduled_for } => format!("tick:{name}:{scheduled_for}"),
        };
        let mut run = Run::rehearsal(subject, names);
        match step {
            Step::Event(event) => {
                // With the last try nothing waits; what becomes of the event is in the trace too.
                let _came_out = self.pass_inbound(&mut run, event, true).await;
            }
            Step::Message(message) => {
                let seen = written(message)?;
                let content = seen.content.as_ref().map(|content| {
                    convert::sendable(content, seen.reply_to.clone(), &seen.mentions)
                        .map_err(|Unusable(why)| InvalidMessage(why))
                });
                self.pass_written(&mut run, seen, content.transpose()?).await;
            }
            Step::Delivery { event, webhook_id, webhook_name } => {
                self.shape(&mut run, plugin, &event, &webhook_id, &webhook_name, true).await;
            }
            Step::Tick { name, scheduled_for } => {
                self.run_tick(&mut run, plugin, &name, scheduled_for, true).await;
            }
        }
        let heard = run.rehearsal.unwrap_or_default();
        Ok(Rehearsed { said: heard.said, failure: heard.failure, aftermath: run.aftermath })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenMessage {
    id: String,
    tenant: String,
    device: String,
    time: u64,
    origin: WrittenOrigin,
    kind: WrittenKind,
    to: String,
    content: Option<WrittenContent>,
    reply_to: Option<String>,
    mentions: Vec<String>,
    send_at: Option<u64>,
    tags: Vec<String>,
    extra: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenOrigin {
    Api(String),
    Bulk(String),
    Scheduled(String),
    Plugin(String),
    Other(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenKind {
    New,
    Edit(String),
    Delete(String),
    Forward(String),
}

/// What this version of the gateway can send.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenContent {
    Text(String),
    Location(WrittenLocation),
    Contacts(Vec<WrittenCard>),
    Reaction(WrittenReaction),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLocation {
    latitude: f64,
    longitude: f64,
    name: Option<String>,
    address: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCard {
    name: String,
    #[serde(default)]
    phones: Vec<String>,
    vcard: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenReaction {
    message_id: String,
    emoji: String,
}

fn written(message: Value) -> Result<outbound::Message, InvalidMessage> {
    let message: WrittenMessage = serde_json::from_value(message).map_err(|error| InvalidMessage(error.to_string()))?;
    Ok(outbound::Message {
        id: message.id,
        tenant: message.tenant,
        device: message.device,
        time: message.time,
        origin: match message.origin {
            WrittenOrigin::Api(name) => outbound::Origin::Api(name),
            WrittenOrigin::Bulk(name) => outbound::Origin::Bulk(name),
            WrittenOrigin::Scheduled(name) => outbound::Origin::Scheduled(name),
            WrittenOrigin::Plugin(name) => outbound::Origin::Plugin(name),
            WrittenOrigin::Other(name) => outbound::Origin::Other(name),
        },
        kind: match message.kind {
            WrittenKind::New => outbound::Kind::New,
            WrittenKind::Edit(id) => outbound::Kind::Edit(id),
            WrittenKind::Delete(id) => outbound::Kind::Delete(id),
            WrittenKind::Forward(id) => outbound::Kind::Forward(id),
        },
        to: message.to,
        content: message.content.map(|content| match content {
            WrittenContent::Text(text) => Sendable::Text(text),
            WrittenContent::Location(at) => Sendable::Location(Location {
                latitude: at.latitude,
                longitude: at.longitude,
                name: at.name,
                address: at.address,
            }),
            WrittenContent::Contacts(cards) => Sendable::Contacts(
                cards
                    .into_iter()
                    .map(|card| ContactCard { name: card.name, phones: card.phones, vcard: card.vcard })
                    .collect(),
            ),
            WrittenContent::Reaction(reaction) => {
                Sendable::Reaction(Reaction { message_id: reaction.message_id, emoji: reaction.emoji })
            }
        }),
        reply_to: message.reply_to,
        mentions: message.mentions,
        send_at: message.send_at,
        tags: message.tags,
        extra: message.extra.to_string(),
    })
}
