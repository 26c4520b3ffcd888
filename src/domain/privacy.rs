//! The privacy settings of an account: their names here and at WhatsApp, how earlier systems spelled them, what each can be,
//! and whom it excepts.

use super::jid::PersonId;

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    /// Other spellings that are taken for it.
    pub also: &'static [&'static str],
    /// WhatsApp's name.
    pub wire: &'static str,
    pub values: &'static [&'static str],
}

/// Contacts but those whom the setting excepts.
const CONTACTS_BUT: &str = "contact_blacklist";

/// Who may see or do something.
const AUDIENCE: &[&str] = &["all", "contacts", CONTACTS_BUT, "none"];

pub static FIELDS: [Field; 9] = [
    Field {
        name: "readreceipts",
        also: &["readReceipts", "read_receipts"],
        wire: "readreceipts",
        values: &["all", "none"],
    },
    Field { name: "online", also: &[], wire: "online", values: &["all", "match_last_seen"] },
    Field { name: "lastSeen", also: &["lastseen", "last_seen", "last"], wire: "last", values: AUDIENCE },
    Field { name: "groupAdd", also: &["groupadd", "group_add", "groupsAdd"], wire: "groupadd", values: AUDIENCE },
    Field { name: "statusPrivacy", also: &["status_privacy", "status", "about"], wire: "status", values: AUDIENCE },
    Field {
        name: "profilePicture",
        also: &["profilepicture", "profile_picture", "profilePic", "profile"],
        wire: "profile",
        values: AUDIENCE,
    },
    Field {
        name: "callAdd",
        also: &["calladd", "call_add", "calls"],
        wire: "calladd",
        values: &["all", "known", "contacts"],
    },
    Field { name: "messages", also: &[], wire: "messages", values: &["all", "contacts"] },
    Field { name: "defense", also: &[], wire: "defense", values: &["off", "on_standard"] },
];

/// A setting and what it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub field: &'static Field,
    pub value: &'static str,
}

impl Field {
    /// One of the values that this setting can have.
    pub fn parse(&'static self, text: &str) -> Result<Change, String> {
        let value = self.values.iter().copied().find(|value| *value == text);
        value
            .map(|value| Change { field: self, value })
            .ok_or_else(|| format!("must be one of {}", self.values.join(", ")))
    }

    /// Those that can have a list of people whom they except.
    pub fn excepting() -> impl Iterator<Item = &'static Self> {
        FIELDS.iter().filter(|field| field.values.contains(&CONTACTS_BUT))
    }

    /// One of [`Field::excepting`], by its name or another spelling of it.
    pub fn parse_excepting(text: &str) -> Result<&'static Self, String> {
        let found = Self::excepting().find(|field| field.name == text || field.also.contains(&text));
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::excepting().map(|field| field.name).collect();
            format!("must be one of {}", names.join(", "))
        })
    }

    /// The change after which the setting excepts those of its list.
    pub fn to_exceptions(&'static self) -> Change {
        Change { field: self, value: CONTACTS_BUT }
    }
}

/// Whom a setting shall except.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewExceptions {
    /// These and nobody else.
    All(Vec<PersonId>),
    /// These more and those no more.
    Some { add: Vec<PersonId>, remove: Vec<PersonId> },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_spelling_means_two_settings() {
        let spellings: Vec<&str> =
            FIELDS.iter().flat_map(|field| field.also.iter().copied().chain([field.name])).collect();
        assert_eq!(spellings.iter().collect::<BTreeSet<_>>().len(), spellings.len());
    }

    #[test]
    fn exceptions_are_of_settings_that_can_have_some() {
        let names: Vec<&str> = Field::excepting().map(|field| field.name).collect();
        assert_eq!(names, ["lastSeen", "groupAdd", "statusPrivacy", "profilePicture"]);
        assert_eq!(Field::parse_excepting("about").map(|field| field.name), Ok("statusPrivacy"));
        assert_eq!(Field::parse_excepting("online"), Err(format!("must be one of {}", names.join(", "))));
    }

    #[test]
    fn a_value_of_another_setting_is_refused_with_those_that_fit() {
        let online = &FIELDS[1];
        assert_eq!(online.parse("none"), Err("must be one of all, match_last_seen".into()));
        assert_eq!(online.parse("all"), Ok(Change { field: online, value: "all" }));
    }
}
