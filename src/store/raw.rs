//! The message behind an event, in the protocol's own form. It lies in the inbox anyhow, so nothing is kept twice, and who does
//! not ask for it pays nothing.
//!
//! What a plugin took out of a message is gone from the inbox too, and so from here.

use super::{EventRow, Result, Store, inbox};
use crate::domain::ids::{EventId, TenantId};
use rusqlite::{Connection, params};
use std::collections::HashMap;

impl Store {
    /// The stored protobuf of every one of these events that came of a message.
    pub async fn raw_messages(&self, tenant: &TenantId, events: Vec<EventRow>) -> Result<HashMap<EventId, Vec<u8>>> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let mut found = HashMap::new();
                for event in events.iter().filter(|event| event.tenant == tenant) {
                    if let Some(message) = behind(conn, event)? {
                        found.insert(event.id.clone(), message);
                    }
                }
                Ok(found)
            })
            .await
    }
}

const BY_WA_ID: &str = "SELECT seq, received_at, chat, sender, message FROM messages_inbox \
     WHERE device_id = ?1 AND wa_id = ?2 AND tenant_id = ?3 AND kind = 0 AND length(message) > 0";

/// The query of a message in its own form, for the test of its plan.
#[cfg(test)]
pub(super) fn queries() -> Vec<String> {
    vec![BY_WA_ID.to_owned()]
}

/// `None`: it came of no message, or a plugin replaced what was said.
pub(super) fn behind(conn: &Connection, event: &EventRow) -> Result<Option<Vec<u8>>> {
    let (Some(device), Some(wa_id)) = (&event.device, event.data["id"].as_str()) else { return Ok(None) };
    let mut statement = conn.prepare_cached(BY_WA_ID)?;
    let mut rows = statement.query(params![device.as_str(), wa_id, event.tenant.as_str()])?;
    while let Some(row) = rows.next()? {
        let (chat, sender): (String, String) = (row.get(2)?, row.get(3)?);
        // An id is its sender's choice and may be there twice: the event's own id says which of them it is.
        if inbox::event_id(row.get(1)?, row.get(0)?, device.as_str(), &chat, &sender, wa_id) == event.id {
            return Ok(Some(row.get(4)?));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use crate::domain::aftermath::Aftermath;
    use crate::domain::event::{Event, EventType};
    use crate::store::world::World;
    use crate::store::{EventQuery, Incoming};
    use serde_json::json;

    const BUDI: &str = "62811@s.whatsapp.net";

    /// What waits becomes events; of the second message a plugin replaced what was said.
    async fn told(world: &World) {
        let waiting = world.store.waiting(&world.tenant, Vec::new(), 10).await.expect("waiting");
        for row in &waiting.rows {
            let Incoming::Message { sender, wa_id, .. } = &row.what else { panic!("a message") };
            let data = json!({ "id": wa_id, "chat": row.chat, "text": "said" });
            let device = Some(row.device.clone());
            let event = Event {
                id: row.event_id(sender, wa_id),
                ..Event::new(world.tenant.clone(), device, EventType::MessageReceived, row.received_at, data)
            };
            let redacted = wa_id == "B";
            world.store.complete_inbound(row, vec![event], Aftermath::default(), redacted).await.expect("completed");
        }
    }

    #[tokio::test]
    async fn a_message_is_found_behind_its_event_unless_a_plugin_replaced_what_was_said() {
        let world = World::new().await;
        world.received(BUDI, BUDI, "A", b"first").await;
        world.received(BUDI, BUDI, "B", b"second").await;
        // The same id from somebody else is another message.
        world.received("62812@s.whatsapp.net", "62812@s.whatsapp.net", "A", b"third").await;
        told(&world).await;
        let query =
            EventQuery { after: Some(0), limit: 100, types: vec!["message.received".into()], ..Default::default() };
        let events = world.store.events(&world.tenant, query).await.expect("events");

        let raw = world.store.raw_messages(&world.tenant, events.clone()).await.expect("raw");

        let of: Vec<Option<&[u8]>> = events.iter().map(|event| raw.get(&event.id).map(Vec::as_slice)).collect();
        assert_eq!(of, [Some(&b"first"[..]), None, Some(&b"third"[..])]);
        let other = crate::domain::ids::TenantId::generate();
        assert!(world.store.raw_messages(&other, events).await.expect("raw").is_empty());
    }
}
