//! What a row of the inbox says. The same row gives the same event, its id too, so that a run that is repeated after a
//! crash is the same run.

use crate::domain::event::{Event, EventType};
use crate::store::{InboxRow, Incoming};
use crate::whatsapp::incoming;
use serde_json::json;

pub(super) fn event_of(row: &InboxRow) -> Event {
    let (sender, wa_id, read) = match &row.what {
        Incoming::Event(event) => return event.clone(),
        Incoming::Message { sender, wa_id, envelope, message } => {
            (sender.as_str(), wa_id.as_str(), incoming::describe(envelope, message).ok())
        }
    };
    let (type_, data) = match read {
        // Written by the owner on another device of the same account.
        Some(said) if said.event == EventType::MessageReceived && said.data["fromMe"] == true => {
            (EventType::MessageSent, said.data)
        }
        Some(said) => (said.event, said.data),
        None => {
            tracing::error!(seq = row.seq, "an inbound message does not read back; it is told without its content");
            (EventType::MessageUndecryptable, json!({ "id": wa_id, "chat": row.chat }))
        }
    };
    let id = row.event_id(sender, wa_id);
    Event { id, ..Event::new(row.tenant.clone(), Some(row.device.clone()), type_, row.received_at, data) }
}
