//! What a message says about others beside its own content: which one it answers, who is mentioned, that it was forwarded.

use super::{said, shown};
use crate::whatsapp::wrappers::inside;
use serde_json::{Map, Value, json};
use waproto::whatsapp as wa;

macro_rules! carriers {
    ($($kind:ident),+ $(,)?) => {
        /// Of whichever kind carries one. `message` stands within no wrapper.
        fn of(message: &wa::Message) -> Option<&wa::ContextInfo> {
            let found = None;
            $(let found = found.or_else(|| message.$kind.as_option().and_then(|part| part.context_info.as_option()));)+
            found
        }
    };
}

carriers!(
    extended_text_message,
    image_message,
    video_message,
    ptv_message,
    audio_message,
    document_message,
    sticker_message,
    location_message,
    live_location_message,
    contact_message,
    contacts_array_message,
    poll_creation_message,
    poll_creation_message_v2,
    poll_creation_message_v3,
    poll_creation_message_v5,
    poll_creation_message_v6,
    poll_result_snapshot_message,
    poll_result_snapshot_message_v3,
    interactive_message,
    interactive_response_message,
    list_message,
    list_response_message,
    buttons_message,
    buttons_response_message,
    template_message,
    template_button_reply_message,
    group_invite_message,
    event_message,
    event_invite_message,
    product_message,
    order_message,
    album_message,
    sticker_pack_message,
    rich_response_message,
    call,
    request_phone_number_message,
    message_history_bundle,
    message_history_notice,
    newsletter_admin_invite_message,
    newsletter_follower_invite_message_v2,
    split_payment_message,
);

/// Adds to a kind's fields what `message`, which stands within no wrapper, says about others.
pub(super) fn add(fields: &mut Map<String, Value>, message: &wa::Message) {
    let Some(context) = of(message) else { return };
    if let Some(id) = &context.stanza_id {
        let text = context.quoted_message.as_option().and_then(|quoted| {
            let (_, _, fields) = said(inside(quoted))?;
            shown(&fields).0
        });
        fields.insert("quotedMessageId".to_owned(), json!(id));
        fields.insert("quotedAuthor".to_owned(), json!(context.participant));
        fields.insert("quotedText".to_owned(), json!(text));
    }
    if !context.mentioned_jid.is_empty() {
        fields.insert("mentions".to_owned(), json!(context.mentioned_jid));
    }
    if context.is_forwarded == Some(true) {
        fields.insert("forwarded".to_owned(), json!(true));
        fields.insert("forwardingScore".to_owned(), json!(context.forwarding_score.unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whatsapp::raw;
    use buffa::{Message as _, MessageField};

    #[test]
    fn every_kind_that_carries_a_context_is_asked_for_it() {
        // A context that quotes X is `0a 01 58`. Its own number differs by kind, so every one is tried.
        let varint = |number: u32| match number {
            0..0x80 => vec![u8::try_from(number).expect("seven bits")],
            _ => vec![
                u8::try_from(number & 0x7f).expect("seven bits") | 0x80,
                u8::try_from(number >> 7).expect("seven bits"),
            ],
        };
        let field = |number: u32, bytes: &[u8]| {
            let length = u32::try_from(bytes.len()).expect("a short field");
            [varint((number << 3) | 2), varint(length), bytes.to_vec()].concat()
        };
        let mut found = 0;
        for (number, place) in (1..=500).flat_map(|number| (1..=60).map(move |place| (number, place))) {
            let bytes = field(number, &field(place, &[0x0a, 0x01, b'X']));
            let Ok(message) = wa::Message::decode_from_slice(&bytes) else { continue };
            let Some(raw) = raw::form(&message) else { continue };
            let Some((name, part)) = raw.as_object().and_then(|raw| raw.iter().next()) else { continue };
            if part["contextInfo"]["stanzaId"] == "X" {
                let context = of(&message).unwrap_or_else(|| panic!("the context of {name} is passed over"));
                assert_eq!(context.stanza_id.as_deref(), Some("X"), "{name}");
                found += 1;
            }
        }
        assert!(found >= 40, "{found}");
    }

    #[test]
    fn a_quote_has_the_text_of_whatever_was_quoted() {
        let image = wa::message::ImageMessage { caption: Some("a cat".into()), ..Default::default() };
        let invite = wa::message::GroupInviteMessage { group_name: Some("Team".into()), ..Default::default() };
        let cases = [
            (wa::Message { conversation: Some("hello".into()), ..Default::default() }, json!("hello")),
            (wa::Message { image_message: MessageField::some(image), ..Default::default() }, json!("a cat")),
            (wa::Message { group_invite_message: MessageField::some(invite), ..Default::default() }, json!("Team")),
            (wa::Message::default(), json!(null)),
        ];
        for (quoted, text) in cases {
            let context = wa::ContextInfo {
                stanza_id: Some("A".into()),
                participant: Some("1@lid".into()),
                quoted_message: MessageField::some(quoted),
                mentioned_jid: vec!["2@lid".into()],
                is_forwarded: Some(true),
                forwarding_score: Some(3),
                ..Default::default()
            };
            let sticker =
                wa::message::StickerMessage { context_info: MessageField::some(context), ..Default::default() };
            let message = wa::Message { sticker_message: MessageField::some(sticker), ..Default::default() };
            let mut fields = Map::new();

            add(&mut fields, &message);

            let expected = json!({ "quotedMessageId": "A", "quotedAuthor": "1@lid", "quotedText": text,
                "mentions": ["2@lid"], "forwarded": true, "forwardingScore": 3 });
            assert_eq!(Value::Object(fields), expected);
        }
    }
}
