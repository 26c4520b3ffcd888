//! Who may see and do what with this account, and who may not reach it at all.

use super::reread::{Also, refused};
use super::{Account, AccountError, Person, refusal};
use crate::domain::jid::PersonId;
use crate::domain::privacy::{Change, FIELDS, Field};
use serde::Serialize;
use utoipa::ToSchema;
use wacore::iq::privacy::{PrivacyCategory, PrivacyValue, SetPrivacySettingSpec};
use wacore_binary::Jid;
use whatsapp_rust::usync::{
    UsyncContext, UsyncMode, UsyncOutcome, UsyncProtocol, UsyncProtocolKind, UsyncProtocolResult, UsyncQuery, UsyncUser,
};

pub(super) const SETTING: &str = "setting";

/// After which time messages of new chats disappear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefaultTimer {
    /// 0 is never.
    #[schema(example = 86400)]
    pub seconds: u32,
    /// Unix seconds; null when nobody ever set it.
    pub set_at: Option<i64>,
}

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
            self.put_setting(SetPrivacySettingSpec::new(category, value)).await?;
            done.push(change.field.name);
        }
        Ok(())
    }

    /// As the library's own calls, but with what they drop: that WhatsApp may refuse one setting in an answer that is none.
    pub(super) async fn put_setting(&self, spec: SetPrivacySettingSpec) -> Result<(), AccountError> {
        let (_, refused) = self.ask(SETTING, self.client.execute(Also { spec, read: refused })).await?;
        match refused {
            Some((code, text)) => Err(refusal(code, text, None).about(SETTING)),
            None => Ok(()),
        }
    }

    /// For new chats; 0 is off.
    pub async fn set_default_ephemeral(&self, seconds: u32) -> Result<(), AccountError> {
        self.ask(SETTING, self.client.set_default_disappearing_mode(seconds)).await
    }

    pub async fn default_ephemeral(&self) -> Result<DefaultTimer, AccountError> {
        let me = self.own_jid()?;
        let (asked, users) = (vec![UsyncProtocol::DisappearingMode], vec![UsyncUser::from_jid(me)]);
        let asked = UsyncQuery::new(UsyncMode::Query, UsyncContext::Interactive, asked, users);
        let asked = asked.map_err(|error| AccountError::Failed(format!("a query could not be made: {error}")))?;
        let told = self.ask(SETTING, self.client.query_usync(asked)).await?;
        let told = told.users.first().and_then(|user| user.protocol(UsyncProtocolKind::DisappearingMode));
        match told {
            Some(UsyncProtocolResult::DisappearingMode(UsyncOutcome::Value(timer))) => {
                let set_at = Some(timer.setting_timestamp).filter(|at| *at > 0);
                Ok(DefaultTimer { seconds: timer.duration_seconds, set_at })
            }
            Some(UsyncProtocolResult::DisappearingMode(UsyncOutcome::Error(error))) => {
                let text = error.text.clone().unwrap_or_default();
                Err(refusal(error.code.unwrap_or(500), text, error.backoff).about(SETTING))
            }
            _ => Err(AccountError::NotFound(SETTING)),
        }
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
