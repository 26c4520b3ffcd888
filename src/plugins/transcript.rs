//! What hooks say, as JSON in the words of `wit/`: variants by their names, fields in camelCase. The form of fixtures, which
//! docs/plugins.md describes; nothing is decided from it.

use super::bindings::types::{self, Content, MediaSource, NewMessage, Sendable};
use super::bindings::{inbound, outbound, scheduled, webhook};
use super::instance::Answer;
use serde_json::{Map, Value, json};

/// `{"verdict", "effects"}`; of hooks that have no effects, and of ticks, which have no verdict, the one that there is.
pub(super) fn answer(answer: &Answer) -> Value {
    match answer {
        Answer::Event(outcome) => {
            let effects: Vec<Value> = outcome.effects.iter().map(effect).collect();
            json!({ "verdict": verdict(&outcome.verdict), "effects": effects })
        }
        Answer::Send(said) => json!({ "verdict": sent(said) }),
        Answer::Format(formatted) => json!({ "verdict": body(formatted) }),
        Answer::Tick(effects) => {
            let effects = effects.iter().map(|effect| match effect {
                scheduled::Effect::Send(new) => json!({ "send": message(new) }),
                scheduled::Effect::Other(other) => json!({ "other": named(other) }),
            });
            json!({ "effects": effects.collect::<Vec<Value>>() })
        }
    }
}

fn verdict(verdict: &inbound::Verdict) -> Value {
    match verdict {
        inbound::Verdict::Pass => json!("pass"),
        inbound::Verdict::Drop(why) => json!({ "drop": why }),
        inbound::Verdict::Patch(patch) => {
            let content = patch.content.as_ref().map(content);
            json!({ "patch": patched(content, &patch.text, &patch.add_tags, &patch.remove_tags, &patch.extra) })
        }
    }
}

fn sent(verdict: &outbound::Verdict) -> Value {
    match verdict {
        outbound::Verdict::Pass => json!("pass"),
        outbound::Verdict::Reject(no) => json!({ "reject": { "code": no.code, "message": no.message } }),
        outbound::Verdict::Patch(patch) => {
            let content = patch.content.as_ref().map(sendable);
            json!({ "patch": patched(content, &patch.text, &patch.add_tags, &patch.remove_tags, &patch.extra) })
        }
    }
}

fn body(formatted: &webhook::Formatted) -> Value {
    match formatted {
        webhook::Formatted::Default => json!("default"),
        webhook::Formatted::Skip => json!("skip"),
        webhook::Formatted::Request(request) => {
            let headers: Map<String, Value> =
                request.headers.iter().map(|field| (field.name.to_ascii_lowercase(), json!(field.value))).collect();
            let body = match &request.body {
                types::Blob::Text(text) => document(text.as_bytes()),
                types::Blob::Bytes(bytes) => document(bytes),
            };
            let shown = json!({ "headers": headers, "contentType": request.content_type, "body": body });
            json!({ "request": with(shown, [("method", request.method.as_ref().map(|method| json!(method)))]) })
        }
    }
}

/// A body as the JSON that it is, else as its text, else as its bytes.
pub fn document(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Err(_) => json!({ "base64": base64::prelude::BASE64_STANDARD.encode(bytes) }),
    }
}

fn patched(
    content: Option<Value>,
    text: &Option<String>,
    add_tags: &[String],
    remove_tags: &[String],
    extra: &Option<String>,
) -> Value {
    let extra = extra.as_ref().map(|extra| serde_json::from_str(extra).unwrap_or_else(|_| json!(extra)));
    let text = text.as_ref().map(|text| json!(text));
    with(
        json!({ "addTags": add_tags, "removeTags": remove_tags }),
        [("content", content), ("text", text), ("extra", extra)],
    )
}

fn effect(effect: &inbound::Effect) -> Value {
    match effect {
        inbound::Effect::Reply(content) => json!({ "reply": sendable(content) }),
        inbound::Effect::Send(new) => json!({ "send": message(new) }),
        inbound::Effect::Forward(to) => json!({ "forward": to }),
        inbound::Effect::React(emoji) => json!({ "react": emoji }),
        inbound::Effect::MarkRead => json!("mark-read"),
        inbound::Effect::Route(names) => json!({ "route": names }),
        inbound::Effect::Other(other) => json!({ "other": named(other) }),
    }
}

fn message(new: &NewMessage) -> Value {
    let shown =
        json!({ "device": new.device, "to": new.to, "content": sendable(&new.content), "mentions": new.mentions });
    with(shown, [("replyTo", some(&new.reply_to)), ("dedupeKey", some(&new.dedupe_key))])
}

fn sendable(sendable: &Sendable) -> Value {
    match sendable {
        Sendable::Text(text) => json!({ "text": text }),
        Sendable::Location(at) => json!({ "location": location(at) }),
        Sendable::Contacts(cards) => json!({ "contacts": contacts(cards) }),
        Sendable::Reaction(reaction) => json!({ "reaction": reacted(reaction) }),
        Sendable::Poll(poll) => json!({ "poll": asked(poll) }),
        Sendable::Media(media) => {
            let source = match &media.source {
                MediaSource::Handle(handle) => json!({ "handle": handle }),
                MediaSource::Url(url) => json!({ "url": url }),
            };
            let shown = json!({ "source": source, "kind": kind(media.kind), "voice": media.voice,
                "viewOnce": media.view_once });
            let optional =
                [("mime", some(&media.mime)), ("fileName", some(&media.file_name)), ("caption", some(&media.caption))];
            json!({ "media": with(shown, optional) })
        }
        Sendable::Template(template) => {
            let variables: Vec<Value> =
                template.variables.iter().map(|field| json!({ "name": field.name, "value": field.value })).collect();
            json!({ "template": { "name": template.name, "variables": variables } })
        }
        Sendable::Other(other) => json!({ "other": named(other) }),
    }
}

fn content(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!({ "text": text }),
        Content::Location(at) => json!({ "location": location(at) }),
        Content::Contacts(cards) => json!({ "contacts": contacts(cards) }),
        Content::Reaction(reaction) => json!({ "reaction": reacted(reaction) }),
        Content::Poll(poll) => json!({ "poll": asked(poll) }),
        Content::Media(media) => {
            let shown =
                json!({ "handle": media.handle, "kind": kind(media.kind), "mime": media.mime, "size": media.size });
            json!({ "media": with(shown, [("fileName", some(&media.file_name)), ("caption", some(&media.caption))]) })
        }
        Content::InteractiveReply(reply) => json!({ "interactive-reply": { "id": reply.id, "title": reply.title } }),
        Content::Other(other) => json!({ "other": named(other) }),
    }
}

fn location(at: &types::Location) -> Value {
    let shown = json!({ "latitude": at.latitude, "longitude": at.longitude });
    with(shown, [("name", some(&at.name)), ("address", some(&at.address))])
}

fn contacts(cards: &[types::ContactCard]) -> Vec<Value> {
    let shown = |card: &types::ContactCard| json!({ "name": card.name, "phones": card.phones });
    cards.iter().map(|card| with(shown(card), [("vcard", some(&card.vcard))])).collect()
}

fn reacted(reaction: &types::Reaction) -> Value {
    json!({ "messageId": reaction.message_id, "emoji": reaction.emoji })
}

fn asked(poll: &types::Poll) -> Value {
    json!({ "question": poll.question, "choices": poll.choices, "selectable": poll.selectable })
}

fn named(other: &types::NamedJson) -> Value {
    json!({ "name": other.name, "value": document(other.value.as_bytes()) })
}

fn kind(kind: types::MediaKind) -> &'static str {
    match kind {
        types::MediaKind::Image => "image",
        types::MediaKind::Video => "video",
        types::MediaKind::Audio => "audio",
        types::MediaKind::Document => "document",
        types::MediaKind::Sticker => "sticker",
        types::MediaKind::Other => "other",
    }
}

fn some(text: &Option<String>) -> Option<Value> {
    text.as_ref().map(|text| json!(text))
}

/// The members that are there.
fn with<const N: usize>(mut shown: Value, optional: [(&str, Option<Value>); N]) -> Value {
    for (name, value) in optional {
        if let Some(value) = value {
            shown[name] = value;
        }
    }
    shown
}
