//! What goes out, as plugins see it, and what they change of it.

use super::bounds::{Unusable, limited, short, unusable};
use super::event::cards;
use super::sendable::{media_kind, sendable};
use crate::domain::media::{CAPTION_CHARS_MAX, MediaKind};
use crate::domain::outgoing::Content;
use crate::domain::status_post::{self, StatusPost};
use crate::plugins::bindings::outbound;
use crate::plugins::bindings::types::{self, Sendable};
use serde_json::{Value, json};

/// What goes out, as plugins see it.
pub(in crate::plugins) struct Sent {
    pub(in crate::plugins) kind: outbound::Kind,
    /// None of a deletion.
    pub(in crate::plugins) content: Option<Sendable>,
    pub(in crate::plugins) reply_to: Option<String>,
    pub(in crate::plugins) mentions: Vec<String>,
    /// What the contract has no word for: `linkPreview` of a text.
    pub(in crate::plugins) extra: Value,
}

pub(in crate::plugins) fn sent(content: &Content) -> Sent {
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
pub(in crate::plugins) fn patched_content(
    content: Option<&Content>,
    patch: &outbound::Patch,
) -> Result<Option<Content>, Unusable> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outgoing::LinkPreview;

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
}
