//! Sending over one connection: the message in WhatsApp's form, and the wait for what its server says.

use super::media::{self, DownloadError, Files};
use crate::domain::jid::ChatId;
use crate::domain::media::RemoteMedia;
use crate::domain::outgoing::{ContactCard, Content, Outcome};
use crate::media::Draft;
use crate::store::{Quotable, Said};
use buffa::{Message as _, MessageField};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use wacore::proto_helpers::{MessageExt as _, build_quote_context};
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
    pub(super) files: Files,
}

impl Sender {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.acks, &other.acks)
    }

    /// Sends under `wa_id` and waits for the server's word, at most the configured time.
    pub(super) async fn send(
        &self,
        wa_id: &str,
        chat: &ChatId,
        content: &Content,
        quoted: Option<&Quotable>,
    ) -> Outcome {
        let to: Jid = match chat.as_str().parse() {
            Ok(jid) => jid,
            Err(_) => return Outcome::Impossible { detail: "whatsapp does not know this kind of address".into() },
        };
        if let Content::ReadReceipt { message_ids, participant } = content {
            return self.mark_read(&to, message_ids, participant.as_deref()).await;
        }
        let quote = quoted.map(|quoted| Quote::of(quoted, || self.own_address(&to))).transpose();
        let quote = quote.unwrap_or_else(|error| {
            tracing::error!(message = wa_id, %error, "a quoted message does not decode and is left out");
            None
        });
        let options = SendOptions::default().with_message_id(wa_id);
        let message = match content {
            Content::Media(media) => {
                let context = quote.as_ref().map(Quote::context);
                match self.files.attach(&self.client, media, context).await {
                    Ok(message) => message,
                    Err(outcome) => return outcome,
                }
            }
            Content::Reaction { message_id, emoji, from_me, participant } => {
                reaction(chat, message_id, emoji, *from_me, participant.as_deref())
            }
            shown => message(shown, quote.as_ref()),
        };
        let told = self.acks.expect(wa_id);
        let sent = self.client.send_message_with_options(&to, message, options);
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

    pub(super) async fn download(&self, remote: &RemoteMedia, draft: &mut Draft) -> Result<(), DownloadError> {
        media::download(&self.client, remote, draft).await
    }

    /// As whom this account writes in a chat: by its other address where the chat is addressed so.
    fn own_address(&self, chat: &Jid) -> String {
        let lid = if chat.is_lid() { self.client.lid() } else { None };
        lid.or_else(|| self.client.pn()).map(|jid| jid.to_non_ad().to_string()).unwrap_or_default()
    }

    pub(super) async fn addresses(&self, chat: &ChatId) -> [String; 2] {
        let given = chat.as_str().to_owned();
        let Ok(jid) = given.parse::<Jid>() else { return [given.clone(), given] };
        let other = match self.client.get_lid_pn_entry(&jid).await {
            Ok(Some(entry)) if jid.is_lid() => format!("{}@s.whatsapp.net", entry.phone_number),
            Ok(Some(entry)) => format!("{}@lid", entry.lid),
            Ok(None) => given.clone(),
            Err(error) => {
                tracing::warn!(%error, "the other address of a chat could not be looked up");
                given.clone()
            }
        };
        [given, other]
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

fn message(content: &Content, quote: Option<&Quote>) -> wa::Message {
    match content {
        Content::Location { latitude, longitude, name, address } => wa::Message {
            location_message: MessageField::some(wa::message::LocationMessage {
                degrees_latitude: Some(*latitude),
                degrees_longitude: Some(*longitude),
                name: name.clone(),
                address: address.clone(),
                ..Default::default()
            }),
            ..Default::default()
        },
        Content::Contacts { contacts } => contacts_message(contacts),
        // As it is quoted; `send` attaches the file.
        Content::Media(content) => media::preview(content),
        // Neither is a message that somebody quotes; `send` sees to them.
        Content::Reaction { .. } | Content::ReadReceipt { .. } => wa::Message::default(),
        Content::Text { text, mentions, .. } if mentions.is_empty() && quote.is_none() => {
            wa::Message { conversation: Some(text.clone()), ..Default::default() }
        }
        Content::Text { text, mentions, .. } => {
            let context = quote.map_or_else(Default::default, Quote::context);
            let mentioned_jid = mentions.iter().map(|jid| jid.as_str().to_owned()).collect();
            wa::Message {
                extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
                    text: Some(text.clone()),
                    context_info: MessageField::some(wa::ContextInfo { mentioned_jid, ..context }),
                    ..Default::default()
                }),
                ..Default::default()
            }
        }
    }
}

fn reaction(chat: &ChatId, id: &str, emoji: &str, from_me: bool, participant: Option<&str>) -> wa::Message {
    let key = wa::MessageKey {
        remote_jid: Some(chat.as_str().to_owned()),
        from_me: Some(from_me),
        id: Some(id.to_owned()),
        participant: participant.map(str::to_owned),
    };
    wa::Message {
        reaction_message: MessageField::some(wa::message::ReactionMessage {
            key: MessageField::some(key),
            text: Some(emoji.to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn contacts_message(contacts: &[ContactCard]) -> wa::Message {
    let card = |contact: &ContactCard| wa::message::ContactMessage {
        display_name: Some(contact.display_name.clone()),
        vcard: Some(contact.vcard.clone()),
        ..Default::default()
    };
    match contacts {
        [one] => wa::Message { contact_message: MessageField::some(card(one)), ..Default::default() },
        several => wa::Message {
            contacts_array_message: MessageField::some(wa::message::ContactsArrayMessage {
                display_name: Some(format!("{} contacts", several.len())),
                contacts: several.iter().map(card).collect(),
                ..Default::default()
            }),
            ..Default::default()
        },
    }
}

/// What a phone shows above a message that quotes: who wrote it, and a copy of it.
struct Quote {
    wa_id: String,
    author: String,
    message: wa::Message,
}

impl Quote {
    fn context(&self) -> wa::ContextInfo {
        build_quote_context(&self.wa_id, &self.author, self.message.get_base_message())
    }

    /// `me` is this account, as its own messages in that chat name it.
    fn of(quoted: &Quotable, me: impl FnOnce() -> String) -> Result<Self, buffa::DecodeError> {
        let wa_id = quoted.wa_id.clone();
        Ok(match &quoted.said {
            Said::Received { sender, message } => {
                Self { wa_id, author: sender.clone(), message: wa::Message::decode_from_slice(message)? }
            }
            Said::Sent(content) => Self { wa_id, author: me(), message: message(content, None) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, quoted: Option<&str>) -> Content {
        Content::Text { text: text.into(), mentions: Vec::new(), quoted_message_id: quoted.map(str::to_owned) }
    }

    fn received(message: &wa::Message) -> Quotable {
        let said = Said::Received { sender: "6281@s.whatsapp.net".into(), message: message.encode_to_vec() };
        Quotable { wa_id: "3EB0AA".into(), said }
    }

    fn context(message: &wa::Message) -> &wa::ContextInfo {
        message.extended_text_message.as_option().and_then(|text| text.context_info.as_option()).expect("a context")
    }

    #[test]
    fn a_quote_carries_the_text_its_author_and_whatsapps_id() {
        let asked = wa::Message { conversation: Some("how much?".into()), ..Default::default() };
        let quote = Quote::of(&received(&asked), || unreachable!("somebody else wrote it")).expect("decodes");

        let sent = message(&text("ten", Some("3EB0AA")), Some(&quote));

        let context = context(&sent);
        assert_eq!(context.stanza_id.as_deref(), Some("3EB0AA"));
        assert_eq!(context.participant.as_deref(), Some("6281@s.whatsapp.net"));
        let shown = context.quoted_message.as_option().expect("a copy");
        assert_eq!(shown.conversation.as_deref(), Some("how much?"));
    }

    #[test]
    fn a_quote_of_our_own_names_us_and_does_not_quote_further() {
        let ours = Quotable { wa_id: "3EB0BB".into(), said: Said::Sent(text("ten", Some("3EB0AA"))) };
        let quote = Quote::of(&ours, || "6280@s.whatsapp.net".into()).expect("needs no decoding");

        let sent = message(&text("or nine", Some("msg_1")), Some(&quote));

        let context = context(&sent);
        assert_eq!(context.stanza_id.as_deref(), Some("3EB0BB"), "whatsapp does not know our ids");
        assert_eq!(context.participant.as_deref(), Some("6280@s.whatsapp.net"));
        let shown = context.quoted_message.as_option().expect("a copy");
        assert_eq!(shown.conversation.as_deref(), Some("ten"));
    }

    #[test]
    fn what_the_owner_wrote_on_another_device_is_quoted_without_its_wrapper() {
        let inner = wa::Message { conversation: Some("by hand".into()), ..Default::default() };
        let wrapped = wa::Message {
            device_sent_message: MessageField::some(wa::message::DeviceSentMessage {
                message: MessageField::some(inner),
                ..Default::default()
            }),
            ..Default::default()
        };
        let quote = Quote::of(&received(&wrapped), String::new).expect("decodes");

        let sent = message(&text("as I wrote", Some("3EB0AA")), Some(&quote));

        let shown = context(&sent).quoted_message.as_option().expect("a copy");
        assert_eq!(shown.conversation.as_deref(), Some("by hand"));
    }

    #[test]
    fn a_quote_of_something_unknown_leaves_a_plain_text() {
        let sent = message(&text("ten", Some("3EB0CC")), None);
        assert_eq!(sent, wa::Message { conversation: Some("ten".into()), ..Default::default() });
    }
}
