//! What a plugin wants sent, as the outbox holds it.

use super::bounds::{
    CONTENT_BYTES_MAX, NAME_CHARS_MAX, Unusable, VCARD_CHARS_MAX, emoji, limited, message_id, on_earth, parsed,
    recipient, short, unusable,
};
use crate::domain::ids::MediaId;
use crate::domain::interactive::Interactive;
use crate::domain::jid::PhoneNumber;
use crate::domain::media::{CAPTION_CHARS_MAX, MediaKind};
use crate::domain::outgoing::{CONTACTS_MAX, ContactCard, Content, MENTIONS_MAX, MediaContent};
use crate::domain::poll::{OPTION_CHARS_MAX, OPTIONS_MAX, OPTIONS_MIN, Poll, QUESTION_CHARS_MAX};
use crate::plugins::bindings::types::{self, Sendable};
use crate::store::TemplateMedia;

/// What a plugin wants sent, as the outbox holds it.
pub(in crate::plugins) fn sendable(
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

/// A template's file with its text below it.
pub(in crate::plugins) fn template_media(media: &TemplateMedia, text: String) -> Sendable {
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

pub(super) fn media_kind(kind: MediaKind) -> types::MediaKind {
    match kind {
        MediaKind::Image => types::MediaKind::Image,
        MediaKind::Video => types::MediaKind::Video,
        MediaKind::Audio => types::MediaKind::Audio,
        MediaKind::Document => types::MediaKind::Document,
        MediaKind::Sticker => types::MediaKind::Sticker,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_by_name() {
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
