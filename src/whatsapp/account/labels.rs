//! Labels of the account's chats, and whose status posts it does not want to see: both through WhatsApp's app state, so that
//! the account's other devices have them too.

use super::{Account, AccountError, parsed};
use crate::domain::jid::PersonId;

const LABEL: &str = "label";

impl Account {
    /// Makes a label, or names it otherwise.
    pub async fn set_label(&self, id: &str, name: &str, color: i32) -> Result<(), AccountError> {
        self.ask(LABEL, self.client.labels().create_label(id, name, color)).await
    }

    pub async fn delete_label(&self, id: &str) -> Result<(), AccountError> {
        self.ask(LABEL, self.client.labels().delete_label(id)).await
    }

    pub async fn label_chat(&self, id: &str, chat: &str, on: bool) -> Result<(), AccountError> {
        let (jid, labels) = (parsed(chat)?, self.client.labels());
        match on {
            true => self.ask(LABEL, labels.add_chat_label(id, &jid)).await,
            false => self.ask(LABEL, labels.remove_chat_label(id, &jid)).await,
        }
    }

    pub async fn mute_status(&self, person: &PersonId, on: bool) -> Result<(), AccountError> {
        let jid = parsed(person.as_str())?;
        self.ask("contact", self.client.chat_actions().set_user_status_mute(&jid, on)).await
    }
}
