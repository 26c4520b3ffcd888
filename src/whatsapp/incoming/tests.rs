//! What each kind is told as.

use super::*;
use buffa::MessageField;
use wa::message as kinds;

fn some<T: Default>(part: T) -> MessageField<T> {
    MessageField::some(part)
}

macro_rules! message {
    ($kind:ident: $part:expr) => {
        wa::Message { $kind: some($part), ..Default::default() }
    };
}

fn key(id: &str) -> MessageField<wa::MessageKey> {
    some(wa::MessageKey { id: Some(id.to_owned()), ..Default::default() })
}

fn within(message: wa::Message) -> MessageField<kinds::FutureProofMessage> {
    some(kinds::FutureProofMessage { message: some(message) })
}

fn text(text: &str) -> wa::Message {
    wa::Message { conversation: Some(text.to_owned()), ..Default::default() }
}

#[test]
fn a_kind_is_told_with_its_fields_and_has_a_line_in_its_chat() {
    let live = kinds::LiveLocationMessage {
        degrees_latitude: Some(-6.2),
        degrees_longitude: Some(106.8),
        accuracy_in_meters: Some(12),
        caption: Some("on my way".into()),
        sequence_number: Some(7),
        ..Default::default()
    };
    let invite = kinds::GroupInviteMessage {
        group_jid: Some("1203@g.us".into()),
        invite_code: Some("AbC".into()),
        invite_expiration: Some(1_700_000_000),
        group_name: Some("Team".into()),
        ..Default::default()
    };
    let event = kinds::EventMessage {
        name: Some("Lunch".into()),
        start_time: Some(1_700_000_000),
        location: some(kinds::LocationMessage { name: Some("Office".into()), ..Default::default() }),
        ..Default::default()
    };
    let product = kinds::ProductMessage {
        product: some(kinds::product_message::ProductSnapshot {
            product_id: Some("p1".into()),
            title: Some("Mug".into()),
            price_amount1000: Some(12_500),
            currency_code: Some("IDR".into()),
            ..Default::default()
        }),
        business_owner_jid: Some("62811@s.whatsapp.net".into()),
        ..Default::default()
    };
    let order = kinds::OrderMessage {
        order_id: Some("o1".into()),
        order_title: Some("Toko".into()),
        item_count: Some(2),
        total_amount1000: Some(25_000),
        total_currency_code: Some("IDR".into()),
        status: Some(kinds::order_message::OrderStatus::INQUIRY),
        token: Some("opens it".into()),
        ..Default::default()
    };
    let pack = kinds::StickerPackMessage {
        name: Some("Cats".into()),
        stickers: vec![Default::default(), Default::default()],
        ..Default::default()
    };
    let album =
        kinds::AlbumMessage { expected_image_count: Some(3), expected_video_count: Some(1), ..Default::default() };
    let video = kinds::VideoMessage { seconds: Some(4), ..Default::default() };
    let cases = [
        (
            message!(live_location_message: live),
            "live_location",
            json!({ "latitude": -6.2, "longitude": 106.8, "accuracyMeters": 12, "caption": "on my way", "sequence": 7 }),
            Some("on my way"),
        ),
        (
            message!(group_invite_message: invite),
            "group_invite",
            json!({ "groupId": "1203@g.us", "name": "Team", "inviteCode": "AbC", "expiresAt": 1_700_000_000, "caption": null }),
            Some("Team"),
        ),
        (
            message!(event_message: event),
            "event",
            json!({ "name": "Lunch", "description": null, "startsAt": 1_700_000_000, "endsAt": null, "joinLink": null,
                "cancelled": false,
                "location": { "latitude": null, "longitude": null, "name": "Office", "address": null } }),
            Some("Lunch"),
        ),
        (
            message!(product_message: product),
            "product",
            json!({ "productId": "p1", "title": "Mug", "description": null, "price": "12.5", "salePrice": null,
                "currency": "IDR", "retailerId": null, "url": null, "seller": "62811@s.whatsapp.net", "body": null,
                "footer": null }),
            Some("Mug"),
        ),
        (
            message!(order_message: order),
            "order",
            json!({ "orderId": "o1", "title": "Toko", "body": null, "itemCount": 2, "total": "25", "currency": "IDR",
                "orderStatus": "inquiry", "seller": null }),
            Some("Toko"),
        ),
        (
            message!(sticker_pack_message: pack),
            "sticker_pack",
            json!({ "name": "Cats", "publisher": null, "description": null, "caption": null, "stickerCount": 2 }),
            Some("Cats"),
        ),
        (message!(album_message: album), "album", json!({ "imageCount": 3, "videoCount": 1 }), None),
        (
            message!(ptv_message: video),
            "video",
            json!({ "caption": null, "mimeType": null, "size": null, "width": null, "height": null, "seconds": 4,
                "viewOnce": null, "ptv": true }),
            None,
        ),
        (
            message!(payment_invite_message: kinds::PaymentInviteMessage::default()),
            "unsupported",
            json!({ "kind": "payment_invite" }),
            None,
        ),
    ];
    for (message, kind, fields, shown) in cases {
        assert_eq!(content(&message), (EventType::MessageReceived, kind, fields.clone()));
        let wrapped = wa::Message { ephemeral_message: within(message.clone()), ..Default::default() };
        assert_eq!(content(&wrapped), (EventType::MessageReceived, kind, fields));
        let Some(Line::New { kind: of_line, text, .. }) = line(&message) else { panic!("{kind} has no line") };
        assert_eq!((of_line, text.as_deref()), (kind, shown));
    }
}

#[test]
fn buttons_and_lists_of_every_form_are_told_in_one() {
    let native = |name: &str, params: Value| kinds::interactive_message::native_flow_message::NativeFlowButton {
        name: Some(name.to_owned()),
        button_params_json: Some(params.to_string()),
    };
    let flow = |buttons| {
        let flow = kinds::interactive_message::NativeFlowMessage { buttons, ..Default::default() };
        kinds::InteractiveMessage {
            body: some(kinds::interactive_message::Body { text: Some("Well?".into()) }),
            interactive_message: Some(kinds::interactive_message::InteractiveMessage::NativeFlowMessage(Box::new(
                flow,
            ))),
            ..Default::default()
        }
    };
    let pressed = flow(vec![
        native("quick_reply", json!({ "display_text": "Yes", "id": "y" })),
        native("cta_url", json!({ "display_text": "See", "url": "https://toko.id" })),
        native("cta_call", json!({ "display_text": "Call", "phone_number": "+62811" })),
        native("cta_copy", json!({ "display_text": "Copy", "copy_code": "X1" })),
        native("payment_info", json!([1])),
    ]);
    let listed = flow(vec![native(
        "single_select",
        json!({ "title": "Sizes", "sections": [{ "title": "All", "rows": [{ "id": "s", "title": "Small" }, 7] }] }),
    )]);
    let carousel = kinds::InteractiveMessage {
        interactive_message: Some(kinds::interactive_message::InteractiveMessage::CarouselMessage(Box::new(
            kinds::interactive_message::CarouselMessage { cards: vec![listed.clone()], ..Default::default() },
        ))),
        ..Default::default()
    };
    let list = kinds::ListMessage {
        title: Some("Menu".into()),
        description: Some("Pick one".into()),
        button_text: Some("Open".into()),
        footer_text: Some("Toko".into()),
        sections: vec![kinds::list_message::Section {
            title: Some("All".into()),
            rows: vec![kinds::list_message::Row {
                row_id: Some("s".into()),
                title: Some("Small".into()),
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let buttons = kinds::ButtonsMessage {
        content_text: Some("Well?".into()),
        header: Some(kinds::buttons_message::Header::Text("Order".into())),
        buttons: vec![kinds::buttons_message::Button {
            button_id: Some("y".into()),
            button_text: some(kinds::buttons_message::button::ButtonText { display_text: Some("Yes".into()) }),
            ..Default::default()
        }],
        ..Default::default()
    };
    let filled = kinds::template_message::HydratedFourRowTemplate {
        hydrated_content_text: Some("Well?".into()),
        hydrated_buttons: vec![wa::HydratedTemplateButton {
            hydrated_button: Some(wa::hydrated_template_button::HydratedButton::QuickReplyButton(Box::new(
                wa::hydrated_template_button::HydratedQuickReplyButton {
                    id: Some("y".into()),
                    display_text: Some("Yes".into()),
                },
            ))),
            ..Default::default()
        }],
        ..Default::default()
    };
    let template = kinds::TemplateMessage { hydrated_template: some(filled), ..Default::default() };
    let sections = json!([{ "title": "All", "rows": [{ "id": "s", "title": "Small", "description": null },
        { "id": null, "title": null, "description": null }] }]);
    let card = json!({ "header": null, "body": "Well?", "footer": null, "buttonText": "Sizes", "sections": sections });
    let cases = [
        (
            message!(interactive_message: pressed),
            json!({ "header": null, "body": "Well?", "footer": null, "buttons": [{ "id": "y", "text": "Yes" },
                { "text": "See", "url": "https://toko.id" }, { "text": "Call", "phoneNumber": "+62811" },
                { "text": "Copy", "code": "X1" }, { "text": null, "name": "payment_info" }] }),
        ),
        (message!(interactive_message: listed), card.clone()),
        (
            message!(interactive_message: carousel),
            json!({ "header": null, "body": null, "footer": null, "cards": [card] }),
        ),
        (
            message!(list_message: list),
            json!({ "header": "Menu", "body": "Pick one", "footer": "Toko", "buttonText": "Open",
                "sections": [{ "title": "All", "rows": [{ "id": "s", "title": "Small", "description": null }] }] }),
        ),
        (
            message!(buttons_message: buttons),
            json!({ "header": "Order", "body": "Well?", "footer": null, "buttons": [{ "id": "y", "text": "Yes" }] }),
        ),
        (
            message!(template_message: template),
            json!({ "header": null, "body": "Well?", "footer": null, "buttons": [{ "id": "y", "text": "Yes" }] }),
        ),
    ];
    for (message, fields) in cases {
        assert_eq!(content(&message), (EventType::MessageReceived, "interactive", fields));
    }
}

#[test]
fn a_pin_names_its_message_and_is_no_line_of_the_chat() {
    use kinds::pin_in_chat_message::Type;
    for (r#type, is_pinned) in [(Type::PIN_FOR_ALL, true), (Type::UNPIN_FOR_ALL, false)] {
        let pin = kinds::PinInChatMessage { key: key("A"), r#type: Some(r#type), ..Default::default() };
        let message = message!(pin_in_chat_message: pin);
        let fields = json!({ "messageId": "A", "pinned": is_pinned });
        assert_eq!(content(&message), (EventType::MessageReceived, "pin", fields));
        assert_eq!(line(&message), None);
    }
}

#[test]
fn what_is_the_protocols_own_is_no_message_in_a_wrapper_either() {
    use kinds::protocol_message::Type;
    let setting = message!(protocol_message: kinds::ProtocolMessage {
        r#type: Some(Type::EPHEMERAL_SETTING),
        ..Default::default()
    });
    let revoke = message!(protocol_message: kinds::ProtocolMessage {
        r#type: Some(Type::REVOKE),
        key: key("A"),
        ..Default::default()
    });
    let sent = |message: wa::Message| message!(device_sent_message: kinds::DeviceSentMessage { message: some(message), ..Default::default() });
    let distribution = message!(sender_key_distribution_message: kinds::SenderKeyDistributionMessage::default());
    for message in [setting.clone(), sent(setting), distribution] {
        assert_eq!(hook::without_keys(&message), None);
        assert_eq!(hook::nameless(&message), None);
    }
    let deleted = (EventType::MessageDeleted, "delete", json!({ "messageId": "A" }));
    for message in [revoke.clone(), sent(revoke)] {
        assert_eq!(content(&hook::without_keys(&message).expect("stored")), deleted);
    }
}

#[test]
fn what_the_library_does_not_know_is_a_message_without_a_name_and_a_wrapper_around_nothing_has_its_own() {
    let context = wa::MessageContextInfo { message_secret: Some(vec![7; 32]), ..Default::default() };
    let newer = wa::Message { message_context_info: some(context), ..Default::default() };
    assert_eq!(hook::without_keys(&newer), None);
    let stored = hook::nameless(&newer).expect("stored");
    assert_eq!(stored, wa::Message::default(), "without its secret");
    assert_eq!(content(&stored), (EventType::MessageReceived, "unsupported", json!({ "kind": "unknown" })));

    let empty = wa::Message { view_once_message_v2: within(wa::Message::default()), ..Default::default() };
    assert_eq!(content(&empty).2, json!({ "kind": "view_once_v2" }));
}

#[test]
fn a_text_says_of_others_what_it_did_and_an_edit_keeps_it() {
    let context = wa::ContextInfo {
        stanza_id: Some("A".into()),
        participant: Some("1@lid".into()),
        quoted_message: some(text("when?")),
        mentioned_jid: vec!["2@lid".into()],
        ..Default::default()
    };
    let plain = message!(extended_text_message: kinds::ExtendedTextMessage {
        text: Some("now".into()),
        ..Default::default()
    });
    let answer = message!(extended_text_message: kinds::ExtendedTextMessage {
        text: Some("now".into()),
        context_info: some(context),
        ..Default::default()
    });
    let edit = message!(protocol_message: kinds::ProtocolMessage {
        key: key("B"),
        edited_message: some(answer.clone()),
        ..Default::default()
    });
    let fields = json!({ "text": "now", "quotedMessageId": "A", "quotedAuthor": "1@lid", "quotedText": "when?",
        "mentions": ["2@lid"] });

    assert_eq!(content(&plain).2, json!({ "text": "now", "quotedMessageId": null, "mentions": [] }));
    assert_eq!(content(&answer).2, fields);
    assert_eq!(content(&edit).2, json!({ "messageId": "B", "kind": "text", "content": fields }));
    assert_eq!(line(&edit), Some(Line::Edited { target: "B".into(), text: Some("now".into()) }));
}
