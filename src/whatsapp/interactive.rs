//! Buttons and lists as WhatsApp has them: a native flow, whose parameters are JSON texts. The client library adds what
//! the stanza says about it.

use crate::domain::interactive::{Button, Choices, Interactive, ListRow, Section};
use buffa::MessageField;
use serde_json::{Value, json};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::interactive_message::native_flow_message::NativeFlowButton;
use waproto::whatsapp::message::interactive_message::{self, Body, Footer, Header, NativeFlowMessage};

pub(super) fn message(interactive: &Interactive) -> wa::Message {
    let buttons = match &interactive.choices {
        Choices::Buttons { buttons } => buttons.iter().map(button).collect(),
        Choices::List { label, sections } => {
            let sections: Vec<Value> = sections.iter().map(section).collect();
            vec![flow("single_select", &json!({ "title": label, "sections": sections }))]
        }
    };
    let flow = NativeFlowMessage { buttons, message_version: Some(1), ..Default::default() };
    let header = interactive.header.as_ref().map(|title| Header {
        title: Some(title.clone()),
        has_media_attachment: Some(false),
        ..Default::default()
    });
    let footer = interactive.footer.as_ref().map(|text| Footer { text: Some(text.clone()), ..Default::default() });
    wa::Message {
        interactive_message: MessageField::some(wa::message::InteractiveMessage {
            header: header.map_or_else(MessageField::none, MessageField::some),
            body: MessageField::some(Body { text: Some(interactive.body.clone()) }),
            footer: footer.map_or_else(MessageField::none, MessageField::some),
            interactive_message: Some(interactive_message::InteractiveMessage::NativeFlowMessage(Box::new(flow))),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn flow(name: &str, params: &Value) -> NativeFlowButton {
    NativeFlowButton { name: Some(name.to_owned()), button_params_json: Some(params.to_string()) }
}

fn button(button: &Button) -> NativeFlowButton {
    match button {
        Button::Reply { id, text } => flow("quick_reply", &json!({ "display_text": text, "id": id })),
        Button::Link { text, url } => {
            flow("cta_url", &json!({ "display_text": text, "url": url, "merchant_url": url }))
        }
    }
}

fn section(section: &Section) -> Value {
    let row = |row: &ListRow| json!({ "id": row.id, "title": row.title, "description": row.description });
    json!({ "title": section.title, "rows": section.rows.iter().map(row).collect::<Vec<_>>() })
}
