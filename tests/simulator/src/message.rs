//! Messages as phones see them: padding, wrappers, and what stands on the outside of the stanza.

use crate::wa;
use anyhow::{Context, Result, ensure};
use prost::Message as _;

/// Encodes and pads with 1 to 16 bytes that hold their own count.
pub(crate) fn pad(message: &wa::Message) -> Vec<u8> {
    let count = rand::random::<u8>() % 16 + 1;
    let mut bytes = message.encode_to_vec();
    bytes.resize(bytes.len() + usize::from(count), count);
    bytes
}

/// The protobuf's bytes without their padding.
pub(crate) fn unpad(padded: &[u8]) -> Result<&[u8]> {
    let count = usize::from(*padded.last().context("empty plaintext")?);
    ensure!(count > 0 && count <= padded.len(), "bad padding");
    Ok(&padded[..padded.len() - count])
}

pub(crate) fn text(text: &str) -> wa::Message {
    wa::Message { conversation: Some(text.to_owned()), ..Default::default() }
}

/// What is inside the wrappers: a copy for another device, disappearing, to be viewed once, a document with a caption.
pub(crate) fn content(message: &wa::Message) -> &wa::Message {
    if let Some(sent) = message.device_sent_message.as_ref().and_then(|sent| sent.message.as_deref()) {
        return content(sent);
    }
    let wrappers = [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
        &message.edited_message,
    ];
    let wrapped = wrappers.into_iter().find_map(|wrapper| wrapper.as_ref()?.message.as_deref());
    wrapped.map_or(message, content)
}

pub(crate) fn poll(message: &wa::Message) -> Option<&wa::PollCreationMessage> {
    let content = content(message);
    let creation = content.poll_creation_message_v3.as_deref().or(content.poll_creation_message_v2.as_deref());
    creation.or(content.poll_creation_message.as_deref())
}

/// What votes on this poll are sealed with. It stands on the message itself or within a wrapper.
pub(crate) fn secret(message: &wa::Message) -> &[u8] {
    let sent = message.device_sent_message.as_ref().and_then(|sent| sent.message.as_deref());
    let places = [Some(message), sent, Some(content(message))];
    let found = places.into_iter().flatten().find_map(|place| place.message_context_info.as_ref());
    found.map_or(&[], wa::MessageContextInfo::message_secret)
}

/// What it says about the message it answers.
pub(crate) fn context(message: &wa::Message) -> Option<&wa::ContextInfo> {
    let content = content(message);
    let contexts = [
        content.extended_text_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.image_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.video_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.ptv_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.audio_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.document_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.sticker_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.location_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.contact_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.contacts_array_message.as_ref().and_then(|part| part.context_info.as_deref()),
        content.interactive_response_message.as_ref().and_then(|part| part.context_info.as_deref()),
    ];
    contexts.into_iter().flatten().next()
}

/// What the server can see of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) kind: &'static str,
    pub(crate) media: Option<&'static str>,
    pub(crate) edit: Option<&'static str>,
    pub(crate) poll: Option<&'static str>,
}

pub(crate) fn envelope(message: &wa::Message) -> Envelope {
    let plain = Envelope { kind: "text", media: None, edit: None, poll: None };
    let media = |name| Envelope { kind: "media", media: Some(name), ..plain.clone() };
    let content = content(message);
    if content.image_message.is_some() {
        media("image")
    } else if content.video_message.is_some() {
        media("video")
    } else if content.ptv_message.is_some() {
        media("ptv")
    } else if content.live_location_message.is_some() {
        media("livelocation")
    } else if let Some(audio) = &content.audio_message {
        media(if audio.ptt() { "ptt" } else { "audio" })
    } else if content.document_message.is_some() {
        media("document")
    } else if content.sticker_message.is_some() {
        media("sticker")
    } else if content.contact_message.is_some() {
        media("vcard")
    } else if content.contacts_array_message.is_some() {
        media("contact_array")
    } else if content.location_message.is_some() {
        media("location")
    } else if content.reaction_message.is_some() {
        Envelope { kind: "reaction", ..plain }
    } else if poll(content).is_some() {
        Envelope { kind: "poll", poll: Some("creation"), ..plain }
    } else if content.poll_update_message.is_some() {
        Envelope { kind: "poll", poll: Some("vote"), ..plain }
    } else if let Some(protocol) = &content.protocol_message {
        let edit = match protocol.r#type() {
            wa::protocol_message::Type::MessageEdit => Some("1"),
            wa::protocol_message::Type::Revoke if protocol.key.is_some() => Some("7"),
            _ => None,
        };
        Envelope { edit, ..plain }
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_comes_off_again_and_bad_padding_is_refused() {
        let message = text("hello");
        let padded = pad(&message);
        assert_eq!(unpad(&padded).ok(), Some(&message.encode_to_vec()[..]));
        assert!(unpad(&[]).is_err());
        assert!(unpad(&[9]).is_err());
        assert!(unpad(&[0]).is_err());
    }

    #[test]
    fn wrappers_come_off_however_deep() {
        let mut wrapped = text("inside");
        for _ in 0..3 {
            let inside = wa::FutureProofMessage { message: Some(Box::new(wrapped)) };
            wrapped = wa::Message { ephemeral_message: Some(Box::new(inside)), ..Default::default() };
        }
        assert_eq!(content(&wrapped).conversation(), "inside");
    }
}
