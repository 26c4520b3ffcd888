//! Finding the message that another one is about: what it quotes in its chat, and what it reacts to, takes back or passes
//! on, in whatever chat that stands. An id of WhatsApp's is chosen by who sends it and seen by who gets it, so an id alone
//! never puts one person's message in the place of another's.

use super::{Result, Store, StoreError, devices};
use crate::domain::ids::{DeviceId, MessageId, TenantId};
use crate::domain::outgoing::Content;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A message as a quote needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Quotable {
    pub wa_id: String,
    pub said: Said,
}

/// A message that was named by its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub wa_id: String,
    pub chat: String,
    /// Whether the account wrote it, by this gateway or on another device.
    pub from_me: bool,
    pub said: Said,
}

/// What is said of a message beside its id. Who sends a message chooses its id, so that of several with one id only this
/// tells which is meant.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// The addresses of its chat.
    pub chat: Option<[String; 2]>,
    /// Who wrote it.
    pub author: Option<String>,
}

/// What an id was found to name.
#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    One(Found),
    Unknown,
    /// Nothing that fits the hints, though there are messages with this id.
    Elsewhere,
    /// More than one, and the hints do not tell which.
    Several,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// By this device.
    Sent(Content),
    /// By `sender`, which is the account itself for what its owner wrote on another device. The message is the protobuf
    /// as it was stored.
    Received { sender: String, message: Vec<u8> },
}

impl Store {
    /// The message that `id`, ours or WhatsApp's, names. One of our ids names what this gateway sent and nothing else; by
    /// one of WhatsApp's, within a named chat, what this gateway sent comes first.
    pub async fn find_message(&self, tenant: &TenantId, device: &DeviceId, id: &str, hints: Hints) -> Result<Named> {
        let (tenant, device, id) = (tenant.clone(), device.clone(), id.to_owned());
        self.db
            .read(move |conn| {
                let sent = sent(conn, &tenant, &device, &id)?;
                if id.starts_with(MessageId::PREFIX) {
                    return Ok(match sent {
                        Some(found) if hints.may_be(&found.chat) => Named::One(found),
                        Some(_) => Named::Elsewhere,
                        None => Named::Unknown,
                    });
                }
                let is_known = sent.is_some();
                let us =
                    if sent.is_some() && hints.author.is_some() { us(conn, &tenant, &device)? } else { Vec::new() };
                let fits = |found: &Found| hints.is_in(&[&found.chat]) && hints.is_by(&us);
                match (sent.filter(fits), received(conn, &tenant, &device, &id, &hints)?) {
                    (Some(found), _) if hints.chat.is_some() => Ok(Named::One(found)),
                    (Some(found), Named::Unknown | Named::Elsewhere) => Ok(Named::One(found)),
                    (Some(_), _) => Ok(Named::Several),
                    (None, Named::Unknown) if is_known => Ok(Named::Elsewhere),
                    (None, received) => Ok(received),
                }
            })
            .await
    }

    /// The message that `id`, ours or WhatsApp's, names in a chat, as [`Store::find_message`] has it; of several that were
    /// received the first, since an id can be repeated only by who has seen it. `chats` are the addresses of that one chat:
    /// a person has one by phone number and may have another, and rows keep the one they came with.
    pub async fn quotable(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        chats: [String; 2],
        id: &str,
    ) -> Result<Option<Quotable>> {
        let (tenant, device, id) = (tenant.clone(), device.clone(), id.to_owned());
        self.db
            .read(move |conn| {
                let sent = sent(conn, &tenant, &device, &id)?.filter(|found| chats.contains(&found.chat));
                if sent.is_some() || id.starts_with(MessageId::PREFIX) {
                    return Ok(sent.map(Quotable::from));
                }
                first_received(conn, &tenant, &device, &chats, &id)
            })
            .await
    }

    /// The very message that was chosen to be forwarded: by `sender`, or without one this gateway's own. `None` when it is
    /// not kept any more, whatever else has its id.
    pub async fn forwarded(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        chat: &str,
        wa_id: &str,
        sender: Option<&str>,
    ) -> Result<Option<Quotable>> {
        let (tenant, device, chat, wa_id) = (tenant.clone(), device.clone(), chat.to_owned(), wa_id.to_owned());
        let sender = sender.map(str::to_owned);
        self.db
            .read(move |conn| {
                let Some(sender) = sender else {
                    let sent = sent(conn, &tenant, &device, &wa_id)?.filter(|found| found.chat == chat);
                    return Ok(sent.map(Quotable::from));
                };
                Ok(conn
                    .prepare_cached(
                        "SELECT wa_id, sender, message FROM messages_inbox WHERE tenant_id = ?1 AND device_id = ?2 \
                         AND chat = ?3 AND sender = ?4 AND wa_id = ?5 AND processed < 2",
                    )?
                    .query_row(params![tenant.as_str(), device.as_str(), chat, sender, wa_id], quotable)
                    .optional()?)
            })
            .await
    }
}

impl Hints {
    /// `addresses` are those under which the chat of a message is known.
    fn is_in(&self, addresses: &[&str]) -> bool {
        let named = |chats: &[String; 2]| chats.iter().any(|chat| addresses.contains(&chat.as_str()));
        self.chat.as_ref().is_none_or(named)
    }

    /// Of a message that is known for sure: a person has two addresses, so that only groups can be told apart.
    fn may_be(&self, chat: &str) -> bool {
        let is_group = |chat: &str| chat.ends_with("@g.us");
        let person = self.chat.as_ref().is_some_and(|chats| !chats.iter().any(|chat| is_group(chat)));
        self.is_in(&[chat]) || (person && !is_group(chat))
    }

    fn is_by(&self, addresses: &[String]) -> bool {
        self.author.as_ref().is_none_or(|author| addresses.contains(author))
    }
}

impl From<Found> for Quotable {
    fn from(found: Found) -> Self {
        Self { wa_id: found.wa_id, said: found.said }
    }
}

/// What this gateway sent, by our id or WhatsApp's.
fn sent(conn: &Connection, tenant: &TenantId, device: &DeviceId, id: &str) -> Result<Option<Found>> {
    let column = if id.starts_with(MessageId::PREFIX) { "id" } else { "wa_id" };
    let sent: Option<(String, String, String)> = conn
        .prepare_cached(&format!(
            "SELECT wa_id, chat, content FROM messages_outbox WHERE tenant_id = ?1 AND device_id = ?2 AND {column} = ?3"
        ))?
        .query_row(params![tenant.as_str(), device.as_str(), id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((wa_id, chat, content)) = sent else { return Ok(None) };
    let content = serde_json::from_str(&content).map_err(|_| StoreError::Corrupt { what: "an outgoing message" })?;
    Ok(Some(Found { wa_id, chat, from_me: true, said: Said::Sent(content) }))
}

/// The addresses of the account itself.
fn us(conn: &Connection, tenant: &TenantId, device: &DeviceId) -> Result<Vec<String>> {
    let row = devices::find(conn, tenant, device)?.ok_or(StoreError::NotFound)?;
    Ok([row.wa_jid, row.wa_lid].into_iter().flatten().collect())
}

/// What was received under this id of WhatsApp's, as far as the hints tell.
fn received(conn: &Connection, tenant: &TenantId, device: &DeviceId, id: &str, hints: &Hints) -> Result<Named> {
    let mut statement = conn.prepare_cached(
        "SELECT wa_id, sender, message, chat, envelope ->> 'fromMe', envelope ->> 'senderAlternative', \
         envelope ->> 'recipientAlternative' FROM messages_inbox \
         WHERE tenant_id = ?1 AND device_id = ?2 AND wa_id = ?3 AND processed < 2 ORDER BY seq",
    )?;
    let mut rows = statement.query(params![tenant.as_str(), device.as_str(), id])?;
    let mut named = Named::Unknown;
    while let Some(row) = rows.next()? {
        let (chat, from_me) = (row.get::<_, String>(3)?, row.get::<_, Option<bool>>(4)?.unwrap_or(false));
        let (sender, recipient): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
        // The other address of a person's chat is that of who is not us.
        let other = if from_me { recipient } else { sender.clone() };
        let other = other.filter(|_| !chat.ends_with("@g.us"));
        let addresses: Vec<&str> = [Some(chat.as_str()), other.as_deref()].into_iter().flatten().collect();
        let authors: Vec<String> = [Some(row.get(1)?), sender].into_iter().flatten().collect();
        if !hints.is_in(&addresses) || !hints.is_by(&authors) {
            if named == Named::Unknown {
                named = Named::Elsewhere;
            }
            continue;
        }
        if matches!(named, Named::One(_)) {
            return Ok(Named::Several);
        }
        let Quotable { wa_id, said } = quotable(row)?;
        named = Named::One(Found { wa_id, chat, from_me, said });
    }
    Ok(named)
}

fn first_received(
    conn: &Connection,
    tenant: &TenantId,
    device: &DeviceId,
    [first, second]: &[String; 2],
    id: &str,
) -> Result<Option<Quotable>> {
    Ok(conn
        .prepare_cached(
            "SELECT wa_id, sender, message FROM messages_inbox WHERE tenant_id = ?1 AND device_id = ?2 \
             AND chat IN (?3, ?4) AND wa_id = ?5 AND processed < 2 ORDER BY seq LIMIT 1",
        )?
        .query_row(params![tenant.as_str(), device.as_str(), first, second, id], quotable)
        .optional()?)
}

/// Of a row of the inbox that begins with `wa_id, sender, message`.
fn quotable(row: &Row<'_>) -> rusqlite::Result<Quotable> {
    Ok(Quotable { wa_id: row.get(0)?, said: Said::Received { sender: row.get(1)?, message: row.get(2)? } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::world::World;

    const GROUP: &str = "120363000000000001@g.us";
    const ANA: &str = "6281100000001@s.whatsapp.net";
    const MALLORY: &str = "6281100000009@s.whatsapp.net";

    fn text(text: &str) -> Content {
        Content::Text { text: text.into(), mentions: Vec::new(), quoted_message_id: None, link_preview: None }
    }

    fn hints(chat: Option<&str>, author: Option<&str>) -> Hints {
        Hints { chat: chat.map(|chat| [chat.into(), chat.into()]), author: author.map(str::to_owned) }
    }

    fn said(named: Named) -> Said {
        match named {
            Named::One(found) => found.said,
            other => panic!("{other:?}"),
        }
    }

    fn by(sender: &str, message: &[u8]) -> Said {
        Said::Received { sender: sender.into(), message: message.to_vec() }
    }

    impl World {
        async fn named(&self, id: &str, chat: Option<&str>, author: Option<&str>) -> Named {
            let found = self.store.find_message(&self.tenant, &self.lease.device, id, hints(chat, author)).await;
            found.expect("reads")
        }
    }

    #[tokio::test]
    async fn what_we_sent_is_quoted_and_forwarded_whoever_repeats_its_id() {
        let world = World::new().await;
        let ours = world.accepted(GROUP, "3EB0AA", text("ours")).await;
        world.received(GROUP, MALLORY, "3EB0AA", b"mallory's").await;
        world.received(GROUP, MALLORY, ours.as_str(), b"mallory's").await;
        let (tenant, device) = (&world.tenant, &world.lease.device);

        for id in ["3EB0AA", ours.as_str()] {
            let quoted = world.store.quotable(tenant, device, [GROUP.into(), GROUP.into()], id).await.expect("reads");
            assert_eq!(quoted.map(|quoted| quoted.said), Some(Said::Sent(text("ours"))), "{id}");
        }
        let unknown = MessageId::generate();
        world.received(GROUP, MALLORY, unknown.as_str(), b"mallory's").await;
        let chats = [GROUP.into(), GROUP.into()];
        let quoted = world.store.quotable(tenant, device, chats, unknown.as_str()).await.expect("reads");
        assert_eq!(quoted, None, "our ids are not given by others");
        let forwarded = async |sender| {
            let found = world.store.forwarded(tenant, device, GROUP, "3EB0AA", sender).await.expect("reads");
            found.map(|found| found.said)
        };
        assert_eq!(forwarded(None).await, Some(Said::Sent(text("ours"))));
        assert_eq!(forwarded(Some(MALLORY)).await, Some(by(MALLORY, b"mallory's")));
        assert_eq!(forwarded(Some(ANA)).await, None);
    }

    #[tokio::test]
    async fn an_id_that_somebody_repeats_in_another_chat_names_nothing_until_the_chat_is_named() {
        let world = World::new().await;
        world.accepted(GROUP, "3EB0AA", text("ours")).await;
        world.received(MALLORY, MALLORY, "3EB0AA", b"mallory's").await;

        assert_eq!(world.named("3EB0AA", None, None).await, Named::Several);
        assert_eq!(said(world.named("3EB0AA", Some(GROUP), None).await), Said::Sent(text("ours")));
        assert_eq!(said(world.named("3EB0AA", Some(MALLORY), None).await), by(MALLORY, b"mallory's"));
        assert_eq!(world.named("3EB0AA", Some(ANA), None).await, Named::Elsewhere);
        assert_eq!(world.named("3EB0AB", Some(GROUP), None).await, Named::Unknown);
    }

    #[tokio::test]
    async fn within_a_group_ours_comes_first_and_of_others_the_author_tells() {
        let world = World::new().await;
        world.received(GROUP, ANA, "3EB0AA", b"ana's").await;
        world.received(GROUP, MALLORY, "3EB0AA", b"mallory's").await;

        assert_eq!(world.named("3EB0AA", Some(GROUP), None).await, Named::Several);
        assert_eq!(said(world.named("3EB0AA", Some(GROUP), Some(ANA)).await), by(ANA, b"ana's"));
        world.accepted(GROUP, "3EB0AA", text("ours")).await;
        assert_eq!(said(world.named("3EB0AA", Some(GROUP), None).await), Said::Sent(text("ours")));
        assert_eq!(said(world.named("3EB0AA", Some(GROUP), Some(MALLORY)).await), by(MALLORY, b"mallory's"));
    }

    #[tokio::test]
    async fn the_other_address_that_a_message_came_with_names_its_chat_and_its_author_too() {
        let world = World::new().await;
        world.received("1001@lid", "1001@lid", "3EB0AA", b"ana's").await;

        assert_eq!(said(world.named("3EB0AA", Some("1001@s.whatsapp.net"), None).await), by("1001@lid", b"ana's"));
        assert_eq!(said(world.named("3EB0AA", None, Some("1001@s.whatsapp.net")).await), by("1001@lid", b"ana's"));
        assert_eq!(world.named("3EB0AA", None, Some(MALLORY)).await, Named::Elsewhere);
    }

    #[tokio::test]
    async fn one_of_our_ids_is_of_another_chat_only_where_that_is_sure() {
        let world = World::new().await;
        let to_ana = world.accepted(ANA, "3EB0AA", text("ours")).await;

        assert_eq!(said(world.named(to_ana.as_str(), Some("77@lid"), None).await), Said::Sent(text("ours")));
        assert_eq!(world.named(to_ana.as_str(), Some(GROUP), None).await, Named::Elsewhere);
        assert_eq!(world.named(MessageId::generate().as_str(), None, None).await, Named::Unknown);
    }
}
