//! Sending over one connection: the message in WhatsApp's form, and the wait for what its server says.

use crate::domain::jid::ChatId;
use crate::domain::outgoing::{ContactCard, Content, Outcome};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use whatsapp_rust::client::Client;
use whatsapp_rust::send::SendOptions;

/// What the server said: taken, or refused with a code.
type Verdict = Result<(), String>;

/// Sends waiting for the server's word, by WhatsApp id. Dropping it tells every waiter that the connection went.
#[derive(Default)]
pub(super) struct Acks(Mutex<HashMap<String, oneshot::Sender<Verdict>>>);

impl Acks {
    fn expect(&self, id: &str) -> oneshot::Receiver<Verdict> {
        let (tell, told) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), tell);
        told
    }

    fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    pub(super) fn arrived(&self, id: &str, error: Option<String>) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(tell) = waiting {
            let _ = tell.send(error.map_or(Ok(()), Err));
        }
    }

    /// The connection is gone: nobody will say anything any more.
    pub(super) fn abandon(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// One live connection, for sending. Clones share it.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) client: Arc<Client>,
    pub(super) acks: Arc<Acks>,
    pub(super) ack_timeout: Duration,
}

impl Sender {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.acks, &other.acks)
    }

    /// Sends under `wa_id` and waits for the server's word, at most the configured time.
    pub(super) async fn send(&self, wa_id: &str, chat: &ChatId, content: &Content) -> Outcome {
        let to = match chat.as_str().parse() {
            Ok(jid) => jid,
            Err(_) => return Outcome::Impossible { detail: "whatsapp does not know this kind of address".into() },
        };
        if let Content::ReadReceipt { message_ids, participant } = content {
            return self.mark_read(&to, message_ids, participant.as_deref()).await;
        }
        let told = self.acks.expect(wa_id);
        let options = SendOptions::default().with_message_id(wa_id);
        let sent = self.client.send_message_with_options(&to, message(chat, content), options);
        let outcome = match tokio::time::timeout(self.ack_timeout, async {
            match sent.await {
                Ok(_) => told.await.map_err(|_| "the connection was lost".to_owned()),
                Err(error) => Err(format!("sending failed: {error}")),
            }
        })
        .await
        {
            Ok(Ok(Ok(()))) => Outcome::Acked,
            Ok(Ok(Err(code))) => Outcome::Nacked { code },
            Ok(Err(detail)) => Outcome::Unknown { detail },
            Err(_) => Outcome::Unknown {
                detail: format!("no acknowledgement from whatsapp in {} s", self.ack_timeout.as_secs()),
            },
        };
        self.acks.forget(wa_id);
        outcome
    }
}

impl Sender {
    /// WhatsApp's server says nothing to a receipt, so handing it over is all there is to know.
    async fn mark_read(&self, chat: &Jid, ids: &[String], participant: Option<&str>) -> Outcome {
        let sender = match participant.map(str::parse::<Jid>).transpose() {
            Ok(sender) => sender,
            Err(_) => return Outcome::Impossible { detail: "the author's address is not one of whatsapp's".into() },
        };
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        match self.client.mark_as_read(chat, sender.as_ref(), &ids).await {
            Ok(()) => Outcome::Acked,
            Err(error) => Outcome::Unknown { detail: format!("the receipt was not sent: {error}") },
        }
    }
}

fn message(chat: &ChatId, content: &Content) -> wa::Message {
    match content {
        Content::Location { latitude, longitude, name, address } => wa::Message {
            location_message: buffa::MessageField::some(wa::message::LocationMessage {
                degrees_latitude: Some(*latitude),
                degrees_longitude: Some(*longitude),
                name: name.clone(),
                address: address.clone(),
                ..Default::default()
            }),
            ..Default::default()
        },
        Content::Contacts { contacts } => contacts_message(contacts),
        Content::Reaction { message_id, emoji, from_me, participant } => wa::Message {
            reaction_message: buffa::MessageField::some(wa::message::ReactionMessage {
                key: buffa::MessageField::some(wa::MessageKey {
                    remote_jid: Some(chat.as_str().to_owned()),
                    from_me: Some(*from_me),
                    id: Some(message_id.clone()),
                    participant: participant.clone(),
                }),
                text: Some(emoji.clone()),
                ..Default::default()
            }),
            ..Default::default()
        },
        // Sent by `mark_read`; as a message it would be empty.
        Content::ReadReceipt { .. } => wa::Message::default(),
        Content::Text { text, mentions, quoted_message_id } if mentions.is_empty() && quoted_message_id.is_none() => {
            wa::Message { conversation: Some(text.clone()), ..Default::default() }
        }
        Content::Text { text, mentions, quoted_message_id } => {
            let context = wa::ContextInfo {
                mentioned_jid: mentions.iter().map(|jid| jid.as_str().to_owned()).collect(),
                stanza_id: quoted_message_id.clone(),
                // WhatsApp shows a quote only when it carries the quoted message; ours is not stored with it yet.
                quoted_message: quoted_message_id.as_ref().map_or_else(Default::default, |_| {
                    buffa::MessageField::some(wa::Message { conversation: Some(String::new()), ..Default::default() })
                }),
                ..Default::default()
            };
            wa::Message {
                extended_text_message: buffa::MessageField::some(wa::message::ExtendedTextMessage {
                    text: Some(text.clone()),
                    context_info: buffa::MessageField::some(context),
                    ..Default::default()
                }),
                ..Default::default()
            }
        }
    }
}

fn contacts_message(contacts: &[ContactCard]) -> wa::Message {
    let card = |contact: &ContactCard| wa::message::ContactMessage {
        display_name: Some(contact.display_name.clone()),
        vcard: Some(contact.vcard.clone()),
        ..Default::default()
    };
    match contacts {
        [one] => wa::Message { contact_message: buffa::MessageField::some(card(one)), ..Default::default() },
        several => wa::Message {
            contacts_array_message: buffa::MessageField::some(wa::message::ContactsArrayMessage {
                display_name: Some(format!("{} contacts", several.len())),
                contacts: several.iter().map(card).collect(),
                ..Default::default()
            }),
            ..Default::default()
        },
    }
}
