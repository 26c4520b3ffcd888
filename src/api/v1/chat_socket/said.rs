//! What an event says to who shows chats: a table from the events of the log to the messages of the socket.

use crate::domain::chat::is_chat;
use crate::domain::event::EventType;
use crate::store::EventRow;
use serde_json::{Map, Value, json};

/// Events that say something here. The others are in the events of the device.
pub(super) const TYPES: [EventType; 22] = [
    EventType::MessageReceived,
    EventType::MessageSent,
    EventType::MessageUpdated,
    EventType::MessageDeleted,
    EventType::MessageReaction,
    EventType::PollVote,
    EventType::ReceiptDelivery,
    EventType::ReceiptRead,
    EventType::ReceiptPlayed,
    EventType::MessageUndecryptable,
    EventType::GroupCreated,
    EventType::GroupUpdated,
    EventType::GroupDeleted,
    EventType::ChatUpdated,
    EventType::ContactUpdated,
    EventType::DeviceConnected,
    EventType::DeviceDisconnected,
    EventType::DevicePairing,
    EventType::DeviceNeedsPairing,
    EventType::DeviceDegraded,
    EventType::DeviceRecovered,
    EventType::HistorySynced,
];

/// Messages of the socket: type and data.
pub(super) fn told(row: &EventRow) -> Vec<(&'static str, Value)> {
    use EventType as E;
    let Some(type_) = EventType::parse(&row.type_) else { return Vec::new() };
    let data = &row.data;
    match type_ {
        E::MessageReceived | E::MessageSent => {
            // A status post stands in no chat.
            let stands_in_one = data["chat"].as_str().is_some_and(is_chat);
            let chat = stands_in_one.then(|| ("chats.upsert", one(moved(data))));
            [("messages.upsert", message(row))].into_iter().chain(chat).collect()
        }
        E::MessageUpdated
        | E::MessageDeleted
        | E::MessageReaction
        | E::PollVote
        | E::ReceiptDelivery
        | E::ReceiptRead
        | E::ReceiptPlayed
        | E::MessageUndecryptable => vec![("messages.upsert", message(row))],
        E::GroupCreated => {
            let group = json!({ "jid": data["group"], "name": data["subject"], "isGroup": true });
            vec![("chats.upsert", one(group))]
        }
        E::GroupUpdated => {
            let mut group = json!({ "jid": data["group"], "isGroup": true, "changes": data["changes"] });
            if let Some(subject) = data["changes"].get("subject") {
                group["name"] = subject.clone();
            }
            vec![("chats.update", one(group))]
        }
        E::GroupDeleted => vec![("chats.delete", json!({ "jids": [data["group"]] }))],
        E::ChatUpdated if data["deleted"] == true => vec![("chats.delete", json!({ "jids": [data["chat"]] }))],
        E::ChatUpdated => {
            let mut chat = data.as_object().cloned().unwrap_or_default();
            chat.insert("jid".into(), data["chat"].clone());
            vec![("chats.update", one(chat.into()))]
        }
        E::ContactUpdated => {
            let mut contact = data["contact"].as_object().cloned().unwrap_or_default();
            contact.insert("changes".into(), data["changes"].clone());
            vec![("contacts.upsert", json!({ "contacts": [contact] }))]
        }
        E::DeviceConnected | E::DeviceDisconnected | E::DevicePairing | E::DeviceNeedsPairing => {
            vec![(
                "connection.update",
                json!({ "status": data["status"], "reason": data["reason"], "degraded": false }),
            )]
        }
        E::DeviceDegraded | E::DeviceRecovered => {
            let degraded = type_ == E::DeviceDegraded;
            vec![(
                "connection.update",
                json!({ "status": "connected", "reason": data["reason"], "degraded": degraded }),
            )]
        }
        _ => Vec::new(),
    }
}

/// Whether the list of chats is another one now, as a whole.
pub(super) fn changes_all_chats(row: &EventRow) -> bool {
    row.type_ == EventType::HistorySynced.as_str()
}

/// What a webhook gets as `data`, with the name of the event that tells what it is.
fn message(row: &EventRow) -> Value {
    json!({ "event": row.type_, "eventId": row.id, "messages": [row.data] })
}

fn one(chat: Value) -> Value {
    json!({ "chats": [chat] })
}

/// A chat in which something was written.
fn moved(data: &Value) -> Value {
    let jid = data["chat"].as_str().unwrap_or_default();
    let mut chat = Map::new();
    chat.insert("jid".into(), jid.into());
    chat.insert("isGroup".into(), jid.ends_with("@g.us").into());
    chat.insert("lastMessageTime".into(), data["timestamp"].clone());
    // The name that somebody gives themselves names the chat with them, and not a group they write in.
    let name = data["sender"]["name"].as_str().filter(|_| data["fromMe"] == false && data["isGroup"] == false);
    if let Some(name) = name {
        chat.insert("name".into(), name.into());
    }
    chat.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{EventId, TenantId};

    fn row(type_: EventType, data: Value) -> EventRow {
        EventRow {
            seq: 1,
            id: EventId::generate(),
            tenant: TenantId::generate(),
            device: None,
            type_: type_.as_str().to_owned(),
            data,
            at: 0,
            dropped: None,
        }
    }

    #[test]
    fn a_message_names_the_chat_with_who_wrote_it_and_not_a_group() {
        let said = |is_group: bool, chat: &str| {
            let data = json!({
                "chat": chat, "isGroup": is_group, "fromMe": false, "sender": { "name": "Budi" }, "timestamp": 7,
            });
            told(&row(EventType::MessageReceived, data))
        };

        let (direct, group) = (said(false, "1@s.whatsapp.net"), said(true, "2@g.us"));

        assert_eq!([direct[0].0, direct[1].0], ["messages.upsert", "chats.upsert"]);
        let chat = json!({ "jid": "1@s.whatsapp.net", "isGroup": false, "lastMessageTime": 7, "name": "Budi" });
        assert_eq!(direct[1].1["chats"][0], chat);
        assert_eq!(said(false, "status@broadcast").len(), 1, "a status post moves no chat");
        assert_eq!(group[1].1["chats"][0], json!({ "jid": "2@g.us", "isGroup": true, "lastMessageTime": 7 }));
    }

    #[test]
    fn every_type_that_is_asked_for_says_something() {
        let data = json!({ "chat": "1@g.us", "group": "1@g.us", "status": "connected", "changes": { "subject": "s" } });
        for type_ in TYPES {
            let row = row(type_, data.clone());
            assert!(!told(&row).is_empty() || changes_all_chats(&row), "{type_:?}");
        }
        assert!(told(&row(EventType::PluginTripped, json!({}))).is_empty());
    }
}
