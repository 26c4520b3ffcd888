//! Places, people, and where and when they meet.

use super::{Said, received};
use serde_json::{Value, json};
use waproto::whatsapp as wa;

pub(super) fn said(message: &wa::Message) -> Option<Said> {
    if let Some(at) = message.location_message.as_option() {
        return received("location", location(at));
    }
    if let Some(live) = message.live_location_message.as_option() {
        return received(
            "live_location",
            json!({
                "latitude": live.degrees_latitude,
                "longitude": live.degrees_longitude,
                "accuracyMeters": live.accuracy_in_meters,
                "caption": live.caption,
                "sequence": live.sequence_number,
            }),
        );
    }
    if let Some(one) = message.contact_message.as_option() {
        return received("contact", json!({ "contacts": [contact(one)] }));
    }
    if let Some(several) = message.contacts_array_message.as_option() {
        let contacts: Vec<Value> = several.contacts.iter().map(contact).collect();
        return received("contact", json!({ "contacts": contacts }));
    }
    if let Some(invite) = message.group_invite_message.as_option() {
        return received(
            "group_invite",
            json!({
                "groupId": invite.group_jid,
                "name": invite.group_name,
                "inviteCode": invite.invite_code,
                "expiresAt": invite.invite_expiration,
                "caption": invite.caption,
            }),
        );
    }
    let event = message.event_message.as_option()?;
    received(
        "event",
        json!({
            "name": event.name,
            "description": event.description,
            "location": event.location.as_option().map(location),
            "startsAt": event.start_time,
            "endsAt": event.end_time,
            "joinLink": event.join_link,
            "cancelled": event.is_canceled.unwrap_or(false),
        }),
    )
}

fn location(at: &wa::message::LocationMessage) -> Value {
    json!({
        "latitude": at.degrees_latitude,
        "longitude": at.degrees_longitude,
        "name": at.name,
        "address": at.address,
    })
}

fn contact(contact: &wa::message::ContactMessage) -> Value {
    json!({ "displayName": contact.display_name, "vcard": contact.vcard })
}
