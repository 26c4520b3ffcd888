//! Between the gateway's own forms and those of `wit/`: events and messages on their way in, patches and effects on
//! their way out.

use super::bindings::types::{self, Content as WitContent, Sendable};
use super::bindings::{inbound, outbound};
use super::instance::cut;
use crate::domain::event::Event;
use crate::domain::ids::MediaId;
use crate::domain::interactive::Interactive;
use crate::domain::jid::{ChatId, PhoneNumber};
use crate::domain::media::{CAPTION_CHARS_MAX, MediaKind};
use crate::domain::outgoing::{
    CONTACTS_MAX, ContactCard, Content, EMOJI_CHARS_MAX, MENTIONS_MAX, MediaContent, TEXT_CHARS_MAX,
};
use crate::domain::poll::{OPTION_CHARS_MAX, OPTIONS_MAX, OPTIONS_MIN, Poll, QUESTION_CHARS_MAX};
use crate::domain::status_post::{self, StatusPost};
use crate::store::TemplateMedia;
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
/// Bytes of a content that is not text, as JSON.
const CONTENT_BYTES_MAX: usize = 256 << 10;
/// Levels of JSON from a plugin. A document that holds it is read again by parsers that stop at 128.
const JSON_LEVELS_MAX: usize = 32;
/// Characters of a place's name or address, or a contact's name.
const NAME_CHARS_MAX: usize = 1_000;
const VCARD_CHARS_MAX: usize = 65_536;
const MESSAGE_ID_CHARS_MAX: usize = 128;

fn text(data: &Value, key: &str) -> Option<String> {
    data.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn sender(data: &Value) -> Option<types::Sender> {
    let sender = data.get("sender")?;
    let phone = text(sender, "phone");
    let lid = text(sender, "lid");
    let contact_id = text(sender, "contactId").or_else(|| text(sender, "jid"))?;
    Some(types::Sender {
        contact_id,
        phone: phone.map(|phone| format!("+{phone}")),
        lid,
        push_name: text(sender, "name"),
    })
}

fn chat(data: &Value) -> Option<types::Chat> {
    let jid = text(data, "chat").filter(|jid| !jid.is_empty())?;
    let kind = match jid.rsplit_once('@').map(|(_, server)| server) {
        Some("s.whatsapp.net" | "lid" | "c.us") => types::ChatKind::Direct,
        Some("g.us") => types::ChatKind::Group,
        Some("newsletter") => types::ChatKind::Newsletter,
        Some("broadcast") if jid.starts_with("status@") => types::ChatKind::Status,
        Some("broadcast") => types::ChatKind::Broadcast,
        _ => types::ChatKind::Other,
    };
    Some(types::Chat { jid, kind, name: None })
}

fn content(event_type: &str, data: &Value) -> Option<WitContent> {
    if event_type == "message.reaction" {
        return Some(WitContent::Reaction(types::Reaction {
            message_id: text(data, "messageId").unwrap_or_default(),
            emoji: text(data, "emoji").unwrap_or_default(),
        }));
    }
    if !["message.received", "message.sent"].contains(&event_type) {
        return None;
    }
    let kind = text(data, "type")?;
    let media = |kind: types::MediaKind| {
        WitContent::Media(types::Media {
            handle: text(data, "mediaId").unwrap_or_default(),
            kind,
            mime: text(data, "mimeType").unwrap_or_default(),
            size: data.get("size").and_then(Value::as_u64).unwrap_or(0),
            file_name: text(data, "fileName"),
            caption: text(data, "caption"),
        })
    };
    let number = |key: &str| data.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    Some(match kind.as_str() {
        "text" => WitContent::Text(text(data, "text").unwrap_or_default()),
        "image" => media(types::MediaKind::Image),
        "video" => media(types::MediaKind::Video),
        "audio" => media(types::MediaKind::Audio),
        "document" => media(types::MediaKind::Document),
        "sticker" => media(types::MediaKind::Sticker),
        "location" => WitContent::Location(types::Location {
            latitude: number("latitude"),
            longitude: number("longitude"),
            name: text(data, "name"),
            address: text(data, "address"),
        }),
        "contact" => WitContent::Contacts(cards(data)),
        "poll" => WitContent::Poll(types::Poll {
            question: text(data, "question").unwrap_or_default(),
            choices: texts(data, "options"),
            selectable: data
                .get("selectableCount")
                .and_then(Value::as_u64)
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(0),
        }),
        "interactive_reply" => WitContent::InteractiveReply(types::InteractiveReply {
            id: text(data, "replyId").unwrap_or_default(),
            title: text(data, "title").unwrap_or_default(),
        }),
        _ => WitContent::Other(types::NamedJson { name: kind, value: data.to_string() }),
    })
}

fn cards(data: &Value) -> Vec<types::ContactCard> {
    let contacts = data.get("contacts").and_then(Value::as_array).cloned().unwrap_or_default();
    contacts
        .iter()
        .map(|contact| {
            let vcard = text(contact, "vcard");
            let numbers = vcard.as_deref().unwrap_or_default().lines().filter(|line| line.starts_with("TEL"));
            types::ContactCard {
                name: text(contact, "displayName").unwrap_or_default(),
                phones: numbers
                    .filter_map(|line| line.rsplit_once(':'))
                    .map(|(_, phone)| phone.trim().to_owned())
                    .collect(),
                vcard,
            }
        })
        .collect()
}

fn texts(data: &Value, key: &str) -> Vec<String> {
    let list = data.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// An event as plugins see it.
pub(super) fn event(event: &Event) -> types::Event {
    let data = &event.data;
    let event_type = event.type_.as_str();
    types::Event {
        id: event.id.to_string(),
        event_type: event_type.to_owned(),
        tenant: event.tenant.to_string(),
        device: event.device.as_ref().map(ToString::to_string).unwrap_or_default(),
        time: u64::try_from(event.at).unwrap_or(0),
        message_id: text(data, "id"),
        chat: chat(data),
        sender: sender(data),
        from_me: data.get("fromMe").and_then(Value::as_bool).unwrap_or(false),
        content: content(event_type, data),
        quoted: text(data, "quotedMessageId").map(|message_id| types::Quoted {
            message_id,
            sender: None,
            text: text(data, "quotedText"),
        }),
        mentions: texts(data, "mentions"),
        tags: texts(data, "tags"),
    }
}

/// What a patch or effect asks for cannot be done; the text is for the plugin's author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unusable(pub(super) String);

fn unusable(why: impl Into<String>) -> Unusable {
    // It may quote what the plugin said.
    Unusable(cut(&why.into()))
}

/// Whether a patch takes away what was said: then it is gone from the raw form too.
pub(super) fn replaces_content(patch: &inbound::Patch) -> bool {
    patch.content.is_some() || patch.text.is_some()
}

/// The event's data after a patch.
pub(super) fn patched(mut data: Value, patch: &inbound::Patch) -> Result<Value, Unusable> {
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

fn limited(text: &str) -> Result<String, Unusable> {
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(unusable(format!("a text has more than {TEXT_CHARS_MAX} characters")));
    }
    Ok(text.to_owned())
}

/// At most so many characters, and, when it has to say something, at least one.
fn short(what: &str, text: &str, chars_min: usize, chars_max: usize) -> Result<String, Unusable> {
    let count = text.chars().take(chars_max + 1).count();
    if !(chars_min..=chars_max).contains(&count) {
        return Err(unusable(format!("{what} must have {chars_min} to {chars_max} characters")));
    }
    Ok(text.to_owned())
}

/// A reaction's emoji; empty takes the reaction back.
pub(super) fn emoji(text: &str) -> Result<String, Unusable> {
    short("an emoji", text, 0, EMOJI_CHARS_MAX)
}

/// The id of the message that a message answers.
pub(super) fn quoted(new: &types::NewMessage) -> Result<Option<String>, Unusable> {
    new.reply_to.as_deref().map(message_id).transpose()
}

fn message_id(text: &str) -> Result<String, Unusable> {
    short("the id of a message", text, 1, MESSAGE_ID_CHARS_MAX)
}

fn on_earth(at: &types::Location) -> Result<(), Unusable> {
    // Neither holds of a number that is none.
    if !(-90.0..=90.0).contains(&at.latitude) || !(-180.0..=180.0).contains(&at.longitude) {
        return Err(unusable("a location lies outside of -90..90, -180..180"));
    }
    for text in [&at.name, &at.address].into_iter().flatten() {
        short("a location's name or address", text, 0, NAME_CHARS_MAX)?;
    }
    Ok(())
}

/// A JSON text of a plugin.
fn parsed(what: &str, text: &str, bytes_max: usize) -> Result<Value, Unusable> {
    if text.len() > bytes_max {
        return Err(unusable(format!("{what} has more than {bytes_max} bytes")));
    }
    let value: Value = serde_json::from_str(text).map_err(|_| unusable(format!("{what} is no JSON")))?;
    if deeper_than(&value, JSON_LEVELS_MAX) {
        return Err(unusable(format!("{what} has more than {JSON_LEVELS_MAX} levels")));
    }
    Ok(value)
}

/// The parser's own limit bounds the recursion.
fn deeper_than(value: &Value, levels: usize) -> bool {
    let below = |value: &Value| levels == 0 || deeper_than(value, levels - 1);
    match value {
        Value::Array(items) => items.iter().any(below),
        Value::Object(members) => members.values().any(below),
        _ => false,
    }
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
pub(super) fn add_tags(tags: &mut Vec<String>, add: &[String]) {
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

/// A recipient as a plugin writes it: a phone number, a contact id or a JID.
pub(super) fn recipient(to: &str) -> Result<ChatId, Unusable> {
    ChatId::parse_written(to).map_err(|error| unusable(format!("the recipient {to:?} {error}")))
}

/// What a plugin wants sent, as the outbox holds it.
pub(super) fn sendable(
    sendable: &Sendable,
    reply_to: Option<String>,
    mentions: &[String],
) -> Result<Content, Unusable> {
    Ok(match sendable {
        Sendable::Text(text) => Content::Text {
            text: match limited(text)? {
                text if text.is_empty() => return Err(unusable("a text to send is empty")),
                text => text,
            },
            mentions: match mentions.len() {
                0..=MENTIONS_MAX => mentions.iter().map(|jid| recipient(jid)).collect::<Result<_, _>>()?,
                _ => return Err(unusable(format!("a text mentions more than {MENTIONS_MAX} people"))),
            },
            quoted_message_id: reply_to,
            link_preview: None,
        },
        Sendable::Location(at) => {
            on_earth(at)?;
            Content::Location {
                latitude: at.latitude,
                longitude: at.longitude,
                name: at.name.clone(),
                address: at.address.clone(),
                quoted_message_id: reply_to,
            }
        }
        Sendable::Contacts(cards) => {
            if cards.is_empty() || cards.len() > CONTACTS_MAX {
                return Err(unusable(format!("there must be 1 to {CONTACTS_MAX} contacts")));
            }
            Content::Contacts { contacts: cards.iter().map(card).collect::<Result<_, _>>()? }
        }
        Sendable::Reaction(reaction) => Content::Reaction {
            message_id: message_id(&reaction.message_id)?,
            emoji: emoji(&reaction.emoji)?,
            from_me: false,
            participant: None,
        },
        Sendable::Media(media) => Content::Media(outbound_media(media, reply_to)?),
        Sendable::Poll(asked) => Content::Poll(poll(asked)?),
        Sendable::Template(_) => {
            return Err(unusable("a template is filled when it is sent, and cannot take the place of a message"));
        }
        Sendable::Other(other) if other.name == "interactive" => Content::Interactive(interactive(&other.value)?),
        Sendable::Other(other) => {
            return Err(unusable(format!("this version of the gateway cannot send {:?}", other.name)));
        }
    })
}

fn poll(asked: &types::Poll) -> Result<Poll, Unusable> {
    let question = short("a poll's question", &asked.question, 1, QUESTION_CHARS_MAX)?;
    if !(OPTIONS_MIN..=OPTIONS_MAX).contains(&asked.choices.len()) {
        return Err(unusable(format!("a poll must have {OPTIONS_MIN} to {OPTIONS_MAX} choices")));
    }
    let mut options: Vec<String> = Vec::with_capacity(asked.choices.len());
    for choice in &asked.choices {
        let choice = short("a poll's choice", choice, 1, OPTION_CHARS_MAX)?;
        if options.contains(&choice) {
            return Err(unusable(format!("a poll has the choice {choice:?} twice")));
        }
        options.push(choice);
    }
    if usize::try_from(asked.selectable).is_ok_and(|count| count > options.len()) {
        return Err(unusable("a poll lets a person take more choices than it has"));
    }
    Ok(Poll { question, options, selectable_count: asked.selectable })
}

fn interactive(body: &str) -> Result<Interactive, Unusable> {
    let value = parsed("the content \"interactive\"", body, CONTENT_BYTES_MAX)?;
    let read: Interactive = serde_json::from_value(value)
        .map_err(|_| unusable("the content \"interactive\" needs a body, and buttons, or buttonText and sections"))?;
    read.check().map_err(|why| unusable(format!("the content \"interactive\": {why}")))?;
    Ok(read)
}

/// A file of the tenant's: whether there is one, and whether it fits its kind, is seen when it is sent.
fn outbound_media(media: &types::OutboundMedia, reply_to: Option<String>) -> Result<MediaContent, Unusable> {
    let types::MediaSource::Handle(handle) = &media.source else {
        return Err(unusable("this version of the gateway sends media by handle alone"));
    };
    let media_id = MediaId::parse(handle).map_err(|error| unusable(format!("the media handle {handle:?}: {error}")))?;
    let kind = match media.kind {
        types::MediaKind::Image => MediaKind::Image,
        types::MediaKind::Video => MediaKind::Video,
        types::MediaKind::Audio => MediaKind::Audio,
        types::MediaKind::Sticker => MediaKind::Sticker,
        types::MediaKind::Document | types::MediaKind::Other => MediaKind::Document,
    };
    short("the type of media", media.mime.as_deref().unwrap_or_default(), 0, NAME_CHARS_MAX)?;
    short("a caption", media.caption.as_deref().unwrap_or_default(), 0, CAPTION_CHARS_MAX)?;
    Ok(MediaContent {
        media_id,
        kind,
        mime_type: media.mime.clone(),
        file_name: media.file_name.as_deref().and_then(crate::domain::media::file_name),
        caption: media.caption.clone(),
        ptt: media.voice,
        view_once: media.view_once,
        quoted_message_id: reply_to,
    })
}

fn card(card: &types::ContactCard) -> Result<ContactCard, Unusable> {
    short("a contact's name", &card.name, 0, NAME_CHARS_MAX)?;
    short("a contact's vCard", card.vcard.as_deref().unwrap_or_default(), 0, VCARD_CHARS_MAX)?;
    match (&card.vcard, card.phones.first()) {
        (Some(vcard), _) => Ok(ContactCard { display_name: card.name.clone(), vcard: vcard.clone() }),
        (None, Some(phone)) => {
            let phone = PhoneNumber::parse(phone).map_err(|error| unusable(format!("a contact's number {error}")))?;
            Ok(ContactCard::of_phone(&card.name, phone.as_str()))
        }
        (None, None) => Err(unusable(format!("the contact {:?} has neither a number nor a vCard", card.name))),
    }
}

/// What goes out, as plugins see it.
pub(super) struct Sent {
    pub(super) kind: outbound::Kind,
    /// None of a deletion.
    pub(super) content: Option<Sendable>,
    pub(super) reply_to: Option<String>,
    pub(super) mentions: Vec<String>,
    /// What the contract has no word for: `linkPreview` of a text.
    pub(super) extra: Value,
}

pub(super) fn sent(content: &Content) -> Sent {
    let (kind, shown) = match content {
        // Where it goes says that it is a post.
        Content::Status(post) => return sent(&post.shown),
        Content::Edit { message_id, text, .. } => {
            let content = Some(Sendable::Text(text.clone()));
            let kind = outbound::Kind::Edit(message_id.clone());
            return Sent { kind, content, reply_to: None, mentions: Vec::new(), extra: json!({}) };
        }
        Content::Delete { message_id, .. } => {
            let kind = outbound::Kind::Delete(message_id.clone());
            return Sent { kind, content: None, reply_to: None, mentions: Vec::new(), extra: json!({}) };
        }
        Content::Forward { message_id, shown, .. } => {
            (outbound::Kind::Forward(message_id.clone()), shown.as_deref().unwrap_or(content))
        }
        _ => (outbound::Kind::New, content),
    };
    let (content, reply_to, mentions) = shown_as(shown);
    let extra = match shown {
        Content::Text { link_preview: Some(preview), .. } => json!({ "linkPreview": preview }),
        _ => json!({}),
    };
    Sent { kind, content: Some(content), reply_to, mentions, extra }
}

fn shown_as(content: &Content) -> (Sendable, Option<String>, Vec<String>) {
    let other = |value: Value| {
        let other = types::NamedJson { name: content.kind().replace('_', "-"), value: value.to_string() };
        (Sendable::Other(other), None, Vec::new())
    };
    match content {
        Content::Text { text, mentions, quoted_message_id, .. } => {
            let mentions = mentions.iter().map(ToString::to_string).collect();
            (Sendable::Text(text.clone()), quoted_message_id.clone(), mentions)
        }
        Content::Location { latitude, longitude, name, address, quoted_message_id } => {
            let location = types::Location {
                latitude: *latitude,
                longitude: *longitude,
                name: name.clone(),
                address: address.clone(),
            };
            (Sendable::Location(location), quoted_message_id.clone(), Vec::new())
        }
        Content::Contacts { contacts } => {
            let data = json!({ "contacts": contacts.iter()
                .map(|card| json!({ "displayName": card.display_name, "vcard": card.vcard })).collect::<Vec<_>>() });
            (Sendable::Contacts(cards(&data)), None, Vec::new())
        }
        Content::Media(media) => {
            let shown = types::OutboundMedia {
                source: types::MediaSource::Handle(media.media_id.to_string()),
                kind: media_kind(media.kind),
                mime: media.mime_type.clone(),
                file_name: media.file_name.clone(),
                caption: media.caption.clone(),
                voice: media.ptt,
                view_once: media.view_once,
            };
            (Sendable::Media(shown), media.quoted_message_id.clone(), Vec::new())
        }
        Content::Reaction { message_id, emoji, .. } => {
            let reaction = types::Reaction { message_id: message_id.clone(), emoji: emoji.clone() };
            (Sendable::Reaction(reaction), None, Vec::new())
        }
        Content::Poll(poll) => {
            let asked = types::Poll {
                question: poll.question.clone(),
                choices: poll.options.clone(),
                selectable: poll.selectable_count,
            };
            (Sendable::Poll(asked), None, Vec::new())
        }
        Content::Interactive(interactive) => other(json!(interactive)),
        Content::Status(post) => shown_as(&post.shown),
        Content::Forward { message_id, .. } => other(json!({ "messageId": message_id })),
        Content::Edit { message_id, text, .. } => other(json!({ "messageId": message_id, "text": text })),
        Content::Delete { message_id, .. } => other(json!({ "messageId": message_id })),
        Content::ReadReceipt { message_ids, .. } => other(json!({ "ids": message_ids })),
    }
}

/// A message's content after a patch.
pub(super) fn patched_content(content: Option<&Content>, patch: &outbound::Patch) -> Result<Option<Content>, Unusable> {
    let Some(content) = content else {
        let replaces = patch.content.is_some() || patch.text.is_some();
        return if replaces { Err(unusable("the message has no content to replace")) } else { Ok(None) };
    };
    if let Content::Status(post) = content {
        let after = patched_content(Some(&post.shown), patch)?;
        return after.map(|shown| posted(post, shown)).transpose();
    }
    if let (Content::Delete { .. }, true) = (content, patch.content.is_some() || patch.text.is_some()) {
        return Err(unusable("a deletion has no content to replace"));
    }
    let mut content = match (&patch.content, content) {
        // An edit stays one: it takes another text, and nothing else.
        (Some(Sendable::Text(new)), Content::Edit { message_id, until, .. }) => {
            Content::Edit { message_id: message_id.clone(), text: limited(new)?, until: *until }
        }
        (Some(_), Content::Edit { .. }) => return Err(unusable("an edit takes a text and no other content")),
        (Some(new), _) => {
            let before = sent(content);
            sendable(new, before.reply_to, &before.mentions)?
        }
        // With another text it is no copy of what was forwarded, and goes out as a message of its own.
        (None, Content::Forward { shown: Some(shown), .. }) if patch.text.is_some() => (**shown).clone(),
        (None, _) => content.clone(),
    };
    if let Some(new) = &patch.text {
        match &mut content {
            Content::Text { text, link_preview, .. } => {
                *text = limited(new)?;
                // What is shown of a link goes with the link.
                link_preview.take_if(|preview| !text.contains(&preview.url));
            }
            Content::Edit { text, .. } => *text = limited(new)?,
            Content::Media(media) => {
                media.caption = Some(short("a caption", new, 0, CAPTION_CHARS_MAX)?).filter(|new| !new.is_empty());
            }
            other => return Err(unusable(format!("a {} has no text to replace", other.kind()))),
        }
    }
    Ok(Some(content))
}

/// A template's file with its text below it.
pub(super) fn template_media(media: &TemplateMedia, text: String) -> Sendable {
    Sendable::Media(types::OutboundMedia {
        source: types::MediaSource::Handle(media.id.to_string()),
        kind: media_kind(media.kind),
        mime: None,
        file_name: media.file_name.clone(),
        caption: Some(text).filter(|text| !text.is_empty()),
        voice: false,
        view_once: false,
    })
}

fn media_kind(kind: MediaKind) -> types::MediaKind {
    match kind {
        MediaKind::Image => types::MediaKind::Image,
        MediaKind::Video => types::MediaKind::Video,
        MediaKind::Audio => types::MediaKind::Audio,
        MediaKind::Document => types::MediaKind::Document,
        MediaKind::Sticker => types::MediaKind::Sticker,
    }
}

/// A status post with other content in it, for the same people.
fn posted(post: &StatusPost, shown: Content) -> Result<Content, Unusable> {
    match &shown {
        Content::Text { text, .. } => {
            short("a status post", text, 1, status_post::TEXT_CHARS_MAX)?;
        }
        Content::Media(media) if matches!(media.kind, MediaKind::Image | MediaKind::Video) => {}
        _ => return Err(unusable("a status post is a text, an image or a film")),
    }
    Ok(Content::Status(StatusPost { shown: Box::new(shown), ..post.clone() }))
}

/// The event's message again, for somebody else.
pub(super) fn forwardable(event: &Event) -> Result<Content, Unusable> {
    let data = &event.data;
    match text(data, "type").as_deref() {
        Some("text") => Ok(Content::Text {
            text: text(data, "text").unwrap_or_default(),
            mentions: Vec::new(),
            quoted_message_id: None,
            link_preview: None,
        }),
        Some("location") => match content(event.type_.as_str(), data) {
            Some(WitContent::Location(at)) => sendable(&Sendable::Location(at), None, &[]),
            _ => Err(unusable("the location does not read")),
        },
        Some("contact") => sendable(&Sendable::Contacts(cards(data)), None, &[]),
        Some(kind) if MediaKind::parse(kind).is_some() && data["mediaId"].is_string() => forwardable_media(kind, data),
        Some(kind) => Err(unusable(format!("this version of the gateway cannot forward {kind:?} yet"))),
        None => Err(unusable("the event is no message to forward")),
    }
}

/// The file again; it has to be here when the message is sent.
fn forwardable_media(kind: &str, data: &Value) -> Result<Content, Unusable> {
    let media_id = text(data, "mediaId").as_deref().map(MediaId::parse).transpose().ok().flatten();
    let kind = MediaKind::parse(kind);
    let (Some(media_id), Some(kind)) = (media_id, kind) else { return Err(unusable("the media does not read")) };
    Ok(Content::Media(MediaContent {
        media_id,
        kind,
        mime_type: text(data, "mimeType"),
        file_name: text(data, "fileName"),
        caption: text(data, "caption"),
        ptt: data["ptt"] == true,
        view_once: false,
        quoted_message_id: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outgoing::LinkPreview;

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
    fn an_edit_takes_a_text_alone_and_a_forward_with_another_text_is_a_message_of_its_own() {
        let patch = |content, text: Option<&str>| outbound::Patch {
            content,
            text: text.map(str::to_owned),
            add_tags: vec![],
            remove_tags: vec![],
            extra: None,
        };
        let written = |text: &str| Content::Text {
            text: text.into(),
            mentions: vec![],
            quoted_message_id: None,
            link_preview: None,
        };
        let edit = |text: &str| Content::Edit { message_id: "3EB0".into(), text: text.into(), until: 7 };
        let shown = Some(Box::new(written("news")));
        let forward = Content::Forward { message_id: "3EB0".into(), from: "1@lid".into(), sender: None, shown };
        let delete = Content::Delete { message_id: "3EB0".into(), from_me: true, participant: None };
        let place = Sendable::Location(types::Location { latitude: 1.0, longitude: 1.0, name: None, address: None });

        for (content, patch, expected) in [
            (edit("ten"), patch(None, Some("nine")), Some(edit("nine"))),
            (edit("ten"), patch(Some(Sendable::Text("nine".into())), None), Some(edit("nine"))),
            (edit("ten"), patch(Some(place.clone()), None), None),
            (forward.clone(), patch(None, Some("old news")), Some(written("old news"))),
            (forward.clone(), patch(None, None), Some(forward)),
            (delete.clone(), patch(None, None), Some(delete.clone())),
            (delete, patch(None, Some("x")), None),
        ] {
            let after = patched_content(Some(&content), &patch).ok().flatten();
            assert_eq!(after, expected, "{content:?} {patch:?}");
        }
    }

    #[test]
    fn a_link_preview_is_seen_and_goes_with_its_link() {
        let preview = LinkPreview { url: "https://a.id".into(), title: "A".into(), description: None };
        let content = Content::Text {
            text: "see https://a.id".into(),
            mentions: vec![],
            quoted_message_id: None,
            link_preview: Some(preview.clone()),
        };
        assert_eq!(sent(&content).extra, json!({ "linkPreview": { "url": "https://a.id", "title": "A" } }));

        for (text, expected) in [("look: https://a.id", Some(preview)), ("no link", None)] {
            let patch = outbound::Patch {
                content: None,
                text: Some(text.into()),
                add_tags: vec![],
                remove_tags: vec![],
                extra: None,
            };
            let after = patched_content(Some(&content), &patch).expect("patched");
            let Some(Content::Text { link_preview, .. }) = after else { unreachable!("a text stays one") };
            assert_eq!(link_preview, expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let bad_extra = inbound::Patch { extra: Some("[1]".into()), ..patch() };
        assert!(patched(data(), &bad_extra).expect_err("refused").to_string().contains("object"));
        assert!(recipient("nobody").is_err());
        let far = Sendable::Location(types::Location { latitude: 91.0, longitude: 0.0, name: None, address: None });
        assert!(sendable(&far, None, &[]).is_err());
        let poll = |choices: &[&str], selectable| {
            let choices = choices.iter().map(|choice| (*choice).to_owned()).collect();
            Sendable::Poll(types::Poll { question: "?".into(), choices, selectable })
        };
        assert!(sendable(&poll(&["a", "b"], 2), None, &[]).is_ok());
        for wrong in [poll(&["a"], 1), poll(&["a", "a"], 1), poll(&["a", ""], 1), poll(&["a", "b"], 3)] {
            assert!(sendable(&wrong, None, &[]).is_err(), "{wrong:?}");
        }
        let other = |value: &str| Sendable::Other(types::NamedJson { name: "interactive".into(), value: value.into() });
        assert!(sendable(&other(r#"{"body":"b","buttons":[{"id":"1","text":"Yes"}]}"#), None, &[]).is_ok());
        for wrong in ["{}", "7", r#"{"body":"b","buttons":[]}"#] {
            assert!(sendable(&other(wrong), None, &[]).is_err(), "{wrong}");
        }
    }
}
