//! Sending over one connection: the message in WhatsApp's form, and the wait for what its server says.

use super::account::Memory;
use super::media::{self, DownloadError, Files};
use super::ratchet::Ratchet;
use super::{Checked, Person, interactive, poll, posts};
use crate::domain::clock::Clock;
use crate::domain::jid::ChatId;
use crate::domain::media::RemoteMedia;
use crate::domain::outgoing::{ContactCard, Content, LinkPreview, Outcome};
use crate::domain::status_post::{Audience, Font, StatusPost};
use crate::media::Draft;
use crate::store::{Quotable, Said};
use buffa::{Message as _, MessageField};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use wacore::proto_helpers::{MessageExt as _, build_quote_context};
use wacore::types::lid_pn::LearningSource;
use wacore::types::message::AddressingMode;
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use whatsapp_rust::client::Client;
use whatsapp_rust::features::{StatusPrivacySetting, StatusSendOptions};
use whatsapp_rust::send::{SendError, SendOptions};

/// For each person of a status post, beside what any message may take: their devices are looked up and get a key.
const POST_TIME_PER_PERSON_MAX: Duration = Duration::from_millis(100);
/// People whose lid WhatsApp is asked for at once.
const LIDS_ASKED_AT_ONCE: usize = 100;

/// What the server said: taken, or refused with a code.
type Verdict = Result<(), String>;

/// Sends waiting for the server's word, by WhatsApp id. Dropping it tells every waiter that the connection went.
#[derive(Default)]
pub(super) struct Acks(Mutex<HashMap<String, oneshot::Sender<Verdict>>>);

/// A send that waits for the server's word; it waits no longer when this is dropped.
pub(super) struct Expected {
    acks: Arc<Acks>,
    id: String,
    told: oneshot::Receiver<Verdict>,
}

impl Expected {
    /// Nothing when the connection went.
    pub(super) async fn verdict(mut self) -> Option<Verdict> {
        (&mut self.told).await.ok()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.told.close();
        let mut waiting = self.acks.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another one may wait under the same id by now.
        if waiting.get(&self.id).is_some_and(oneshot::Sender::is_closed) {
            waiting.remove(&self.id);
        }
    }
}

impl Acks {
    pub(super) fn expect(self: &Arc<Self>, id: &str) -> Expected {
        let (tell, told) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), tell);
        Expected { acks: self.clone(), id: id.to_owned(), told }
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

/// What the store adds to a message on its way: what the content names and does not carry.
#[derive(Debug, Default)]
pub struct Along {
    /// What it quotes.
    pub quoted: Option<Quotable>,
    /// What it passes on.
    pub forwarded: Option<Quotable>,
    /// The file that was received with what it passes on.
    pub file: Option<RemoteMedia>,
    /// What votes on it will be sealed with.
    pub poll_secret: Option<Vec<u8>>,
    /// Whom the status post was for that it takes back.
    pub audience: Option<Audience>,
}

/// Whether a received message, as it is stored, may go to somebody else: nothing that is to be seen once, and nothing
/// that is only about another message.
pub fn is_forwardable(message: &[u8]) -> bool {
    let Ok(message) = wa::Message::decode_from_slice(message) else { return false };
    let inside = message.get_base_message();
    let about_another = inside.reaction_message.is_set()
        || inside.protocol_message.is_set()
        || inside.poll_update_message.is_set()
        || poll::asked(inside).is_some();
    !message.is_view_once() && !about_another && *inside != wa::Message::default()
}

/// What a received message says, where the gateway has a word for it.
pub fn readable(message: &[u8]) -> Option<Content> {
    let message = wa::Message::decode_from_slice(message).ok()?;
    let inside = message.get_base_message();
    let card = |contact: &wa::message::ContactMessage| ContactCard {
        display_name: contact.display_name.clone().unwrap_or_default(),
        vcard: contact.vcard.clone().unwrap_or_default(),
    };
    if let Some(text) = inside.text_content() {
        let (mentions, quoted_message_id) = (Vec::new(), None);
        return Some(Content::Text { text: text.to_owned(), mentions, quoted_message_id, link_preview: None });
    }
    if let Some(at) = inside.location_message.as_option() {
        return Some(Content::Location {
            latitude: at.degrees_latitude?,
            longitude: at.degrees_longitude?,
            name: at.name.clone(),
            address: at.address.clone(),
            quoted_message_id: None,
        });
    }
    if let Some(one) = inside.contact_message.as_option() {
        return Some(Content::Contacts { contacts: vec![card(one)] });
    }
    let several = inside.contacts_array_message.as_option()?;
    Some(Content::Contacts { contacts: several.contacts.iter().map(card).collect() })
}

/// What one try hands to the client.
enum Parcel {
    Message(Box<wa::Message>),
    /// Of a post in a newsletter.
    Change(posts::Change),
}

/// One live connection, for sending. Clones share it.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) client: Arc<Client>,
    pub(super) acks: Arc<Acks>,
    pub(super) ratchet: Arc<Ratchet>,
    pub(super) ack_timeout: Duration,
    pub(super) files: Files,
    pub(super) memory: Arc<Memory>,
    pub(super) clock: Clock,
}

impl Sender {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.acks, &other.acks)
    }

    /// Sends under `wa_id` and waits for the server's word, at most the configured time.
    pub(super) async fn send(&self, wa_id: &str, chat: &ChatId, content: &Content, along: &Along) -> Outcome {
        let to: Jid = match chat.as_str().parse() {
            Ok(jid) => jid,
            Err(_) => return Outcome::Impossible { detail: "whatsapp does not know this kind of address".into() },
        };
        if let Content::ReadReceipt { message_ids, participant } = content {
            return self.mark_read(&to, message_ids, participant.as_deref()).await;
        }
        let parcel = match posts::change(chat, content) {
            Ok(Some(change)) => Ok(Parcel::Change(change)),
            Ok(None) => {
                self.composed(wa_id, &to, chat, content, along).await.map(|message| Parcel::Message(Box::new(message)))
            }
            Err(outcome) => Err(outcome),
        };
        let parcel = match parcel {
            Ok(parcel) => parcel,
            Err(outcome) => return outcome,
        };
        // A change of a post travels under the post's id, and so does the server's word on it.
        let stanza_id = match &parcel {
            Parcel::Change(change) => change.id().to_owned(),
            Parcel::Message(_) => wa_id.to_owned(),
        };
        let told = self.acks.expect(&stanza_id);
        let _sending = self.ratchet.sending();
        let audience = match content {
            Content::Status(post) => Some(&post.audience),
            _ => along.audience.as_ref(),
        };
        let people = u32::try_from(audience.map_or(0, |audience| audience.people.len())).unwrap_or(u32::MAX);
        let time_max = self.ack_timeout + POST_TIME_PER_PERSON_MAX.saturating_mul(people);
        match tokio::time::timeout(time_max, async {
            if let Err(outcome) = self.hand_over(wa_id, &to, parcel, audience).await {
                return outcome;
            }
            match told.verdict().await {
                Some(Ok(())) => Outcome::Acked,
                Some(Err(code)) => Outcome::Nacked { code },
                None => Outcome::Unknown { detail: "the connection was lost".to_owned() },
            }
        })
        .await
        {
            Ok(outcome) => outcome,
            Err(_) => {
                Outcome::Unknown { detail: format!("no acknowledgement from whatsapp in {} s", time_max.as_secs()) }
            }
        }
    }

    /// To the server; what it says of it is another matter.
    async fn hand_over(
        &self,
        wa_id: &str,
        to: &Jid,
        parcel: Parcel,
        audience: Option<&Audience>,
    ) -> Result<(), Outcome> {
        let failed = |error: &dyn std::fmt::Display| Outcome::Unknown { detail: format!("sending failed: {error}") };
        match (parcel, audience) {
            (Parcel::Change(change), _) => change.send(&self.client, to).await.map_err(|error| failed(&error)),
            (Parcel::Message(message), None) => {
                let options = SendOptions::default().with_message_id(wa_id);
                let sent = self.client.send_message_with_options(to, *message, options).await;
                sent.map(|_| ()).map_err(|error| failed(&error))
            }
            (Parcel::Message(message), Some(audience)) => match self.post(wa_id, *message, audience).await {
                Err(SendError::InvalidRequest(why)) => Err(Outcome::Impossible { detail: why }),
                sent => sent.map_err(|error| failed(&error)),
            },
        }
    }

    /// To the status of the account, for these people.
    async fn post(&self, wa_id: &str, message: wa::Message, audience: &Audience) -> Result<(), SendError> {
        let people: Vec<Jid> = audience.people.iter().filter_map(|one| one.as_str().parse().ok()).collect();
        let nobody_has_one = self.learn_lids(&people).await;
        if nobody_has_one {
            return Err(SendError::InvalidRequest("none of the recipients is on whatsapp".into()));
        }
        let options = StatusSendOptions {
            privacy: if audience.named { StatusPrivacySetting::AllowList } else { StatusPrivacySetting::Contacts },
            message_id: Some(wa_id.to_owned()),
            ..StatusSendOptions::default()
        };
        self.client.status().send_raw(message, &people, options).await.map(|_| ())
    }

    /// WhatsApp addresses posts by lid, and the library leaves out whom it knows none of: they are asked for, but who was
    /// not there within the hour. True when WhatsApp said that there is none at all.
    async fn learn_lids(&self, people: &[Jid]) -> bool {
        let (mut unknown, mut absent): (Vec<Jid>, usize) = (Vec::new(), 0);
        for jid in people.iter().filter(|jid| jid.is_pn()) {
            if matches!(self.client.get_lid_pn_entry(jid).await, Ok(Some(_))) {
                continue;
            }
            match self.memory.checked(&jid.to_string(), self.clock.now_ms()) {
                Some(answer) if !answer.is_on_whatsapp => absent += 1,
                _ => unknown.push(jid.clone()),
            }
        }
        let (mut learned, mut answered) = (0, true);
        for some in unknown.chunks(LIDS_ASKED_AT_ONCE) {
            let told = match self.client.contacts().is_on_whatsapp(some).await {
                Ok(told) => told,
                Err(error) => {
                    tracing::warn!(%error, "whatsapp did not tell the lids of recipients of a status post");
                    answered = false;
                    continue;
                }
            };
            for one in told {
                if !one.is_registered && some.contains(&one.jid) {
                    self.remember_absent(&one.jid);
                    continue;
                }
                let Some(lid) = one.lid.as_ref().filter(|_| one.jid.is_pn()) else { continue };
                match self.client.add_lid_pn_mapping(&lid.user, &one.jid.user, LearningSource::Usync).await {
                    Ok(_) => learned += 1,
                    Err(error) => tracing::warn!(%error, "the two addresses of a person were not kept"),
                }
            }
        }
        let left_out = unknown.len() - learned.min(unknown.len()) + absent;
        if left_out > 0 {
            tracing::info!(left_out, "recipients of a status post are not on whatsapp");
        }
        answered && left_out == people.len()
    }

    fn remember_absent(&self, jid: &Jid) {
        let person = Person { jid: jid.to_string(), phone: Some(jid.user.to_string()), lid: None };
        let answer = Checked { person, is_on_whatsapp: false, is_business: false };
        self.memory.keep_checked(&jid.to_string(), answer, self.clock.now_ms());
    }

    /// The message in WhatsApp's form, or what the try came to without one.
    async fn composed(
        &self,
        wa_id: &str,
        to: &Jid,
        chat: &ChatId,
        content: &Content,
        along: &Along,
    ) -> Result<wa::Message, Outcome> {
        // A newsletter shows no quotes.
        let quoted = along.quoted.as_ref().filter(|_| !chat.is_newsletter());
        let quote = quoted.map(|quoted| Quote::of(quoted, || self.own_address(to))).transpose();
        let quote = quote.unwrap_or_else(|error| {
            tracing::error!(message = wa_id, %error, "a quoted message does not decode and is left out");
            None
        });
        let impossible = |detail: &str| Outcome::Impossible { detail: detail.to_owned() };
        Ok(match content {
            Content::Media(media) => {
                let context = quote.as_ref().map(Quote::context);
                self.files.attach(&self.client, media, context).await?
            }
            Content::Status(StatusPost { shown, .. }) => match &**shown {
                Content::Media(media) => self.files.attach(&self.client, media, None).await?,
                _ => message(content, None),
            },
            Content::Reaction { message_id, emoji, from_me, participant } => {
                reaction(chat, message_id, emoji, *from_me, participant.as_deref())
            }
            Content::Poll(asked) => {
                let secret = along.poll_secret.as_deref().ok_or_else(|| impossible("the poll has no secret"))?;
                poll::message(asked, secret)
            }
            Content::Forward { .. } => {
                let source = along.forwarded.as_ref();
                let source = source.ok_or_else(|| impossible("the message to forward is not known"))?;
                *self.original(source, along.file.as_ref()).await?.get_base_message().prepare_for_forward()
            }
            Content::Edit { message_id, text, .. } => {
                let new = wa::Message { conversation: Some(text.clone()), ..Default::default() };
                let participant = if chat.is_group() { Some(self.own_address_in_group(to).await?) } else { None };
                let edit = wa::message::ProtocolMessage {
                    key: MessageField::some(key(chat, message_id, true, participant.as_deref())),
                    r#type: Some(wa::message::protocol_message::Type::MESSAGE_EDIT),
                    edited_message: MessageField::some(new),
                    timestamp_ms: Some(wacore::time::now_millis()),
                    ..Default::default()
                };
                wa::Message { protocol_message: MessageField::some(edit), ..Default::default() }
            }
            Content::Delete { message_id, from_me, participant } => {
                let delete = wa::message::ProtocolMessage {
                    key: MessageField::some(key(chat, message_id, *from_me, participant.as_deref())),
                    r#type: Some(wa::message::protocol_message::Type::REVOKE),
                    ..Default::default()
                };
                wa::Message { protocol_message: MessageField::some(delete), ..Default::default() }
            }
            shown => message(shown, quote.as_ref()),
        })
    }

    /// A message as it was, with its file.
    async fn original(&self, source: &Quotable, file: Option<&RemoteMedia>) -> Result<wa::Message, Outcome> {
        let impossible = |detail: &str| Outcome::Impossible { detail: detail.to_owned() };
        match &source.said {
            Said::Sent(Content::Media(content)) => self.files.attach(&self.client, content, None).await,
            Said::Sent(content) => Ok(message(content, None)),
            Said::Received { message, .. } => {
                let mut original = wa::Message::decode_from_slice(message)
                    .map_err(|_| impossible("the message to forward does not decode"))?;
                match file {
                    Some(file) => media::give_file(&mut original, file),
                    None if media::shows_file(&mut original) => {
                        return Err(impossible("the file of the message to forward is not kept any more"));
                    }
                    None => {}
                }
                Ok(original)
            }
        }
    }

    /// As whom this account writes in a group: by the kind of address that the group goes by. It is part of the name of a
    /// message there, so it is not guessed.
    async fn own_address_in_group(&self, group: &Jid) -> Result<String, Outcome> {
        let unknown =
            |why: String| Outcome::Unknown { detail: format!("how the group is addressed is not known: {why}") };
        let groups = self.client.groups();
        let info = tokio::time::timeout(self.ack_timeout, groups.query_info(group)).await;
        let info = info.map_err(|_| unknown(format!("no answer in {} s", self.ack_timeout.as_secs())))?;
        let own = match info.map_err(|error| unknown(error.to_string()))?.addressing_mode {
            AddressingMode::Lid => self.client.lid(),
            AddressingMode::Pn => self.client.pn(),
        };
        own.map(|jid| jid.to_non_ad().to_string()).ok_or_else(|| unknown("the account has no such address".to_owned()))
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
        Content::Location { latitude, longitude, name, address, .. } => wa::Message {
            location_message: MessageField::some(wa::message::LocationMessage {
                degrees_latitude: Some(*latitude),
                degrees_longitude: Some(*longitude),
                name: name.clone(),
                address: address.clone(),
                context_info: quote.map_or_else(MessageField::none, |quote| MessageField::some(quote.context())),
                ..Default::default()
            }),
            ..Default::default()
        },
        Content::Interactive(interactive) => interactive::message(interactive),
        Content::Contacts { contacts } => contacts_message(contacts),
        // As it is quoted; `composed` attaches the file.
        Content::Media(content) => media::preview(content),
        Content::Status(post) => posted(post),
        // Quoted, a poll shows what it asks, and a forwarded message what it says. Its secret stays out of a copy.
        Content::Poll(asked) => wa::Message { message_context_info: MessageField::none(), ..poll::message(asked, &[]) },
        Content::Forward { shown, .. } => shown.as_ref().map_or_else(Default::default, |shown| message(shown, None)),
        // None is a message that somebody quotes; `composed` sees to them.
        Content::Reaction { .. } | Content::Edit { .. } | Content::Delete { .. } | Content::ReadReceipt { .. } => {
            wa::Message::default()
        }
        Content::Text { text, mentions, link_preview: None, .. } if mentions.is_empty() && quote.is_none() => {
            wa::Message { conversation: Some(text.clone()), ..Default::default() }
        }
        Content::Text { text, mentions, link_preview, .. } => {
            let context = quote.map_or_else(Default::default, Quote::context);
            let preview = link_preview.as_ref();
            let mentioned_jid = mentions.iter().map(|jid| jid.as_str().to_owned()).collect();
            wa::Message {
                extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
                    text: Some(text.clone()),
                    matched_text: preview.map(|preview: &LinkPreview| preview.url.clone()),
                    title: preview.map(|preview| preview.title.clone()),
                    description: preview.and_then(|preview| preview.description.clone()),
                    context_info: MessageField::some(wa::ContextInfo { mentioned_jid, ..context }),
                    ..Default::default()
                }),
                ..Default::default()
            }
        }
    }
}

/// A status post as it is shown; `composed` attaches its file.
fn posted(post: &StatusPost) -> wa::Message {
    let Content::Text { text, .. } = &*post.shown else { return message(&post.shown, None) };
    wa::Message {
        extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
            text: Some(text.clone()),
            background_argb: post.background.map(|colour| colour.0),
            font: post.font.map(font),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn font(font: Font) -> wa::message::extended_text_message::FontType {
    use wa::message::extended_text_message::FontType as Wire;
    match font {
        Font::System => Wire::SYSTEM,
        Font::SystemText => Wire::SYSTEM_TEXT,
        Font::SystemBold => Wire::SYSTEM_BOLD,
        Font::Script => Wire::FB_SCRIPT,
        Font::Morningbreeze => Wire::MORNINGBREEZE_REGULAR,
        Font::Calistoga => Wire::CALISTOGA_REGULAR,
        Font::Exo2 => Wire::EXO2_EXTRABOLD,
        Font::Courierprime => Wire::COURIERPRIME_BOLD,
    }
}

fn reaction(chat: &ChatId, id: &str, emoji: &str, from_me: bool, participant: Option<&str>) -> wa::Message {
    wa::Message {
        reaction_message: MessageField::some(wa::message::ReactionMessage {
            key: MessageField::some(key(chat, id, from_me, participant)),
            text: Some(emoji.to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// How another message is named.
fn key(chat: &ChatId, id: &str, from_me: bool, participant: Option<&str>) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(chat.as_str().to_owned()),
        from_me: Some(from_me),
        id: Some(id.to_owned()),
        participant: participant.map(str::to_owned),
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
        let quoted_message_id = quoted.map(str::to_owned);
        Content::Text { text: text.into(), mentions: Vec::new(), quoted_message_id, link_preview: None }
    }

    fn received(message: &wa::Message) -> Quotable {
        let said = Said::Received { sender: "6281@s.whatsapp.net".into(), message: message.encode_to_vec() };
        Quotable { wa_id: "3EB0AA".into(), said }
    }

    fn context(message: &wa::Message) -> &wa::ContextInfo {
        message.extended_text_message.as_option().and_then(|text| text.context_info.as_option()).expect("a context")
    }

    #[tokio::test]
    async fn who_waits_no_longer_is_forgotten_and_not_who_came_after_under_the_same_id() {
        let acks = Arc::new(Acks::default());
        let waiting = || acks.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        let first = acks.expect("3EB0");
        drop(first);
        assert_eq!(waiting(), 0);

        let (first, second) = (acks.expect("3EB0"), acks.expect("3EB0"));
        drop(first);
        acks.arrived("3EB0", Some("404".into()));

        assert_eq!((second.verdict().await, waiting()), (Some(Err("404".to_owned())), 0));
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

    #[test]
    fn what_is_to_be_seen_once_and_what_is_about_another_message_is_not_forwarded() {
        let bytes = |message: wa::Message| message.encode_to_vec();
        let text = || wa::Message { conversation: Some("hi".into()), ..Default::default() };
        let once = wa::message::FutureProofMessage { message: MessageField::some(text()) };
        let chat = ChatId::parse("6281100000001").expect("a number");

        assert!(is_forwardable(&bytes(text())));
        assert!(!is_forwardable(&bytes(reaction(&chat, "3EB0", "x", false, None))));
        assert!(!is_forwardable(&bytes(wa::Message {
            view_once_message: MessageField::some(once),
            ..Default::default()
        })));
        assert!(!is_forwardable(&[]));
    }

    #[test]
    fn a_link_preview_stands_beside_the_text() {
        let preview = LinkPreview { url: "https://toko.id".into(), title: "Toko".into(), description: None };
        let content = Content::Text {
            text: "see https://toko.id".into(),
            mentions: Vec::new(),
            quoted_message_id: None,
            link_preview: Some(preview),
        };

        let sent = message(&content, None);

        let text = sent.extended_text_message.as_option().expect("an extended text");
        assert_eq!(text.matched_text.as_deref(), Some("https://toko.id"));
        assert_eq!(text.title.as_deref(), Some("Toko"));
    }
}
