//! Who people are: whether they are on WhatsApp, by which addresses, and what they show of themselves.

use super::{Account, AccountError, Person, chat_jid, person_jid};
use crate::domain::jid::{ChatId, PersonId};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;
use wacore_binary::Jid;
use whatsapp_rust::features::IsOnWhatsAppResult;

/// Whether somebody is on WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    #[serde(flatten)]
    pub person: Person,
    pub is_on_whatsapp: bool,
    pub is_business: bool,
}

/// What somebody shows of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactProfile {
    #[serde(flatten)]
    pub person: Person,
    /// Absent when there is none, or their settings hide it.
    pub about: Option<String>,
    pub picture_id: Option<String>,
    pub is_business: bool,
}

/// Where a profile picture is to be had, for some hours, without a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PictureLink {
    /// Another picture has another id.
    pub id: String,
    pub url: String,
}

impl Account {
    /// In the order of the question. `fresh` asks WhatsApp also about those whose answer is still believed.
    pub async fn check(&self, people: &[PersonId], fresh: bool) -> Result<Vec<Checked>, AccountError> {
        let now = self.clock.now_ms();
        let mut answers: HashMap<&str, Checked> = HashMap::new();
        if !fresh {
            let kept = |person: &'_ PersonId| self.memory.checked(person.as_str(), now);
            answers.extend(people.iter().filter_map(|person| Some((person.as_str(), kept(person)?))));
        }
        let unknown: Vec<&PersonId> = people.iter().filter(|person| !answers.contains_key(person.as_str())).collect();
        if !unknown.is_empty() {
            let jids = unknown.iter().map(|person| person_jid(person)).collect::<Result<Vec<Jid>, _>>()?;
            let told = self.ask("contact", self.client.contacts().is_on_whatsapp(&jids)).await?;
            for (person, jid) in unknown.into_iter().zip(&jids) {
                let answer = told.iter().find(|one| is_about(one, jid));
                let checked = Checked {
                    person: self.person(jid).await,
                    is_on_whatsapp: answer.is_some_and(|one| one.is_registered),
                    is_business: answer.is_some_and(|one| one.is_business),
                };
                self.memory.keep_checked(person.as_str(), checked.clone(), now);
                answers.insert(person.as_str(), checked);
            }
        }
        Ok(people.iter().filter_map(|person| answers.get(person.as_str()).cloned()).collect())
    }

    /// Both addresses of somebody, asked for when only one is known; `None` for who is not on WhatsApp.
    pub async fn identity(&self, person: &PersonId) -> Result<Option<Person>, AccountError> {
        let jid = person_jid(person)?;
        let known = self.person(&jid).await;
        if known.phone.is_some() && known.lid.is_some() {
            return Ok(Some(known));
        }
        let told = self.ask("contact", self.client.contacts().is_on_whatsapp(std::slice::from_ref(&jid))).await?;
        let there = told.iter().any(|one| is_about(one, &jid) && one.is_registered);
        Ok(if there { Some(self.person(&jid).await) } else { None })
    }

    pub async fn contact(&self, person: &PersonId) -> Result<ContactProfile, AccountError> {
        let jid = person_jid(person)?;
        let told = self.ask("contact", self.client.contacts().get_user_info(std::slice::from_ref(&jid))).await?;
        let info = told.into_values().next().ok_or(AccountError::NotFound("contact"))?;
        Ok(ContactProfile {
            person: self.person(&jid).await,
            about: info.status.filter(|about| !about.is_empty()),
            picture_id: info.picture_id,
            is_business: info.is_business,
        })
    }

    /// Of a person or a group; the small one with `preview`. `None` when there is none, or their settings hide it.
    pub async fn picture(&self, of: &ChatId, preview: bool) -> Result<Option<PictureLink>, AccountError> {
        let jid = chat_jid(of)?;
        let found = self.ask("picture", self.client.contacts().get_profile_picture(&jid, preview)).await?;
        Ok(found.map(|picture| PictureLink { id: picture.id, url: picture.url }))
    }
}

fn is_about(answer: &IsOnWhatsAppResult, jid: &Jid) -> bool {
    let addresses = [Some(&answer.jid), answer.lid.as_ref(), answer.pn_jid.as_ref()];
    addresses.into_iter().flatten().any(|address| (&address.user, address.server) == (&jid.user, jid.server))
}
