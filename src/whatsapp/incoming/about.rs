//! What is about another message: reactions, edits, deletions, pins.

use super::{Said, content, received};
use crate::domain::event::EventType;
use serde_json::json;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::pin_in_chat_message::Type as Pin;
use waproto::whatsapp::message::protocol_message::Type as Protocol;

pub(super) fn said(message: &wa::Message) -> Option<Said> {
    if let Some(reaction) = message.reaction_message.as_option() {
        let fields = json!({ "messageId": id(&reaction.key), "emoji": reaction.text });
        return Some((EventType::MessageReaction, "reaction", fields));
    }
    if let Some(protocol) = message.protocol_message.as_option() {
        let target = id(&protocol.key);
        if let Some(edited) = protocol.edited_message.as_option() {
            let (_, kind, fields) = content(edited);
            let fields = json!({ "messageId": target, "kind": kind, "content": fields });
            return Some((EventType::MessageUpdated, "edit", fields));
        }
        if protocol.r#type == Some(Protocol::REVOKE) {
            return Some((EventType::MessageDeleted, "delete", json!({ "messageId": target })));
        }
        return None;
    }
    let pin = message.pin_in_chat_message.as_option()?;
    let is_pinned = pin.r#type != Some(Pin::UNPIN_FOR_ALL);
    received("pin", json!({ "messageId": id(&pin.key), "pinned": is_pinned }))
}

fn id(key: &buffa::MessageField<wa::MessageKey>) -> Option<&str> {
    key.as_option()?.id.as_deref()
}

/// Whether the protocol's own business is all that a message, which stands within no wrapper, is about: keys, settings,
/// history, and what else devices tell each other.
pub(super) fn is_protocols_own(message: &wa::Message) -> bool {
    let of_protocol = message
        .protocol_message
        .as_option()
        .is_some_and(|protocol| protocol.r#type != Some(Protocol::REVOKE) && !protocol.edited_message.is_set());
    of_protocol
        || message.group_root_key_share.is_set()
        || message.root_secret_distribute_message.is_set()
        || message.sticker_sync_rmr_message.is_set()
}
