//! Contacts that are shared: a vCard of the client's, or one that is made of a phone number.

use super::{accept, idempotency_key, recipient};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::allowance::SendKind;
use crate::domain::jid::{ChatId, InvalidAddress, PhoneNumber};
use crate::domain::outgoing::{CONTACTS_MAX, ContactCard, Content};
use crate::outbound::accept::{Outgoing, Receipt};
use axum::extract::State;
use axum::http::HeaderMap;
use utoipa::ToSchema;

const NAME_CHARS_MAX: usize = 1_000;
const VCARD_CHARS_MAX: usize = 65_536;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SendContact {
    /// A phone number in international form, or a JID of a person or a group.
    #[schema(example = "6281234567890")]
    to: String,
    #[schema(min_items = 1, max_items = 50)]
    contacts: Vec<SharedContact>,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// Exactly one of `vcard` and `phoneNumber`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SharedContact {
    #[schema(min_length = 1, max_length = 1000)]
    display_name: String,
    /// A whole vCard.
    #[schema(required = false, min_length = 1, max_length = 65536)]
    vcard: String,
    /// A number in international form, of which a vCard is made.
    #[schema(required = false)]
    phone_number: String,
}

/// Share contacts
#[utoipa::path(post, path = "/devices/{device}/messages/contact", operation_id = "sendContact", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = SendContact,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let to = recipient(&mut fields);
    let mut contacts = Vec::new();
    for mut one in fields.inner_list("contacts", 1..=CONTACTS_MAX) {
        contacts.push(card(&mut one));
        fields.take_in(one);
    }
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let contacts: Option<Vec<ContactCard>> = contacts.into_iter().collect();
    let (Some(chat), Some(contacts)) = (to, contacts) else { return Err(ApiError::field("body", "is incomplete")) };
    let content = Content::Contacts { contacts };
    accept(&api, &device, SendKind::Contact, Outgoing { chat, content, idempotency_key }).await
}

fn card(fields: &mut Fields) -> Option<ContactCard> {
    let display_name = fields.name("displayName", NAME_CHARS_MAX, true);
    let vcard = fields.text("vcard", 1..=VCARD_CHARS_MAX, false);
    let phone = fields.parsed("phoneNumber", false, number);
    if fields.has("vcard") == fields.has("phoneNumber") {
        fields.wrong("vcard", "give one of vcard and phoneNumber");
    }
    let whole = |vcard: &str| {
        let vcard = vcard.trim();
        vcard.starts_with("BEGIN:VCARD") && vcard.ends_with("END:VCARD")
    };
    if vcard.as_deref().is_some_and(|vcard| !whole(vcard)) {
        fields.wrong("vcard", "must begin with BEGIN:VCARD and end with END:VCARD");
    }
    match (display_name?, vcard, phone) {
        (display_name, Some(vcard), None) => Some(ContactCard { display_name, vcard }),
        (display_name, None, Some(phone)) => Some(ContactCard::of_phone(&display_name, phone.as_str())),
        _ => None,
    }
}

/// As a person writes it: the national form is refused, which on another phone would be somebody else's number.
fn number(text: &str) -> Result<PhoneNumber, InvalidAddress> {
    let phone = PhoneNumber::parse(text)?;
    ChatId::parse_written(phone.as_str())?;
    Ok(phone)
}
