//! What a plugin changes of an event.

use super::bounds::{CONTENT_BYTES_MAX, NAME_CHARS_MAX, Unusable, limited, on_earth, parsed, short, unusable};
use super::event::texts;
use crate::plugins::bindings::inbound;
use crate::plugins::bindings::types::{self, Content as WitContent};
use serde_json::{Map, Value, json};

/// Members of an event's data that say what it is and not what it carries; a patch leaves them.
const IDENTITY: [&str; 10] =
    ["id", "waMessageId", "chat", "from", "fromMe", "isGroup", "sender", "timestamp", "tags", "extra"];
/// Members that say which message is answered; a patch of the content leaves them too.
const QUOTE: [&str; 3] = ["quotedMessageId", "quotedAuthor", "quotedText"];
/// Tags of one event; further ones are not added.
const TAGS_MAX: usize = 64;
const TAG_CHARS_MAX: usize = 64;
/// Bytes that `extra` may have after a patch.
const EXTRA_BYTES_MAX: usize = 64 << 10;

/// Whether a patch takes away what was said: then it is gone from the raw form too.
pub(in crate::plugins) fn replaces_content(patch: &inbound::Patch) -> bool {
    patch.content.is_some() || patch.text.is_some()
}

/// The event's data after a patch.
pub(in crate::plugins) fn patched(mut data: Value, patch: &inbound::Patch) -> Result<Value, Unusable> {
    let Some(object) = data.as_object_mut() else { return Err(unusable("the event has no data to patch")) };
    if let Some(content) = &patch.content {
        object.retain(|key, _| IDENTITY.contains(&key.as_str()) || QUOTE.contains(&key.as_str()));
        object.extend(content_members(content)?);
    }
    if let Some(text) = &patch.text {
        let key = if object.get("type").and_then(Value::as_str) == Some("text") { "text" } else { "caption" };
        object.insert(key.to_owned(), Value::String(limited(text)?));
    }
    tag(object, &patch.add_tags, &patch.remove_tags);
    if let Some(extra) = &patch.extra {
        merge_extra(object, extra)?;
    }
    Ok(data)
}

fn content_members(content: &WitContent) -> Result<Map<String, Value>, Unusable> {
    let members = match content {
        WitContent::Text(text) => json!({ "type": "text", "text": limited(text)? }),
        WitContent::Location(at) => {
            on_earth(at)?;
            json!({ "type": "location", "latitude": at.latitude, "longitude": at.longitude,
                "name": at.name, "address": at.address })
        }
        WitContent::Contacts(cards) => {
            let contacts: Vec<Value> =
                cards.iter().map(|card| json!({ "displayName": card.name, "vcard": card.vcard })).collect();
            json!({ "type": "contact", "contacts": contacts })
        }
        WitContent::Media(media) => {
            let kind = match media.kind {
                types::MediaKind::Image => "image",
                types::MediaKind::Video => "video",
                types::MediaKind::Audio => "audio",
                types::MediaKind::Document => "document",
                types::MediaKind::Sticker => "sticker",
                types::MediaKind::Other => "media",
            };
            json!({ "type": kind, "mediaId": media.handle, "mimeType": media.mime, "size": media.size,
                "fileName": media.file_name, "caption": media.caption })
        }
        WitContent::Reaction(reaction) => {
            json!({ "type": "reaction", "messageId": reaction.message_id, "emoji": reaction.emoji })
        }
        WitContent::Poll(poll) => json!({ "type": "poll", "question": poll.question, "options": poll.choices,
            "selectableCount": poll.selectable }),
        WitContent::InteractiveReply(reply) => {
            json!({ "type": "interactive_reply", "replyId": reply.id, "title": reply.title })
        }
        WitContent::Other(other) => {
            short("the name of a content", &other.name, 1, NAME_CHARS_MAX)?;
            let value = parsed(&format!("the content {:?}", other.name), &other.value, CONTENT_BYTES_MAX)?;
            json!({ "type": other.name, "value": value })
        }
    };
    let is_text = matches!(content, WitContent::Text(_));
    if !is_text && members.to_string().len() > CONTENT_BYTES_MAX {
        return Err(unusable(format!("a content has more than {CONTENT_BYTES_MAX} bytes")));
    }
    match members {
        Value::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

fn tag(object: &mut Map<String, Value>, add: &[String], remove: &[String]) {
    if add.is_empty() && remove.is_empty() {
        return;
    }
    let mut tags = object.get("tags").map(|tags| texts(&json!({ "tags": tags }), "tags")).unwrap_or_default();
    tags.retain(|tag| !remove.contains(tag));
    add_tags(&mut tags, add);
    object.insert("tags".to_owned(), json!(tags));
}

/// Those that fit and are not there yet.
pub(in crate::plugins) fn add_tags(tags: &mut Vec<String>, add: &[String]) {
    for tag in add {
        let fits = tags.len() < TAGS_MAX && !tag.is_empty() && tag.chars().count() <= TAG_CHARS_MAX;
        if fits && !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
}

fn merge_extra(object: &mut Map<String, Value>, extra: &str) -> Result<(), Unusable> {
    let patch = parsed("extra", extra, EXTRA_BYTES_MAX)?;
    if !patch.is_object() {
        return Err(unusable("extra is no JSON object"));
    }
    let merged = object.entry("extra").or_insert_with(|| json!({}));
    merge(merged, &patch);
    if merged.to_string().len() > EXTRA_BYTES_MAX {
        return Err(unusable(format!("extra has more than {EXTRA_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// RFC 7396. Depth is bounded by the JSON parser's own limit.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Value {
        json!({ "id": "3EB0", "chat": "62811@s.whatsapp.net", "from": "62811@s.whatsapp.net", "fromMe": false,
            "sender": { "contactId": "62811@s.whatsapp.net", "jid": "62811@s.whatsapp.net", "phone": "62811", "lid": "9@lid", "name": "Budi" },
            "type": "text", "text": "my card is 4111", "timestamp": 1 })
    }

    fn patch() -> inbound::Patch {
        inbound::Patch { content: None, text: None, add_tags: vec![], remove_tags: vec![], extra: None }
    }

    #[test]
    fn a_patch_changes_what_was_said_and_nothing_of_who_said_it() {
        let patch = inbound::Patch {
            content: Some(WitContent::Location(types::Location {
                latitude: 1.5,
                longitude: 2.5,
                name: None,
                address: None,
            })),
            ..patch()
        };

        let after = patched(data(), &patch).expect("patched");

        assert_eq!(after["type"], "location");
        assert_eq!(after.get("text"), None);
        for member in ["id", "chat", "from", "sender", "timestamp"] {
            assert_eq!(after[member], data()[member]);
        }
    }

    #[test]
    fn tags_are_a_set_and_extra_is_merged() {
        let first = inbound::Patch {
            add_tags: vec!["vip".into(), "vip".into(), "new".into()],
            extra: Some(r#"{"a":{"b":1,"c":2}}"#.into()),
            ..patch()
        };
        let second = inbound::Patch {
            remove_tags: vec!["new".into()],
            extra: Some(r#"{"a":{"b":null,"d":3}}"#.into()),
            ..patch()
        };

        let after = patched(patched(data(), &first).expect("first"), &second).expect("second");

        assert_eq!(after["tags"], json!(["vip"]));
        assert_eq!(after["extra"], json!({ "a": { "c": 2, "d": 3 } }));
    }

    #[test]
    fn extra_has_to_be_an_object() {
        let patch = inbound::Patch { extra: Some("[1]".into()), ..patch() };

        assert!(patched(data(), &patch).expect_err("refused").to_string().contains("object"));
    }
}
