//! Whom a privacy setting excepts: WhatsApp keeps a list beside each setting that can be "contacts but these".
//!
//! A list is read by a query of its own, and changed by naming who comes and who goes, with WhatsApp's word for the list as it
//! was read. When it was changed meanwhile WhatsApp refuses, and nothing is done.

use super::mex::words;
use super::privacy::SETTING;
use super::{Account, AccountError, Person, told_or_known};
use crate::domain::jid::PersonId;
use crate::domain::privacy::{Field, NewExceptions};
use serde_json::Value;
use wacore::iq::mex_operations::get_privacy_lists;
use wacore::iq::privacy::{
    DisallowedListAction, DisallowedListUpdate, DisallowedListUserEntry, PrivacyCategory, SetPrivacySettingSpec,
};
use wacore_binary::Jid;

/// How a list is called that is empty, or that WhatsApp has no word for.
const NO_LIST: &str = "none";
/// The kind of list: who is on it may not.
const DENYLIST: &str = "DENYLIST";

/// A list as WhatsApp has it.
struct Listed {
    people: Vec<Person>,
    /// WhatsApp's word for it.
    dhash: String,
}

/// How a list becomes another one.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    stays: Vec<Person>,
    goes: Vec<Person>,
    comes: Vec<Person>,
}

impl Difference {
    /// Without `remove`, everybody goes whom `add` does not have.
    fn of(listed: Vec<Person>, add: Vec<Person>, remove: Option<&[Person]>) -> Self {
        let is_in = |list: &[Person], one: &Person| list.iter().any(|other| is_same(one, other));
        let (stays, goes): (Vec<Person>, Vec<Person>) = listed.into_iter().partition(|one| match remove {
            Some(remove) => !is_in(remove, one),
            None => is_in(&add, one),
        });
        let mut comes: Vec<Person> = Vec::new();
        for one in add {
            if !is_in(&stays, &one) && !is_in(&comes, &one) {
                comes.push(one);
            }
        }
        Self { stays, goes, comes }
    }

    fn entries(&self) -> Result<Vec<DisallowedListUserEntry>, AccountError> {
        let goes = self.goes.iter().map(|one| entry(DisallowedListAction::Remove, one));
        let comes = self.comes.iter().map(|one| entry(DisallowedListAction::Add, one));
        goes.chain(comes).collect()
    }

    /// The list as it is afterwards.
    fn people(self) -> Vec<Person> {
        self.stays.into_iter().chain(self.comes).collect()
    }
}

/// What a query calls a setting, which has another name where it is set.
fn category(field: &Field) -> String {
    match field.wire {
        "status" => "ABOUT".to_owned(),
        wire => wire.to_ascii_uppercase(),
    }
}

impl Account {
    /// Whom one of [`Field::excepting`] excepts. The list is there whether or not the setting is such that it counts.
    pub async fn exceptions(&self, field: &'static Field) -> Result<Vec<Person>, AccountError> {
        Ok(self.listed(field).await?.people)
    }

    /// Changes the list and makes the setting one that it counts for. Returns whom it excepts from now on.
    pub async fn set_exceptions(
        &self,
        field: &'static Field,
        wanted: &NewExceptions,
    ) -> Result<Vec<Person>, AccountError> {
        let (add, remove) = match wanted {
            NewExceptions::All(people) => (self.there(people).await?, None),
            NewExceptions::Some { add, remove } => (self.there(add).await?, Some(self.addressed(remove).await?)),
        };
        let Listed { people, dhash } = self.listed(field).await?;
        let difference = Difference::of(people, add, remove.as_deref());
        let users = difference.entries()?;
        let category = PrivacyCategory::from(field.wire);
        if users.is_empty() {
            let change = field.to_exceptions();
            self.put_setting(SetPrivacySettingSpec::new(category, change.value.into())).await?;
        } else {
            let update = DisallowedListUpdate { dhash, users };
            let put = self.put_setting(SetPrivacySettingSpec::with_disallowed_list(category, update)).await;
            put.map_err(|error| match error {
                AccountError::Refused { code: 409, .. } => {
                    AccountError::Refused { code: 409, text: "the list was changed meanwhile; try again".into() }
                }
                other => other,
            })?;
        }
        Ok(difference.people())
    }

    async fn listed(&self, field: &'static Field) -> Result<Listed, AccountError> {
        use get_privacy_lists::{DOC_ID, Input, NAME, PrivacyContactListType, QueryInput, Variables};
        let me = match self.client.lid() {
            Some(lid) => lid.to_non_ad(),
            None => self.own_jid()?,
        };
        // With a word for the list WhatsApp would leave out one that is still the same.
        let list = PrivacyContactListType {
            category: Some(category(field)),
            dhash: Some(String::new()),
            r#type: Some(DENYLIST.into()),
        };
        let asked = QueryInput { jid: Some(me.to_string()), privacy_contact_list_type: Some(list) };
        let asked = Variables { input: Some(Input { query_input: Some(vec![asked]) }) };
        let answer = self.query(SETTING, "xwa2_fetch_wa_users", (NAME, DOC_ID), asked).await?;
        let list = &answer[0]["privacy_contact_list"];
        let contacts = list["contacts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut people = Vec::with_capacity(contacts.len());
        for contact in contacts {
            let (jid, phone) = (address(&contact["jid"])?, address(&contact["pn_jid"])?);
            let Some(jid) = jid.or_else(|| phone.clone()) else { continue };
            people.push(told_or_known(&self.client, &jid, phone.as_ref(), None).await);
        }
        Ok(Listed { people, dhash: words(&list["dhash"]).unwrap_or_else(|| NO_LIST.into()) })
    }

    /// With both addresses, by which WhatsApp lists people. An error names the first who is not on WhatsApp.
    async fn there(&self, people: &[PersonId]) -> Result<Vec<Person>, AccountError> {
        let identities = self.identities(people).await?;
        let named = identities.into_iter().zip(people).map(|(identity, person)| {
            identity.ok_or_else(|| AccountError::Unfit(format!("{} is not on whatsapp", person.as_str())))
        });
        named.collect()
    }

    /// By every address that is known: who is not on WhatsApp any more can be taken off a list too.
    async fn addressed(&self, people: &[PersonId]) -> Result<Vec<Person>, AccountError> {
        let mut known = Vec::with_capacity(people.len());
        for person in people {
            known.push(self.person(&super::person_jid(person)?).await);
        }
        Ok(known)
    }
}

fn is_same(one: &Person, other: &Person) -> bool {
    one.jid == other.jid || (one.lid.is_some() && one.lid == other.lid)
}

fn address(told: &Value) -> Result<Option<Jid>, AccountError> {
    let Some(text) = words(told) else { return Ok(None) };
    let jid = text.parse().map_err(|_| AccountError::Failed(format!("whatsapp names somebody {text:?}")))?;
    Ok(Some(jid))
}

fn entry(action: DisallowedListAction, person: &Person) -> Result<DisallowedListUserEntry, AccountError> {
    let phone = address(&Value::from(person.phone.as_ref().map(|phone| format!("{phone}@s.whatsapp.net"))))?;
    let lid = address(&Value::from(person.lid.clone()))?;
    let jid = lid.or_else(|| phone.clone());
    let jid = jid.ok_or_else(|| AccountError::Failed("somebody has no address".into()))?;
    Ok(DisallowedListUserEntry { action, jid, pn_jid: phone })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(n: u8) -> Person {
        let phone = format!("62812345678{n}");
        Person { jid: format!("{phone}@s.whatsapp.net"), phone: Some(phone), lid: Some(format!("100{n}@lid")) }
    }

    #[test]
    fn a_list_changes_by_who_comes_and_who_goes_and_nobody_twice() {
        let people = |numbers: &[u8]| numbers.iter().copied().map(person).collect::<Vec<_>>();
        let parts = |stays: &[u8], goes: &[u8], comes: &[u8]| Difference {
            stays: people(stays),
            goes: people(goes),
            comes: people(comes),
        };
        let listed = || people(&[1, 2]);

        assert_eq!(Difference::of(listed(), people(&[2, 3, 3]), None), parts(&[2], &[1], &[3]));
        assert_eq!(Difference::of(listed(), people(&[2, 3]), Some(&[])), parts(&[1, 2], &[], &[3]));
        assert_eq!(Difference::of(listed(), Vec::new(), Some(&people(&[1, 9]))), parts(&[2], &[1], &[]));
        assert_eq!(Difference::of(listed(), Vec::new(), None), parts(&[], &[1, 2], &[]));
    }

    #[test]
    fn somebody_is_named_by_lid_and_phone_number_and_by_the_one_that_is_known() {
        let both = entry(DisallowedListAction::Add, &person(1)).expect("it has addresses");
        assert_eq!((both.jid.to_string().as_str(), both.pn_jid.is_some()), ("1001@lid", true));
        let hidden = Person { jid: "1001@lid".into(), phone: None, lid: Some("1001@lid".into()) };
        let hidden = entry(DisallowedListAction::Remove, &hidden).expect("it has an address");
        assert_eq!((hidden.jid.to_string().as_str(), hidden.pn_jid), ("1001@lid", None));
    }
}
