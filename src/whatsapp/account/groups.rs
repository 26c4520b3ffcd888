//! Groups of an account: what they are, who belongs to them, and what may be done in them.

use super::reread::{Also, add_modes, phones};
use super::{Account, AccountError, Person, group_jid, person, person_jid, person_jids, told_or_known};
use crate::domain::group::{MemberAdds, Membership, Picture, Settings};
use crate::domain::jid::{GroupId, PersonId};
use serde::Serialize;
use utoipa::ToSchema;
use wacore::iq::groups::{GetMembershipRequestsIq, GroupInfoOutcome, GroupParticipatingIq, GroupQueryIq};
use wacore_binary::Jid;
use whatsapp_rust::client::Client;
use whatsapp_rust::features::{
    GroupCreateOptions, GroupDescription, GroupMetadata, GroupParticipantOptions, GroupSubject, JoinGroupResult,
    MemberAddMode, MembershipApprovalMode, ParticipantChangeResponse, ParticipantType, PreviousDescription,
};

const GROUP: &str = "group";
const INVITE: &str = "invite link";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Member,
    Admin,
    /// Who made the group.
    Superadmin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Member {
    #[serde(flatten)]
    pub person: Person,
    pub role: Role,
}

/// A group as WhatsApp describes it. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub id: String,
    pub subject: String,
    /// Who made it, by phone number where that is known.
    pub owner: Option<String>,
    pub participants: Vec<Member>,
    /// Also where the members are not listed, as behind an invite link.
    pub size: u32,
    pub creation: Option<u64>,
    pub description: Option<String>,
    pub subject_changed_at: Option<u64>,
    /// Only admins write.
    pub announce: bool,
    /// Only admins change subject, description and picture.
    pub locked: bool,
    /// Who follows the invite link waits for an admin.
    pub join_approval: bool,
    /// Seconds after which messages disappear; 0 is never.
    pub ephemeral_seconds: u32,
    /// Who may add members.
    pub member_add: Option<MemberAdds>,
    /// A community, of which groups are part.
    pub is_community: bool,
    /// The community it is part of.
    pub community: Option<String>,
}

/// What became of one person in a request about several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberResult {
    #[serde(flatten)]
    pub person: Person,
    /// WhatsApp's code: `200` is done, `403` not allowed by their settings or ours, `404` no account or no member, `408` left
    /// lately, `409` it was so already.
    pub status: String,
    /// Of a person who must be invited instead: the code of that invitation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite_code: Option<String>,
    /// Until when it can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite_expires_at: Option<u64>,
}

impl MemberResult {
    const DONE: &str = "200";
    const NOT_ADDED: &str = "403";

    pub fn is_done(&self) -> bool {
        self.status == Self::DONE
    }
}

/// Somebody who followed an invite link and waits for an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinRequest {
    #[serde(flatten)]
    pub person: Person,
    pub requested_at: Option<u64>,
}

/// A group that was made, and what became of each person it was to have.
#[derive(Debug, Clone)]
pub struct Created {
    pub group: Group,
    pub results: Vec<MemberResult>,
}

/// Where following an invite link led.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    pub group_jid: String,
    /// An admin has to let us in.
    pub waits_for_approval: bool,
}

impl Account {
    /// `community` is what it becomes part of.
    pub async fn create_group(
        &self,
        subject: &str,
        people: &[PersonId],
        community: Option<&GroupId>,
    ) -> Result<Created, AccountError> {
        let options = people.iter().map(|person| person_jid(person).map(GroupParticipantOptions::new));
        let mut options = GroupCreateOptions::new(subject).with_participants(options.collect::<Result<_, _>>()?);
        options.linked_parent = community.map(group_jid).transpose()?;
        let groups = self.client.groups();
        let made = self.ask(GROUP, groups.create_group(options)).await?.metadata;
        // The answer lists who was asked for, also those who were not let in: what is read back says who is in.
        let group = match self.read_group(&made.id).await {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(%error, "a group that was made could not be read back; its answer is taken");
                described(&self.client, made).await
            }
        };
        let mut results = Vec::with_capacity(people.len());
        for person in people {
            let person = self.person(&person_jid(person)?).await;
            let member = group.participants.iter().find(|member| same(&member.person, &person));
            results.push(match member {
                Some(member) => result(member.person.clone(), MemberResult::DONE),
                None => result(person, MemberResult::NOT_ADDED),
            });
        }
        Ok(Created { group, results })
    }

    /// By subject.
    pub async fn groups(&self) -> Result<Vec<Group>, AccountError> {
        let asked = Also { spec: GroupParticipatingIq::new(), read: add_modes };
        let (found, modes) = self.ask(GROUP, self.client.execute(asked)).await?;
        let mut groups = Vec::with_capacity(found.groups.len());
        for one in found.groups {
            let member_add = modes.get(one.id.user.as_str()).copied();
            groups.push(Group { member_add, ..described(&self.client, one.into()).await });
        }
        groups.sort_by(|a, b| (&a.subject, &a.id).cmp(&(&b.subject, &b.id)));
        Ok(groups)
    }

    pub async fn group(&self, group: &GroupId) -> Result<Group, AccountError> {
        self.read_group(&group_jid(group)?).await
    }

    async fn read_group(&self, group: &Jid) -> Result<Group, AccountError> {
        let asked = Also { spec: GroupQueryIq::new(group), read: add_modes };
        match self.ask(GROUP, self.client.execute(asked)).await? {
            (GroupInfoOutcome::Full(found), modes) => {
                let member_add = modes.get(group.user.as_str()).copied();
                Ok(Group { member_add, ..described(&self.client, (*found).into()).await })
            }
            (GroupInfoOutcome::NotModified, _) => {
                Err(AccountError::Failed("a group was not told though asked for".into()))
            }
        }
    }

    pub async fn change_members(
        &self,
        group: &GroupId,
        change: Membership,
        people: &[PersonId],
    ) -> Result<Vec<MemberResult>, AccountError> {
        let (group, people, groups) = (group_jid(group)?, person_jids(people)?, self.client.groups());
        let answers = match change {
            Membership::Add => self.ask(GROUP, groups.add_participants(group, &people)).await,
            Membership::Remove => self.ask(GROUP, groups.remove_participants(group, &people)).await,
            Membership::Promote => self.ask(GROUP, groups.promote_participants(group, &people)).await,
            Membership::Demote => self.ask(GROUP, groups.demote_participants(group, &people)).await,
            Membership::Approve => self.ask(GROUP, groups.approve_membership_requests(group, &people)).await,
            Membership::Reject => self.ask(GROUP, groups.reject_membership_requests(group, &people)).await,
        };
        Ok(self.results(answers?).await)
    }

    pub async fn set_subject(&self, group: &GroupId, subject: &str) -> Result<(), AccountError> {
        let subject = GroupSubject::new(subject).map_err(|error| AccountError::Unfit(error.to_string()))?;
        self.ask(GROUP, self.client.groups().set_subject(group_jid(group)?, subject)).await
    }

    /// `None` takes it away.
    pub async fn set_description(&self, group: &GroupId, text: Option<&str>) -> Result<(), AccountError> {
        let text = text.map(GroupDescription::new).transpose();
        let text = text.map_err(|error| AccountError::Unfit(error.to_string()))?;
        let group = group_jid(group)?;
        self.ask(GROUP, self.client.groups().set_description(group, text, PreviousDescription::Resolve)).await
    }

    /// One request to WhatsApp for each setting that is given, in this order; the first refusal ends it. `done` gets the
    /// name of each that was set.
    pub async fn set_group_settings(
        &self,
        group: &GroupId,
        settings: &Settings,
        done: &mut Vec<&'static str>,
    ) -> Result<(), AccountError> {
        let (group, groups) = (group_jid(group)?, self.client.groups());
        if let Some(announce) = settings.announce {
            self.ask(GROUP, groups.set_announce(&group, announce)).await?;
            done.push("announce");
        }
        if let Some(locked) = settings.locked {
            self.ask(GROUP, groups.set_locked(&group, locked)).await?;
            done.push("locked");
        }
        if let Some(approval) = settings.join_approval {
            let mode = if approval { MembershipApprovalMode::On } else { MembershipApprovalMode::Off };
            self.ask(GROUP, groups.set_membership_approval(&group, mode)).await?;
            done.push("joinApproval");
        }
        if let Some(seconds) = settings.ephemeral_seconds {
            self.ask(GROUP, groups.set_ephemeral(&group, seconds)).await?;
            done.push("ephemeralSeconds");
        }
        if let Some(who) = settings.member_add {
            let mode = match who {
                MemberAdds::Admins => MemberAddMode::AdminAdd,
                MemberAdds::Everyone => MemberAddMode::AllMemberAdd,
            };
            self.ask(GROUP, groups.set_member_add_mode(&group, mode)).await?;
            done.push("memberAdd");
        }
        Ok(())
    }

    /// Returns WhatsApp's id of the picture.
    pub async fn set_group_picture(&self, group: &GroupId, picture: Picture) -> Result<String, AccountError> {
        let groups = self.client.groups();
        let set = groups.set_profile_picture(group_jid(group)?, picture.into_bytes());
        Ok(self.ask(GROUP, set).await?.id)
    }

    pub async fn remove_group_picture(&self, group: &GroupId) -> Result<(), AccountError> {
        self.ask(GROUP, self.client.groups().remove_profile_picture(group_jid(group)?)).await.map(|_| ())
    }

    /// `anew` makes a new one; the old one leads nowhere from then on.
    pub async fn invite_link(&self, group: &GroupId, anew: bool) -> Result<String, AccountError> {
        self.ask(GROUP, self.client.groups().get_invite_link(group_jid(group)?, anew)).await
    }

    /// What an invite link, or its code, leads to.
    pub async fn preview_group(&self, link: &str) -> Result<Group, AccountError> {
        let metadata = self.ask(INVITE, self.client.groups().get_invite_info(link)).await?;
        Ok(described(&self.client, metadata).await)
    }

    pub async fn join_group(&self, link: &str) -> Result<Joined, AccountError> {
        let joined = self.ask(INVITE, self.client.groups().join_with_invite_code(link)).await?;
        Ok(Joined {
            group_jid: joined.group_jid().to_string(),
            waits_for_approval: matches!(joined, JoinGroupResult::PendingApproval(_)),
        })
    }

    pub async fn leave_group(&self, group: &GroupId) -> Result<(), AccountError> {
        self.ask(GROUP, self.client.groups().leave(group_jid(group)?)).await
    }

    pub async fn join_requests(&self, group: &GroupId) -> Result<Vec<JoinRequest>, AccountError> {
        let asked = Also { spec: GetMembershipRequestsIq::new(&group_jid(group)?), read: phones };
        let (waiting, phones) = self.ask(GROUP, self.client.execute(asked)).await?;
        let mut requests = Vec::with_capacity(waiting.len());
        for request in waiting {
            let person = told_or_known(&self.client, &request.jid, phones.get(&request.jid), None).await;
            requests.push(JoinRequest { person, requested_at: request.request_time });
        }
        Ok(requests)
    }

    pub(super) async fn results(&self, answers: Vec<ParticipantChangeResponse>) -> Vec<MemberResult> {
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            let person = told_or_known(&self.client, &answer.jid, answer.phone_number.as_ref(), None).await;
            let status = answer.error.as_deref().unwrap_or(MemberResult::DONE);
            results.push(MemberResult {
                invite_code: answer.add_request.as_ref().map(|invite| invite.code.clone()),
                invite_expires_at: answer.add_request.as_ref().map(|invite| invite.expiration),
                ..result(person, status)
            });
        }
        results
    }
}

/// A group as the API shows it, its people by every address that is known.
pub(in crate::whatsapp) async fn described(client: &Client, metadata: GroupMetadata) -> Group {
    let mut participants = Vec::with_capacity(metadata.participants.len());
    for one in &metadata.participants {
        let known = told_or_known(client, &one.jid, one.phone_number.as_ref(), one.lid.as_ref()).await;
        participants.push(Member { person: known, role: role(one.participant_type) });
    }
    let owner = match (&metadata.creator, &metadata.creator_pn) {
        (_, Some(phone)) => Some(phone.to_non_ad().to_string()),
        (Some(creator), None) => Some(person(client, creator).await.jid),
        (None, None) => None,
    };
    let listed = u32::try_from(participants.len()).unwrap_or(u32::MAX);
    Group {
        id: metadata.id.to_string(),
        subject: metadata.subject,
        owner,
        participants,
        size: metadata.size.unwrap_or(listed),
        creation: metadata.creation_time,
        description: metadata.description,
        subject_changed_at: metadata.subject_time,
        announce: metadata.is_announcement,
        locked: metadata.is_locked,
        join_approval: metadata.membership_approval,
        ephemeral_seconds: metadata.ephemeral.and_then(|ephemeral| ephemeral.expiration).unwrap_or(0),
        member_add: metadata.member_add_mode.map(|mode| match mode {
            MemberAddMode::AdminAdd => MemberAdds::Admins,
            MemberAddMode::AllMemberAdd => MemberAdds::Everyone,
        }),
        is_community: metadata.is_parent_group,
        community: metadata.parent_group_jid.map(|jid| jid.to_string()),
    }
}

pub(super) fn role(of: ParticipantType) -> Role {
    match of {
        ParticipantType::Member => Role::Member,
        ParticipantType::Admin => Role::Admin,
        ParticipantType::SuperAdmin => Role::Superadmin,
    }
}

fn result(person: Person, status: &str) -> MemberResult {
    MemberResult { person, status: status.to_owned(), invite_code: None, invite_expires_at: None }
}

/// Whether both are one person; two of whom no address is known in common are not.
fn same(a: &Person, b: &Person) -> bool {
    let known = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
    known(&a.phone, &b.phone) || known(&a.lid, &b.lid)
}
