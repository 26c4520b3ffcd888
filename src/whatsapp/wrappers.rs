//! Wrappers: fields of a message that carry another one and only say how to show it. Kinds are read, and files are found,
//! inside of them, however deep.

use waproto::whatsapp as wa;

macro_rules! wrappers {
    ($($wrapper:ident),+ $(,)?) => {
        /// The message inside of the outermost wrapper.
        fn wrapped(message: &wa::Message) -> Option<&wa::Message> {
            let inner = None;
            $(let inner = inner.or_else(|| message.$wrapper.as_option().and_then(|wrapper| wrapper.message.as_option()));)+
            inner
        }

        /// The message inside of every wrapper, to change it.
        pub(super) fn inside_mut(message: &mut wa::Message) -> &mut wa::Message {
            $(
                if message.$wrapper.as_option().is_some_and(|wrapper| wrapper.message.is_set()) {
                    let wrapper = message.$wrapper.get_or_insert_default();
                    return inside_mut(wrapper.message.get_or_insert_default());
                }
            )+
            message
        }
    };
}

// Not here, because they say something themselves: comments, mentions in a status, and the notice that sharing is limited.
wrappers!(
    device_sent_message,
    ephemeral_message,
    view_once_message,
    view_once_message_v2,
    view_once_message_v2_extension,
    document_with_caption_message,
    edited_message,
    group_mentioned_message,
    bot_invoke_message,
    lottie_sticker_message,
    event_cover_image,
    poll_creation_option_image_message,
    associated_child_message,
    poll_creation_message_v4,
    status_add_yours,
    group_status_message,
    bot_task_message,
    question_message,
    group_status_message_v2,
    bot_forwarded_message,
    question_reply_message,
    newsletter_admin_profile_message,
    newsletter_admin_profile_message_v2,
    newsletter_admin_profile_status_message,
    spoiler_message,
);

/// The message inside of every wrapper.
pub(super) fn inside(message: &wa::Message) -> &wa::Message {
    wrapped(message).map_or(message, inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whatsapp::raw;
    use buffa::Message as _;

    /// Field `number` of a message, which holds the bytes.
    fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
        let mut written = Vec::new();
        let mut key = (number << 3) | 2;
        while key >= 0x80 {
            written.push(u8::try_from(key & 0x7f).expect("seven bits") | 0x80);
            key >>= 7;
        }
        written.push(u8::try_from(key).expect("seven bits"));
        written.push(u8::try_from(bytes.len()).expect("a short field"));
        written.extend(bytes);
        written
    }

    #[test]
    fn every_field_that_carries_a_message_is_a_wrapper_or_says_something_itself() {
        let text = wa::Message { conversation: Some("inside".into()), ..Default::default() }.encode_to_vec();
        let (mut opened, mut closed) = (0, Vec::new());
        for (number, place) in (1..=500).flat_map(|number| [(number, 1), (number, 2)]) {
            let Ok(mut message) = wa::Message::decode_from_slice(&field(number, &field(place, &text))) else {
                continue;
            };
            let Some(raw) = raw::form(&message) else { continue };
            let Some((name, part)) = raw.as_object().and_then(|raw| raw.iter().next()) else { continue };
            if part["message"]["conversation"] != "inside" {
                continue;
            }
            if inside(&message).conversation.as_deref() == Some("inside") {
                assert_eq!(inside_mut(&mut message).conversation.as_deref(), Some("inside"), "{name}");
                opened += 1;
            } else {
                closed.push(name.clone());
            }
        }
        let closed_on_purpose =
            ["commentMessage", "statusMentionMessage", "groupStatusMentionMessage", "limitSharingMessage"];
        closed.retain(|name| !closed_on_purpose.contains(&name.as_str()));
        assert_eq!(closed, Vec::<String>::new(), "a wrapper that is not opened");
        assert!(opened >= 25, "{opened}");
    }

    #[test]
    fn wrappers_come_off_however_deep() {
        let mut message = wa::Message { conversation: Some("inside".into()), ..Default::default() };
        for _ in 0..3 {
            let wrapper = wa::message::FutureProofMessage { message: buffa::MessageField::some(message) };
            message = wa::Message { ephemeral_message: buffa::MessageField::some(wrapper), ..Default::default() };
        }
        assert_eq!(inside(&message).conversation.as_deref(), Some("inside"));
    }
}
