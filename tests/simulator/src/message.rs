//! Messages as phones see them: padding, kinds, and what a person would read.

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

pub(crate) fn unpad(padded: &[u8]) -> Result<wa::Message> {
    let count = usize::from(*padded.last().context("empty plaintext")?);
    ensure!(count > 0 && count <= padded.len(), "bad padding");
    Ok(wa::Message::decode(&padded[..padded.len() - count])?)
}

pub(crate) fn text(text: &str) -> wa::Message {
    wa::Message { conversation: Some(text.to_owned()), ..Default::default() }
}

/// The kind and text that an inbox entry shows. `None` for what no phone displays.
pub(crate) fn shown(message: &wa::Message) -> Option<(&'static str, Option<String>)> {
    if let Some(sent) = message.device_sent_message.as_ref().and_then(|sent| sent.message.as_ref()) {
        return shown(sent);
    }
    if let Some(text) = &message.conversation {
        return Some(("text", Some(text.clone())));
    }
    if let Some(extended) = &message.extended_text_message {
        return Some(("text", extended.text.clone()));
    }
    if let Some(reaction) = &message.reaction_message {
        return Some(("reaction", reaction.text.clone()));
    }
    if let Some(location) = &message.location_message {
        return Some(("location", location.name.clone()));
    }
    if let Some(protocol) = &message.protocol_message {
        return match (&protocol.edited_message, protocol.r#type) {
            (Some(edited), _) => Some(("edit", shown(edited).and_then(|(_, text)| text))),
            (None, Some(kind)) if kind == wa::protocol_message::Type::Revoke as i32 => Some(("delete", None)),
            _ => None,
        };
    }
    message.sender_key_distribution_message.is_none().then_some(("other", None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_comes_off_again_and_bad_padding_is_refused() {
        let message = text("hello");
        assert_eq!(unpad(&pad(&message)).ok(), Some(message));
        assert!(unpad(&[]).is_err());
        assert!(unpad(&[9]).is_err());
        assert!(unpad(&[0]).is_err());
    }
}
