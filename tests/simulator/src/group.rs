//! A group as the server keeps it.

use crate::handlers::Picture;
use std::collections::BTreeMap;

#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) subject: String,
    /// Its id and text.
    pub(crate) description: Option<(String, String)>,
    pub(crate) creator: String,
    pub(crate) created: u64,
    /// Phone number, and whether it is an admin.
    pub(crate) members: BTreeMap<String, bool>,
    pub(crate) picture: Option<Picture>,
    /// Only admins write.
    pub(crate) announce: bool,
    /// Only admins change subject, description and picture.
    pub(crate) locked: bool,
    /// Who joins by link waits for an admin.
    pub(crate) approval: bool,
    pub(crate) invite: String,
    /// Who waits, and since when.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Seconds, or nothing when messages stay.
    pub(crate) ephemeral: Option<u64>,
    /// Every member may add others.
    pub(crate) all_add: bool,
    /// What it is as a community, of which groups are part.
    pub(crate) community: Option<Community>,
    /// The community it is part of.
    pub(crate) linked: Option<Linked>,
}

#[derive(Clone)]
pub(crate) struct Community {
    /// Who comes waits for an admin.
    pub(crate) closed: bool,
    /// Members who are no admins may make groups in it.
    pub(crate) all_make_groups: bool,
}

#[derive(Clone)]
pub(crate) struct Linked {
    pub(crate) to: String,
    pub(crate) place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the admins tell everybody something; it comes and goes with the community.
    Announcements,
    General,
    Other,
}

impl Group {
    pub(crate) fn new(id: &str, subject: &str, creator: &str, now: u64) -> Self {
        Self {
            id: id.to_owned(),
            subject: subject.to_owned(),
            description: None,
            creator: creator.to_owned(),
            created: now,
            members: BTreeMap::from([(creator.to_owned(), true)]),
            picture: None,
            announce: false,
            locked: false,
            approval: false,
            invite: invite_code(),
            requests: BTreeMap::new(),
            ephemeral: None,
            all_add: true,
            community: None,
            linked: None,
        }
    }

    pub(crate) fn is_linked_to(&self, community: &str) -> bool {
        self.linked.as_ref().is_some_and(|linked| linked.to == community)
    }

    pub(crate) fn is_place(&self, place: Place) -> bool {
        self.linked.as_ref().is_some_and(|linked| linked.place == place)
    }

    pub(crate) fn is_admin(&self, number: &str) -> bool {
        self.members.get(number) == Some(&true)
    }

    /// Subject, description, picture.
    pub(crate) fn may_change(&self, number: &str) -> bool {
        if self.locked { self.is_admin(number) } else { self.members.contains_key(number) }
    }
}

pub(crate) fn invite_code() -> String {
    hex::encode(rand::random::<[u8; 11]>())
}
