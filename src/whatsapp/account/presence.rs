//! What others see of us, and what we want to see of them.

use super::{Account, AccountError, chat_jid, person_jid};
use crate::domain::jid::{ChatId, PersonId};
use crate::domain::presence::Presence;
use std::sync::Arc;
use wacore_binary::Jid;
use whatsapp_rust::client::Client;
use whatsapp_rust::features::ChatStateType;

impl Account {
    /// `chat` sees who writes or records; who is there or not is seen by everybody who may. WhatsApp answers none of these.
    pub async fn show(&self, chat: &ChatId, presence: Presence) -> Result<(), AccountError> {
        let jid = chat_jid(chat)?;
        let state = match presence {
            Presence::Available => return self.ask("chat", self.client.presence().set_available()).await,
            Presence::Unavailable => return self.ask("chat", self.client.presence().set_unavailable()).await,
            Presence::Composing => ChatStateType::Composing,
            Presence::Recording => ChatStateType::Recording,
            Presence::Paused => ChatStateType::Paused,
        };
        self.ask("chat", self.client.chatstate().send(&jid, state)).await
    }

    /// From now on this person's presence becomes events, also on later connections while the device is not stopped.
    pub async fn watch(&self, person: &PersonId) -> Result<(), AccountError> {
        let jid = person_jid(person)?;
        let known = self.person(&jid).await;
        let other = known.lid.unwrap_or_else(|| known.jid.clone());
        if !self.memory.watch([known.jid, other]) {
            return Err(AccountError::Unfit("too many people are watched already; unsubscribe from some".into()));
        }
        self.ask("contact", self.client.presence().subscribe(jid)).await
    }

    pub async fn unwatch(&self, person: &PersonId) -> Result<(), AccountError> {
        let jid = person_jid(person)?;
        self.memory.unwatch(&self.person(&jid).await.jid);
        self.ask("contact", self.client.presence().unsubscribe(&jid)).await
    }
}

/// Asks again for everybody who was watched on an earlier connection: WhatsApp forgets it with the connection.
pub(in crate::whatsapp) async fn watch_again(client: Arc<Client>, watched: Vec<String>) {
    for address in watched {
        let Ok(jid) = address.parse::<Jid>() else { continue };
        if let Err(error) = client.presence().subscribe(jid).await {
            // The connection went: the next one asks for all of them.
            tracing::debug!(%error, "who was watched could not be watched again");
            return;
        }
    }
}
