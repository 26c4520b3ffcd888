//! Who may see and do what with this account, and who may not reach it at all.

use super::{Account, AccountError, Person};
use crate::domain::jid::PersonId;
use crate::domain::privacy::{Change, FIELDS, Field};
use wacore::iq::privacy::{PrivacyCategory, PrivacyValue};
use wacore_binary::Jid;

const SETTING: &str = "setting";

impl Account {
    /// Every setting that WhatsApp tells, with its value.
    pub async fn privacy(&self) -> Result<Vec<(&'static Field, String)>, AccountError> {
        let told = self.ask(SETTING, self.client.fetch_privacy_settings()).await?;
        let value = |field: &'static Field| {
            let value = told.get_value(&PrivacyCategory::from(field.wire))?;
            Some((field, value.as_str().to_owned()))
        };
        Ok(FIELDS.iter().filter_map(value).collect())
    }

    /// One request to WhatsApp each; the first refusal ends it. `done` gets the name of each that was set.
    pub async fn set_privacy(&self, changes: &[Change], done: &mut Vec<&'static str>) -> Result<(), AccountError> {
        for change in changes {
            let (category, value) = (PrivacyCategory::from(change.field.wire), PrivacyValue::from(change.value));
            self.ask(SETTING, self.client.set_privacy_setting(category, value)).await?;
            done.push(change.field.name);
        }
        Ok(())
    }

    /// For new chats; 0 is off.
    pub async fn set_default_ephemeral(&self, seconds: u32) -> Result<(), AccountError> {
        self.ask(SETTING, self.client.set_default_disappearing_mode(seconds)).await
    }

    pub async fn blocked(&self) -> Result<Vec<Person>, AccountError> {
        let listed = self.ask("block list", self.client.blocking().get_blocklist()).await?;
        let mut people = Vec::with_capacity(listed.len());
        for entry in listed {
            people.push(self.person(&entry.jid).await);
        }
        Ok(people)
    }

    pub async fn block(&self, person: &PersonId) -> Result<(), AccountError> {
        let jid = self.known(person).await?;
        self.ask("contact", self.client.blocking().block(&jid)).await
    }

    pub async fn unblock(&self, person: &PersonId) -> Result<(), AccountError> {
        let jid = self.known(person).await?;
        self.ask("contact", self.client.blocking().unblock(&jid)).await
    }

    /// WhatsApp blocks by both addresses, as it has them itself: they are asked for when only one is known.
    async fn known(&self, person: &PersonId) -> Result<Jid, AccountError> {
        match self.identity(person).await? {
            Some(Person { lid: Some(_), jid, .. }) => {
                jid.parse().map_err(|_| AccountError::Failed(format!("whatsapp names somebody {jid:?}")))
            }
            _ => Err(AccountError::NotFound("contact")),
        }
    }
}
