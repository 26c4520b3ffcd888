//! The message behind an event, in the protocol's own form. It lies in the inbox anyhow, so nothing is kept twice, and who does
//! not ask for it pays nothing.
//!
//! What a plugin took out of a message is gone from the inbox too, and so from here; and a device's messages go with it.

use super::{EventRow, Result, Store, inbox};
use crate::domain::ids::{DeviceId, EventId, TenantId};
use rusqlite::{Connection, params};
use std::collections::HashMap;

/// Bytes of a stored message that is handed out.
pub const RAW_BYTES_MAX: u32 = 256 * 1_024;
/// Bytes of the messages of one page. More than one message has, so that a page always goes on.
const RAW_PAGE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// What a stored message is handed out as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawMessage {
    Whole(Vec<u8>),
    /// It has more than [`RAW_BYTES_MAX`].
    TooLarge,
}

/// An event and the message that it may have come of.
#[derive(Debug, Clone)]
pub struct Behind {
    event: EventId,
    device: DeviceId,
    wa_id: String,
}

/// Messages behind the events of a page.
#[derive(Debug, Clone, Default)]
pub struct RawPage {
    pub messages: HashMap<EventId, RawMessage>,
    /// The first event whose message is too much for this page.
    pub next: Option<EventId>,
}

impl EventRow {
    /// `None`: it came of no message.
    pub fn behind(&self) -> Option<Behind> {
        let (device, wa_id) = (self.device.clone()?, self.data["id"].as_str()?.to_owned());
        Some(Behind { event: self.id.clone(), device, wa_id })
    }
}

impl Store {
    /// The stored protobuf behind an event; `None` when it came of no message, or that is not kept.
    pub async fn raw_message(&self, tenant: &TenantId, event: Behind) -> Result<Option<RawMessage>> {
        let mut page = self.raw_messages(tenant, vec![event.clone()]).await?;
        Ok(page.messages.remove(&event.event))
    }

    /// Those behind these events, in this order, as far as one page holds.
    pub async fn raw_messages(&self, tenant: &TenantId, events: Vec<Behind>) -> Result<RawPage> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let (mut page, mut bytes) = (RawPage::default(), 0);
                for event in events {
                    let message = match found(conn, &tenant, &event)? {
                        None => continue,
                        Some((_, length)) if length > RAW_BYTES_MAX => RawMessage::TooLarge,
                        Some((seq, length)) => {
                            bytes += length as usize;
                            if bytes > RAW_PAGE_BYTES_MAX {
                                page.next = Some(event.event);
                                break;
                            }
                            RawMessage::Whole(conn.prepare_cached(BY_SEQ)?.query_row([seq], |row| row.get(0))?)
                        }
                    };
                    page.messages.insert(event.event, message);
                }
                Ok(page)
            })
            .await
    }
}

/// The length of a blob is known without reading it.
const BY_WA_ID: &str = "SELECT seq, received_at, chat, sender, length(message) FROM messages_inbox \
     WHERE device_id = ?1 AND wa_id = ?2 AND tenant_id = ?3 AND kind = 0 AND length(message) > 0";
const BY_SEQ: &str = "SELECT message FROM messages_inbox WHERE seq = ?1";

/// The query of a message in its own form, for the test of its plan.
#[cfg(test)]
pub(super) fn queries() -> Vec<String> {
    vec![BY_WA_ID.to_owned(), BY_SEQ.to_owned()]
}

/// Its row and its length. None when a plugin replaced what was said.
fn found(conn: &Connection, tenant: &TenantId, event: &Behind) -> Result<Option<(i64, u32)>> {
    let (device, wa_id) = (event.device.as_str(), event.wa_id.as_str());
    let mut statement = conn.prepare_cached(BY_WA_ID)?;
    let mut rows = statement.query(params![device, wa_id, tenant.as_str()])?;
    while let Some(row) = rows.next()? {
        let (seq, chat, sender): (i64, String, String) = (row.get(0)?, row.get(2)?, row.get(3)?);
        // An id is its sender's choice and may be there twice: the event's own id says which of them it is.
        if inbox::event_id(row.get(1)?, seq, device, &chat, &sender, wa_id) == event.event {
            return Ok(Some((seq, row.get(4)?)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EventQuery;
    use crate::store::world::World;

    const BUDI: &str = "62811@s.whatsapp.net";

    #[tokio::test]
    async fn a_message_is_found_behind_its_event_unless_a_plugin_replaced_what_was_said() {
        let world = World::new().await;
        world.received(BUDI, BUDI, "A", b"first").await;
        world.received(BUDI, BUDI, "B", b"second").await;
        // The same id from somebody else is another message.
        world.received("62812@s.whatsapp.net", "62812@s.whatsapp.net", "A", b"third").await;
        world.processed(&["B"]).await;
        let query =
            EventQuery { after: Some(0), limit: 100, types: vec!["message.received".into()], ..Default::default() };
        let events = world.store.events(&world.tenant, query).await.expect("events");

        let behind = || events.iter().filter_map(EventRow::behind).collect::<Vec<_>>();
        let raw = world.store.raw_messages(&world.tenant, behind()).await.expect("raw");

        let of: Vec<Option<&RawMessage>> = events.iter().map(|event| raw.messages.get(&event.id)).collect();
        let whole = |message: &[u8]| RawMessage::Whole(message.to_vec());
        assert_eq!(of, [Some(&whole(b"first")), None, Some(&whole(b"third"))]);
        let other = TenantId::generate();
        assert!(world.store.raw_messages(&other, behind()).await.expect("raw").messages.is_empty());
    }

    #[tokio::test]
    async fn a_page_ends_before_its_messages_are_too_much_and_one_that_is_too_large_is_not_read() {
        let world = World::new().await;
        let most = vec![1; RAW_BYTES_MAX as usize];
        world.received(BUDI, BUDI, "L", &vec![1; RAW_BYTES_MAX as usize + 1]).await;
        for n in 0..20 {
            world.received(BUDI, BUDI, &format!("A{n}"), &most).await;
        }
        world.processed(&["B"]).await;
        let query = EventQuery { after: Some(0), limit: 100, ..Default::default() };
        let events = world.store.events(&world.tenant, query).await.expect("events");
        let behind: Vec<Behind> = events.iter().filter_map(EventRow::behind).collect();
        assert_eq!(behind.len(), 21);

        let page = world.store.raw_messages(&world.tenant, behind.clone()).await.expect("raw");

        assert_eq!((page.messages.len(), &page.messages[&behind[0].event]), (17, &RawMessage::TooLarge));
        assert_eq!(page.next.as_ref(), Some(&behind[17].event));
        let rest = world.store.raw_messages(&world.tenant, behind[17..].to_vec()).await.expect("raw");
        assert_eq!((rest.messages.len(), rest.next), (4, None));
    }
}
