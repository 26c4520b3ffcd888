//! What is done to a chat: for the account's other devices through WhatsApp's app state, and for who wrote, by receipts.

use super::{Account, AccountError, parsed, stanza_id};
use crate::domain::chat::MUTED_FOR_GOOD;
use crate::domain::clock::UnixMs;
use buffa::MessageField;
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use whatsapp_rust::features::{AppStateError, SyncActionMessageRange, message_key, message_range};
use whatsapp_rust::request::IqError;
use whatsapp_rust::send::SendOptions;

const CHAT: &str = "chat";

/// The newest message of a chat: a phone does to a chat what it is told of as much as it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    pub wa_id: String,
    pub from_me: bool,
    /// Who wrote it, in a group.
    pub participant: Option<String>,
    pub at: UnixMs,
}

/// A message, as WhatsApp names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<'a> {
    pub wa_id: &'a str,
    pub from_me: bool,
    /// Who wrote it, in a group, when it was somebody else.
    pub participant: Option<&'a str>,
}

impl Account {
    pub async fn archive_chat(&self, chat: &str, on: bool, newest: Option<&Newest>) -> Result<(), AccountError> {
        let (jid, actions) = (parsed(chat)?, self.client.chat_actions());
        let range = range(&jid, newest)?;
        match on {
            true => self.ask(CHAT, actions.archive_chat(&jid, range)).await,
            false => self.ask(CHAT, actions.unarchive_chat(&jid, range)).await,
        }
    }

    pub async fn pin_chat(&self, chat: &str, on: bool) -> Result<(), AccountError> {
        let (jid, actions) = (parsed(chat)?, self.client.chat_actions());
        match on {
            true => self.ask(CHAT, actions.pin_chat(&jid)).await,
            false => self.ask(CHAT, actions.unpin_chat(&jid)).await,
        }
    }

    /// 0 ends it, [`MUTED_FOR_GOOD`] has no end.
    pub async fn mute_chat(&self, chat: &str, until: UnixMs) -> Result<(), AccountError> {
        let (jid, actions) = (parsed(chat)?, self.client.chat_actions());
        match until {
            0 => self.ask(CHAT, actions.unmute_chat(&jid)).await,
            MUTED_FOR_GOOD => self.ask(CHAT, actions.mute_chat(&jid)).await,
            until => self.ask(CHAT, actions.mute_chat_until(&jid, until)).await,
        }
    }

    /// On the account's other devices. Who wrote hears nothing of it.
    pub async fn mark_chat(&self, chat: &str, read: bool, newest: Option<&Newest>) -> Result<(), AccountError> {
        let jid = parsed(chat)?;
        let range = range(&jid, newest)?;
        self.ask(CHAT, self.client.chat_actions().mark_chat_as_read(&jid, read, range)).await
    }

    /// Tells who wrote them, as far as the account's privacy allows; `sender` in a group.
    pub async fn send_read(&self, chat: &str, sender: Option<&str>, ids: &[&str]) -> Result<(), AccountError> {
        let jid = parsed(chat)?;
        let sender = sender.map(parsed).transpose()?;
        self.ask(CHAT, async { self.client.mark_as_read(&jid, sender.as_ref(), ids).await.map_err(internal) }).await
    }

    pub async fn delete_chat(&self, chat: &str, newest: Option<&Newest>) -> Result<(), AccountError> {
        let jid = parsed(chat)?;
        let range = range(&jid, newest)?;
        self.ask(CHAT, self.client.chat_actions().delete_chat(&jid, true, range)).await
    }

    pub async fn clear_chat(
        &self,
        chat: &str,
        keep_starred: bool,
        newest: Option<&Newest>,
    ) -> Result<(), AccountError> {
        let jid = parsed(chat)?;
        let range = range(&jid, newest)?;
        self.ask(CHAT, self.client.chat_actions().clear_chat(&jid, !keep_starred, true, range)).await
    }

    pub async fn star(&self, chat: &str, message: &Named<'_>, on: bool) -> Result<(), AccountError> {
        let (jid, actions) = (parsed(chat)?, self.client.chat_actions());
        let participant = message.participant.map(parsed).transpose()?;
        let (id, from_me) = (message.wa_id, message.from_me);
        match on {
            true => self.ask(CHAT, actions.star_message(&jid, participant.as_ref(), id, from_me)).await,
            false => self.ask(CHAT, actions.unstar_message(&jid, participant.as_ref(), id, from_me)).await,
        }
    }

    /// After how many seconds messages of a person's chat disappear, for both sides; 0 is never. It is a message that nobody sees
    /// as one: the library's own call sends it too, and does not wait for WhatsApp's word on it.
    pub async fn set_chat_ephemeral(&self, chat: &str, seconds: u32) -> Result<(), AccountError> {
        use wa::disappearing_mode::{Initiator, Trigger};
        let jid = parsed(chat)?;
        let mode = wa::DisappearingMode {
            initiator: Some(Initiator::CHANGED_IN_CHAT),
            trigger: Some(Trigger::UNKNOWN),
            ..Default::default()
        };
        let setting = wa::message::ProtocolMessage {
            r#type: Some(wa::message::protocol_message::Type::EPHEMERAL_SETTING),
            ephemeral_expiration: Some(seconds),
            ephemeral_setting_timestamp: Some(self.clock.now_ms() / 1_000),
            disappearing_mode: MessageField::some(mode),
            ..Default::default()
        };
        let message = wa::Message { protocol_message: MessageField::some(setting), ..Default::default() };
        let id = stanza_id();
        let _sending = self.ratchet.sending();
        let options = SendOptions::default().with_message_id(id.as_str());
        let sent = async { self.client.send_message_with_options(jid, message, options).await.map(|_| ()) };
        self.ask_acked(CHAT, &id, sent).await
    }

    /// Asks the account's phone for messages before the oldest that is known. They come as history, when it is there.
    pub async fn ask_history(&self, chat: &str, oldest: &Newest, count: u32) -> Result<(), AccountError> {
        let jid = parsed(chat)?;
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let asked = async {
            let told = self.client.fetch_message_history(&jid, &oldest.wa_id, oldest.from_me, oldest.at, count).await;
            told.map(|_id| ()).map_err(internal)
        };
        self.ask("phone", asked).await
    }

    /// The other address of a person, as far as this device knows it.
    pub async fn other_address(&self, address: &str) -> Result<Option<String>, AccountError> {
        let person = self.person(&parsed(address)?).await;
        let both = [Some(person.jid), person.lid];
        Ok(both.into_iter().flatten().find(|known| known != address))
    }
}

fn range(jid: &Jid, newest: Option<&Newest>) -> Result<Option<SyncActionMessageRange>, AccountError> {
    let Some(newest) = newest else { return Ok(None) };
    let participant = newest.participant.as_deref().map(parsed).transpose()?;
    let key: wa::MessageKey = message_key(newest.wa_id.clone(), jid, newest.from_me, participant.as_ref());
    let seconds = newest.at / 1_000;
    Ok(Some(message_range(seconds, None, vec![(key, seconds)])))
}

/// The library keeps what WhatsApp said within.
fn internal(error: anyhow::Error) -> AccountError {
    match error.downcast::<IqError>() {
        Ok(error) => error.into(),
        Err(error) => AccountError::Failed(format!("{error:#}")),
    }
}

impl From<AppStateError> for AccountError {
    fn from(error: AppStateError) -> Self {
        match error {
            // Of a device that was linked a moment ago: its phone has not given it the key yet.
            AppStateError::InvalidRequest(why) if why.contains("sync key") => Self::Refused {
                code: 409,
                text: "the phone has not shared the key of its settings yet; try again".into(),
            },
            AppStateError::InvalidRequest(why) => Self::Unfit(why),
            AppStateError::Internal(error) => internal(error),
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}
