//! What offers something to choose from, and what was chosen. Buttons and lists come in four forms of WhatsApp's and leave in one:
//! the names are those of `POST .../messages/interactive`.

use super::{Said, received};
use crate::domain::event::EventType;
use crate::whatsapp::poll;
use serde_json::{Map, Value, json};
use waproto::whatsapp as wa;
use waproto::whatsapp::hydrated_template_button::HydratedButton;
use waproto::whatsapp::message::buttons_message::Header;
use waproto::whatsapp::message::interactive_message::InteractiveMessage as Offer;
use waproto::whatsapp::message::template_message::Format;
use waproto::whatsapp::message::template_message::HydratedFourRowTemplate;
use waproto::whatsapp::message::template_message::hydrated_four_row_template::Title;

pub(super) fn said(message: &wa::Message) -> Option<Said> {
    if let Some(poll) = poll::asked(message) {
        return received(
            "poll",
            json!({ "question": poll.question, "options": poll.options, "selectableCount": poll.selectable_count }),
        );
    }
    if let Some((id, _)) = poll::vote(message) {
        // What was opened of it stands in the envelope, and takes the place of these.
        let sealed = json!({ "messageId": id, "question": null, "selectedOptions": null, "tallies": null });
        return Some((EventType::PollVote, "vote", sealed));
    }
    if let Some((id, title)) = chosen(message) {
        return received("interactive_reply", json!({ "replyId": id, "title": title, "quotedMessageId": null }));
    }
    received("interactive", offered(message)?)
}

/// What somebody chose among buttons or in a list: its id, and what stood on it.
fn chosen(message: &wa::Message) -> Option<(Option<String>, Option<String>)> {
    use wa::message::interactive_response_message::InteractiveResponseMessage as Response;
    if let Some(answer) = message.interactive_response_message.as_option() {
        let Some(Response::NativeFlowResponseMessage(flow)) = &answer.interactive_response_message else { return None };
        let params: Value = serde_json::from_str(flow.params_json.as_deref()?).ok()?;
        let id = params.get("id").and_then(Value::as_str).map(str::to_owned);
        return Some((id, answer.body.as_option().and_then(|body| body.text.clone())));
    }
    if let Some(answer) = message.list_response_message.as_option() {
        let id = answer.single_select_reply.as_option().and_then(|reply| reply.selected_row_id.clone());
        return Some((id, answer.title.clone()));
    }
    if let Some(answer) = message.buttons_response_message.as_option() {
        use wa::message::buttons_response_message::Response;
        let Some(Response::SelectedDisplayText(text)) = &answer.response else {
            return Some((answer.selected_button_id.clone(), None));
        };
        return Some((answer.selected_button_id.clone(), Some(text.clone())));
    }
    let answer = message.template_button_reply_message.as_option()?;
    Some((answer.selected_id.clone(), answer.selected_display_text.clone()))
}

fn offered(message: &wa::Message) -> Option<Value> {
    if let Some(interactive) = message.interactive_message.as_option() {
        return Some(of_interactive(interactive));
    }
    if let Some(list) = message.list_message.as_option() {
        return Some(of_list(list));
    }
    if let Some(buttons) = message.buttons_message.as_option() {
        return Some(of_buttons(buttons));
    }
    let template = message.template_message.as_option()?;
    match &template.format {
        Some(Format::InteractiveMessageTemplate(interactive)) => Some(of_interactive(interactive)),
        Some(Format::HydratedFourRowTemplate(filled)) => Some(of_template(filled)),
        _ => template.hydrated_template.as_option().map(of_template),
    }
}

fn of_interactive(interactive: &wa::message::InteractiveMessage) -> Value {
    let mut offer = one_card(interactive);
    if let Some(Offer::CarouselMessage(carousel)) = &interactive.interactive_message {
        offer.insert("cards".to_owned(), carousel.cards.iter().map(|card| Value::Object(one_card(card))).collect());
    }
    Value::Object(offer)
}

/// Without the cards that it may carry.
fn one_card(interactive: &wa::message::InteractiveMessage) -> Map<String, Value> {
    let texts = [
        ("header", interactive.header.as_option().and_then(|header| header.title.clone())),
        ("body", interactive.body.as_option().and_then(|body| body.text.clone())),
        ("footer", interactive.footer.as_option().and_then(|footer| footer.text.clone())),
    ];
    let mut offer = Map::from_iter(texts.map(|(name, text)| (name.to_owned(), json!(text))));
    let Some(Offer::NativeFlowMessage(flow)) = &interactive.interactive_message else { return offer };
    let mut buttons = Vec::new();
    for button in &flow.buttons {
        let name = button.name.as_deref().unwrap_or_default();
        let params = button.button_params_json.as_deref().and_then(|params| serde_json::from_str(params).ok());
        let params: Value = params.unwrap_or_default();
        if name == "single_select" {
            offer.insert("buttonText".to_owned(), text(&params, "title"));
            offer.insert("sections".to_owned(), sections(&params));
        } else {
            buttons.push(native_button(name, &params));
        }
    }
    if !buttons.is_empty() || !offer.contains_key("sections") {
        offer.insert("buttons".to_owned(), Value::Array(buttons));
    }
    offer
}

fn text(of: &Value, key: &str) -> Value {
    of.get(key).filter(|text| text.is_string()).cloned().unwrap_or_default()
}

fn native_button(name: &str, params: &Value) -> Value {
    let label = text(params, "display_text");
    match name {
        "quick_reply" => json!({ "id": text(params, "id"), "text": label }),
        "cta_url" => json!({ "text": label, "url": text(params, "url") }),
        "cta_call" => json!({ "text": label, "phoneNumber": text(params, "phone_number") }),
        "cta_copy" => json!({ "text": label, "code": text(params, "copy_code") }),
        // WhatsApp has more of them, and adds some.
        _ => json!({ "text": label, "name": name }),
    }
}

fn sections(params: &Value) -> Value {
    let list = |of: &Value, key: &str| of.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let row = |row: &Value| json!({ "id": text(row, "id"), "title": text(row, "title"), "description": text(row, "description") });
    let section = |section: &Value| {
        let rows: Vec<Value> = list(section, "rows").iter().map(row).collect();
        json!({ "title": text(section, "title"), "rows": rows })
    };
    list(params, "sections").iter().map(section).collect()
}

fn of_list(list: &wa::message::ListMessage) -> Value {
    let row = |row: &wa::message::list_message::Row| json!({ "id": row.row_id, "title": row.title, "description": row.description });
    let section = |section: &wa::message::list_message::Section| json!({ "title": section.title, "rows": section.rows.iter().map(row).collect::<Vec<_>>() });
    json!({
        "header": list.title,
        "body": list.description,
        "footer": list.footer_text,
        "buttonText": list.button_text,
        "sections": list.sections.iter().map(section).collect::<Vec<_>>(),
    })
}

fn of_buttons(message: &wa::message::ButtonsMessage) -> Value {
    let header = match &message.header {
        Some(Header::Text(text)) => Some(text),
        _ => None,
    };
    let button = |button: &wa::message::buttons_message::Button| {
        let text = button.button_text.as_option().and_then(|text| text.display_text.clone());
        json!({ "id": button.button_id, "text": text })
    };
    json!({
        "header": header,
        "body": message.content_text,
        "footer": message.footer_text,
        "buttons": message.buttons.iter().map(button).collect::<Vec<_>>(),
    })
}

fn of_template(filled: &HydratedFourRowTemplate) -> Value {
    let header = match &filled.title {
        Some(Title::HydratedTitleText(text)) => Some(text),
        _ => None,
    };
    let button = |button: &wa::HydratedTemplateButton| match &button.hydrated_button {
        Some(HydratedButton::QuickReplyButton(reply)) => Some(json!({ "id": reply.id, "text": reply.display_text })),
        Some(HydratedButton::UrlButton(link)) => Some(json!({ "text": link.display_text, "url": link.url })),
        Some(HydratedButton::CallButton(call)) => {
            Some(json!({ "text": call.display_text, "phoneNumber": call.phone_number }))
        }
        None => None,
    };
    json!({
        "header": header,
        "body": filled.hydrated_content_text,
        "footer": filled.hydrated_footer_text,
        "buttons": filled.hydrated_buttons.iter().filter_map(button).collect::<Vec<_>>(),
    })
}
