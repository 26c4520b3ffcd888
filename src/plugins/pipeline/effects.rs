//! What a hook wants done, turned into what the commit writes. All of a call's effects, or none.

use super::Pipeline;
use super::run::Run;
use super::send::{Origin, Outgoing, Verdict};
use crate::domain::aftermath::{PluginSend, derived_ids};
use crate::domain::event::Event;
use crate::domain::ids::DeviceId;
use crate::domain::jid::ChatId;
use crate::domain::media::CAPTION_CHARS_MAX;
use crate::domain::outgoing::{Content, TEXT_CHARS_MAX};
use crate::domain::template::fill;
use crate::plugins::bindings::inbound::Effect;
use crate::plugins::bindings::types::{NewMessage, Sendable};
use crate::plugins::convert;
use crate::plugins::instance::{Failure, Version};
use crate::plugins::manifest::{EffectKind, Hook};
use crate::store::StoreError;
use serde_json::{Value, json};
use std::time::Duration;

const DEDUPE_KEY_CHARS_MAX: usize = 200;
const ROUTE_NAMES_MAX: usize = 100;
const ROUTE_NAME_CHARS_MAX: usize = 200;
/// Effects of one call, whatever they are; a call that returns more is refused before any of them is looked at.
const EFFECTS_MAX: usize = 200;

/// A message as an effect asks for it.
struct Wish {
    effect: EffectKind,
    device: DeviceId,
    chat: ChatId,
    content: Content,
    dedupe_key: Option<String>,
}

/// What is told of effects in the trace, and the webhooks that were chosen.
type Followed = (Vec<Value>, Option<Vec<String>>);

fn refused(why: impl Into<String>) -> Failure {
    Failure::refused(why)
}

fn unusable(error: convert::Unusable) -> Failure {
    Failure::refused(error.to_string())
}

impl Pipeline {
    /// Follows the effects of the plugin at `place` on an event.
    pub(super) async fn effects(
        &self,
        run: &mut Run,
        place: usize,
        event: &Event,
        effects: &[Effect],
    ) -> Result<Followed, Failure> {
        let Some(version) = self.entries[place].version() else { return Ok((Vec::new(), None)) };
        if effects.len() > EFFECTS_MAX {
            return Err(refused(format!("more than {EFFECTS_MAX} effects in one call")));
        }
        let messages = effects.iter().filter(|effect| !matches!(effect, Effect::Route(_) | Effect::Other(_))).count();
        few_enough(version, messages)?;
        let (mut wishes, mut route) = (Vec::new(), None::<Vec<String>>);
        for effect in effects {
            match effect {
                Effect::Route(names) => {
                    granted(version, EffectKind::Route)?;
                    if names.len() > ROUTE_NAMES_MAX {
                        return Err(refused(format!("a route names more than {ROUTE_NAMES_MAX} webhooks")));
                    }
                    if names.iter().any(|name| name.chars().count() > ROUTE_NAME_CHARS_MAX) {
                        let why = format!("a route names a webhook with more than {ROUTE_NAME_CHARS_MAX} characters");
                        return Err(refused(why));
                    }
                    route = Some(match route {
                        Some(before) => before.into_iter().filter(|name| names.contains(name)).collect(),
                        None => names.clone(),
                    });
                }
                Effect::Other(other) => {
                    return Err(refused(format!("this version of the gateway knows no effect {:?}", other.name)));
                }
                message => wishes.push(self.wish(run, version, event, message).await?),
            }
        }
        let mut told = self.send_all(run, place, event.at, wishes).await?;
        if let Some(names) = &route {
            told.push(json!({ "effect": "route", "webhooks": names }));
        }
        Ok((told, route))
    }

    async fn wish(&self, run: &Run, version: &Version, event: &Event, effect: &Effect) -> Result<Wish, Failure> {
        let device = event.device.clone().ok_or_else(|| refused("the event belongs to no device"));
        let here = || {
            let jid = event.data.get("chat").and_then(Value::as_str).unwrap_or_default();
            // What is posted in a newsletter is posted by an API call: a plugin that answers what it reads there would answer
            // itself.
            let chat = ChatId::parse(jid).ok().filter(|chat| !chat.is_newsletter());
            chat.ok_or_else(|| refused(format!("nothing can be sent to the chat {jid:?}")))
        };
        let message_id = event.data.get("id").and_then(Value::as_str).map(str::to_owned);
        let author = || {
            let is_group = event.data.get("isGroup").and_then(Value::as_bool).unwrap_or(false);
            event.data.get("from").and_then(Value::as_str).filter(|_| is_group).map(str::to_owned)
        };
        let (effect, device, chat, content) = match effect {
            Effect::Reply(sendable) => {
                let filled = self.filled(sendable).await?;
                let content = convert::sendable(&filled, message_id, &[]).map_err(unusable)?;
                (EffectKind::Reply, device?, here()?, content)
            }
            Effect::Send(new) => return self.wished_send(run, version, Some(device?), new).await,
            Effect::Forward(to) => {
                let content = convert::forwardable(event).map_err(unusable)?;
                (EffectKind::Forward, device?, convert::recipient(to).map_err(unusable)?, content)
            }
            Effect::React(emoji) => {
                let message_id = message_id.ok_or_else(|| refused("the event is no message to react to"))?;
                let from_me = event.data.get("fromMe").and_then(Value::as_bool).unwrap_or(false);
                let emoji = convert::emoji(emoji).map_err(unusable)?;
                let content = Content::Reaction { message_id, emoji, from_me, participant: author() };
                (EffectKind::React, device?, here()?, content)
            }
            Effect::MarkRead => {
                let message_id = message_id.ok_or_else(|| refused("the event is no message to mark as read"))?;
                let content = Content::ReadReceipt { message_ids: vec![message_id], participant: author() };
                (EffectKind::MarkRead, device?, here()?, content)
            }
            Effect::Route(_) | Effect::Other(_) => return Err(refused("the effect is no message")),
        };
        granted(version, effect)?;
        Ok(Wish { effect, device, chat, content, dedupe_key: None })
    }

    async fn wished_send(
        &self,
        run: &Run,
        version: &Version,
        own: Option<DeviceId>,
        new: &NewMessage,
    ) -> Result<Wish, Failure> {
        granted(version, EffectKind::Send)?;
        let row =
            self.store.device_by_name(&self.tenant, run.device(&new.device)).await.map_err(|error| match error {
                StoreError::NotFound => refused(format!("there is no device {:?}", new.device)),
                other => Failure::Unusable(other.to_string()),
            })?;
        let names = [row.id.as_str(), row.slug.as_deref().unwrap_or_default()];
        if own.as_ref() != Some(&row.id) && !version.home.granted.allows_device(&names) {
            return Err(refused(format!(
                "sending from the device {:?} is not granted: add it to grants.devices",
                new.device
            )));
        }
        if new.dedupe_key.as_ref().is_some_and(|key| key.is_empty() || key.chars().count() > DEDUPE_KEY_CHARS_MAX) {
            return Err(refused(format!("a dedupe key must have 1 to {DEDUPE_KEY_CHARS_MAX} characters")));
        }
        let filled = self.filled(&new.content).await?;
        Ok(Wish {
            effect: EffectKind::Send,
            device: row.id,
            chat: convert::recipient(&new.to).map_err(unusable)?,
            content: convert::sendable(&filled, convert::quoted(new).map_err(unusable)?, &new.mentions)
                .map_err(unusable)?,
            dedupe_key: new.dedupe_key.clone(),
        })
    }

    /// A template as the text or the file that it makes; everything else as it is.
    async fn filled(&self, content: &Sendable) -> Result<Sendable, Failure> {
        let Sendable::Template(template) = content else { return Ok(content.clone()) };
        let row = self.store.template(&self.tenant, &template.name).await.map_err(|error| match error {
            StoreError::NotFound => refused(format!("there is no template {:?}", template.name)),
            other => Failure::Unusable(other.to_string()),
        })?;
        let values = template.variables.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
        let chars_max = if row.media.is_some() { CAPTION_CHARS_MAX } else { TEXT_CHARS_MAX };
        let text = fill(&row.text, &values, chars_max).map_err(|why| refused(why.to_string()))?;
        Ok(match row.media {
            Some(media) => convert::template_media(&media, text),
            None => Sendable::Text(text),
        })
    }

    /// The messages of a tick.
    pub(super) async fn tick_sends(
        &self,
        run: &mut Run,
        place: usize,
        at: i64,
        sends: &[&NewMessage],
    ) -> Result<Vec<Value>, Failure> {
        let Some(version) = self.entries[place].version() else { return Ok(Vec::new()) };
        few_enough(version, sends.len())?;
        let mut wishes = Vec::with_capacity(sends.len());
        for new in sends {
            wishes.push(self.wished_send(run, version, None, new).await?);
        }
        self.send_all(run, place, at, wishes).await
    }

    /// Takes every message through the plugins behind the one that sends it, and into what is committed.
    async fn send_all(&self, run: &mut Run, place: usize, at: i64, wishes: Vec<Wish>) -> Result<Vec<Value>, Failure> {
        let entry = &self.entries[place];
        let Some(version) = entry.version() else { return Ok(Vec::new()) };
        let limits = &version.home.limits;
        if !run.dry && !version.home.sends.take(wishes.len(), self.store.clock().now_ms()) {
            return Err(refused(format!("more than {} messages in a minute", limits.sends_per_minute)));
        }
        let mut told = Vec::with_capacity(wishes.len());
        for (ordinal, wish) in wishes.into_iter().enumerate() {
            let (id, wa_id) = derived_ids(at, &format!("{} {}", self.tenant, run.subject), &entry.name, ordinal);
            let mut tell = json!({ "effect": wish.effect.as_str(), "to": wish.chat, "message": id });
            let content = if wish.content.is_message() {
                let origin = Origin::Plugin(entry.name.clone());
                let outgoing =
                    Outgoing { id: id.clone(), device: wish.device.clone(), chat: wish.chat.clone(), at, origin };
                let way = self.way(Some(outgoing.chat.as_str()));
                match way.pass_outbound(run, place + 1, &outgoing, wish.content).await {
                    Verdict::Accepted(content) => content,
                    Verdict::Rejected { plugin, code, message } => {
                        tell["rejectedBy"] = json!({ "plugin": plugin, "code": code, "message": message });
                        told.push(tell);
                        continue;
                    }
                }
            } else {
                wish.content
            };
            told.push(tell);
            run.aftermath.sends.push(PluginSend {
                plugin: entry.name.clone(),
                device: wish.device,
                id,
                wa_id,
                chat: wish.chat,
                content,
                dedupe_key: wish.dedupe_key,
            });
        }
        Ok(told)
    }

    /// A message that a plugin after the sender rejects is told in a trace of its own, by the one that rejects.
    pub(super) fn tell_rejected(&self, run: &mut Run, place: usize, code: &str, message: &str, took: Duration) {
        let detail = json!({ "code": code, "message": message });
        run.trace(self, &self.entries[place], Hook::Outbound, "reject", detail, took);
    }
}

/// Before the store is asked about any of them.
fn few_enough(version: &Version, messages: usize) -> Result<(), Failure> {
    let most = version.home.limits.sends_per_call;
    if messages > most as usize {
        return Err(refused(format!("more than {most} messages in one call")));
    }
    Ok(())
}

fn granted(version: &Version, effect: EffectKind) -> Result<(), Failure> {
    if version.home.granted.allows_effect(effect) {
        return Ok(());
    }
    let name = effect.as_str();
    Err(refused(format!("the effect {name:?} is not granted: name it in wants.effects and grants.effects")))
}
