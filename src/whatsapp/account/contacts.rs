//! Who people are: whether they are on WhatsApp, by which addresses, and what they show of themselves.

use super::reread::{Also, questions};
use super::{Account, AccountError, Person, chat_jid, person_jid, person_jids};
use crate::domain::jid::{ChatId, PersonId};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;
use wacore::iq::usync::{IsOnWhatsAppQueryType, IsOnWhatsAppSpec, IsOnWhatsAppUser};
use wacore::types::lid_pn::LearningSource;
use wacore_binary::Jid;
use whatsapp_rust::features::IsOnWhatsAppResult;
use whatsapp_rust::request::IqError;

/// People in one question to WhatsApp.
const ASKED_AT_ONCE_MAX: usize = 100;

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
            let told = self.ask("contact", self.whether_there(&jids)).await?;
            for (person, jid) in unknown.into_iter().zip(&jids) {
                let answer = told.about(jid);
                let checked = Checked {
                    person: self.person(answer.map_or(jid, |one| &one.jid)).await,
                    is_on_whatsapp: answer.is_some_and(|one| one.is_registered),
                    is_business: answer.is_some_and(|one| one.is_business),
                };
                // Nobody said that somebody is not there.
                if answer.is_some() {
                    self.memory.keep_checked(person.as_str(), checked.clone(), now);
                }
                answers.insert(person.as_str(), checked);
            }
        }
        Ok(people.iter().filter_map(|person| answers.get(person.as_str()).cloned()).collect())
    }

    /// Both addresses of somebody, asked for when only one is known; `None` for who is not on WhatsApp. The phone number is
    /// the one that WhatsApp has, which may be written otherwise than the given one.
    pub async fn identity(&self, person: &PersonId) -> Result<Option<Person>, AccountError> {
        Ok(self.identities(std::slice::from_ref(person)).await?.pop().flatten())
    }

    /// The same of several, in their order.
    pub(super) async fn identities(&self, people: &[PersonId]) -> Result<Vec<Option<Person>>, AccountError> {
        let jids = person_jids(people)?;
        let (mut identities, mut unknown) = (HashMap::new(), Vec::new());
        for jid in &jids {
            let known = self.person(jid).await;
            if known.phone.is_some() && known.lid.is_some() {
                identities.insert(jid, known);
            } else {
                unknown.push(jid.clone());
            }
        }
        for some in unknown.chunks(ASKED_AT_ONCE_MAX) {
            let told = self.ask("contact", self.whether_there(some)).await?;
            for jid in some {
                if let Some(there) = told.about(jid).filter(|one| one.is_registered) {
                    identities.insert(jid, self.person(&there.jid).await);
                }
            }
        }
        Ok(jids.iter().map(|jid| identities.get(jid).cloned()).collect())
    }

    /// As the library's own call, but with what it drops: which question an answer is to. Phone numbers and lids are asked
    /// about in two requests, side by side; the pairs of addresses that are told are kept.
    async fn whether_there(&self, jids: &[Jid]) -> Result<Told, IqError> {
        let (mut by_phone, mut by_lid) = (Vec::new(), Vec::new());
        for jid in jids {
            let known_lid = match self.client.get_lid_pn_entry(jid).await {
                Ok(entry) => entry.filter(|_| jid.is_pn()).map(|entry| (&*entry.lid).into()),
                Err(error) => {
                    tracing::warn!(%error, "the other address of a person could not be looked up");
                    None
                }
            };
            let list = if jid.is_pn() { &mut by_phone } else { &mut by_lid };
            list.push(IsOnWhatsAppUser { jid: jid.to_non_ad(), known_lid });
        }
        let asked = async |users: Vec<IsOnWhatsAppUser>, type_| {
            if users.is_empty() {
                return Ok((Vec::new(), HashMap::new()));
            }
            let sid = format!("{:016X}", rand::random::<u64>());
            self.client.execute(Also { spec: IsOnWhatsAppSpec::new(users, sid, type_), read: questions }).await
        };
        let (phones, lids) =
            tokio::try_join!(asked(by_phone, IsOnWhatsAppQueryType::Pn), asked(by_lid, IsOnWhatsAppQueryType::Lid))?;
        let (mut answers, questions) = phones;
        answers.extend(lids.0);
        for one in &answers {
            let (phone, lid) = if one.jid.is_lid() {
                (one.pn_jid.as_ref(), Some(&one.jid))
            } else {
                (Some(&one.jid), one.lid.as_ref())
            };
            let (Some(phone), Some(lid)) = (phone, lid) else { continue };
            if let Err(error) = self.client.add_lid_pn_mapping(&lid.user, &phone.user, LearningSource::Usync).await {
                tracing::warn!(%error, "the two addresses of a person were not kept");
            }
        }
        Ok(Told { answers, questions })
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

/// What WhatsApp says to the question who is there.
struct Told {
    answers: Vec<IsOnWhatsAppResult>,
    /// The address that answers to a phone number as it was asked about.
    questions: HashMap<String, Jid>,
}

impl Told {
    /// The answer may name the person by a number that is written otherwise: of a country whose numbers have grown, say.
    fn about(&self, asked: &Jid) -> Option<&IsOnWhatsAppResult> {
        let canonical = if asked.is_pn() { self.questions.get(asked.user.as_str()) } else { None };
        let jid = canonical.unwrap_or(asked);
        self.answers.iter().find(|answer| is_about(answer, jid))
    }
}

fn is_about(answer: &IsOnWhatsAppResult, jid: &Jid) -> bool {
    let addresses = [Some(&answer.jid), answer.lid.as_ref(), answer.pn_jid.as_ref()];
    addresses.into_iter().flatten().any(|address| (&address.user, address.server) == (&jid.user, jid.server))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore::iq::spec::IqSpec;
    use wacore_binary::builder::NodeBuilder;

    /// An answer of WhatsApp's to questions about phone numbers: as asked, and as WhatsApp has them.
    fn told(pairs: &[(&str, &str)]) -> Told {
        let user = |(asked, canonical): &(&str, &str)| {
            let contact = NodeBuilder::new("contact").attr("type", "in").bytes(asked.as_bytes().to_vec()).build();
            NodeBuilder::new("user").attr("jid", Jid::pn(*canonical)).children([contact]).build()
        };
        let list = NodeBuilder::new("list").children(pairs.iter().map(user).collect::<Vec<_>>()).build();
        let usync = NodeBuilder::new("usync").children([NodeBuilder::new("result").build(), list]).build();
        let iq = NodeBuilder::new("iq").attr("type", "result").children([usync]).build();
        let spec = IsOnWhatsAppSpec::new(Vec::new(), "1", IsOnWhatsAppQueryType::Pn);
        let (answers, questions) = Also { spec, read: questions }.parse_response(&iq.as_node_ref()).expect("reads");
        Told { answers, questions }
    }

    #[test]
    fn an_answer_is_matched_to_its_question_though_whatsapp_writes_the_number_otherwise() {
        let told = told(&[("+5511987654321", "551187654321"), ("+6281100000001", "6281100000001")]);

        for (asked, jid) in [
            ("5511987654321", Some("551187654321")),
            ("551187654321", Some("551187654321")),
            ("6281100000001", Some("6281100000001")),
            ("6281100000002", None),
        ] {
            let answer = told.about(&Jid::pn(asked)).map(|one| one.jid.user.as_str());
            assert_eq!(answer, jid, "{asked}");
        }
    }
}
