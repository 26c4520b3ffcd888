//! Communities of an account: groups that other groups are part of.

use super::mex::{number, words};
use super::{Account, AccountError, Group, Member, MemberResult, group_jid, person_jids, told_or_known};
use crate::domain::jid::{GroupId, PersonId};
use crate::whatsapp::account::groups::{described, role};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wacore::iq::mex_operations::{fetch_all_subgroups, query_subgroup_participant_count};
use wacore_binary::Jid;
use whatsapp_rust::features::{CreateCommunityOptions, GroupDescription, PreviousDescription};

const COMMUNITY: &str = "community";
const GROUP: &str = "group";
const QUERIED: &str = "xwa2_group_query_by_id";

/// A community, and the groups that are part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Community {
    #[serde(flatten)]
    pub group: Group,
    pub groups: Vec<SubGroup>,
}

/// A group as its community lists it, also to who is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SubGroup {
    pub id: String,
    pub subject: String,
    /// Members, where WhatsApp tells.
    pub size: Option<u64>,
    /// Where the admins tell everybody something. It comes and goes with the community.
    pub announcements: bool,
    /// The general chat.
    pub general: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SubGroupSize {
    pub id: String,
    pub size: u64,
}

/// What became of one group in a request about several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkResult {
    pub id: String,
    /// WhatsApp's code: `200` is done, `403` not an admin there, `404` no such group or none of this community, `409` part of
    /// a community already.
    pub status: String,
}

/// A community to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommunity {
    pub subject: String,
    pub description: Option<String>,
    /// Who comes waits for an admin.
    pub join_approval: bool,
    /// Members who are no admins may make groups in it.
    pub members_create_groups: bool,
    pub general_chat: bool,
}

impl Account {
    /// A description that WhatsApp does not take is left out; the community is made all the same.
    pub async fn create_community(&self, new: &NewCommunity) -> Result<Group, AccountError> {
        let mut options = CreateCommunityOptions::new(new.subject.as_str());
        options.closed = new.join_approval;
        options.allow_non_admin_sub_group_creation = new.members_create_groups;
        options.create_general_chat = new.general_chat;
        let mut made = self.ask(COMMUNITY, self.client.community().create(options)).await?.metadata;
        if let Some(text) = &new.description {
            let text = GroupDescription::new(text).map_err(|error| AccountError::Unfit(error.to_string()))?;
            let shown = text.as_str().to_owned();
            let groups = self.client.groups();
            match self.ask(COMMUNITY, groups.set_description(&made.id, Some(text), PreviousDescription::Absent)).await {
                Ok(()) => made.description = Some(shown),
                Err(error) => tracing::warn!(%error, "the description of a new community was not set"),
            }
        }
        Ok(described(&self.client, made).await)
    }

    /// By subject.
    pub async fn communities(&self) -> Result<Vec<Group>, AccountError> {
        let found = self.ask(COMMUNITY, self.client.community().get_participating()).await?;
        let mut communities = Vec::with_capacity(found.len());
        for metadata in found.into_values() {
            communities.push(described(&self.client, metadata).await);
        }
        communities.sort_by(|a, b| (&a.subject, &a.id).cmp(&(&b.subject, &b.id)));
        Ok(communities)
    }

    pub async fn community(&self, community: &GroupId) -> Result<Community, AccountError> {
        let group = self.group(community).await.map_err(|error| error.about(COMMUNITY))?;
        if !group.is_community {
            return Err(AccountError::NotFound(COMMUNITY));
        }
        let asked = fetch_all_subgroups::Variables { group_id: Some(community.to_string()), ..Default::default() };
        let doc = (fetch_all_subgroups::NAME, fetch_all_subgroups::DOC_ID);
        let answer = self.query(COMMUNITY, QUERIED, doc, asked).await?;
        Ok(Community { group, groups: sub_groups(&answer) })
    }

    pub async fn sub_group_sizes(&self, community: &GroupId) -> Result<Vec<SubGroupSize>, AccountError> {
        use query_subgroup_participant_count::{DOC_ID, Input, NAME, Variables};
        let input = Input { group_jid: Some(community.to_string()), ..Default::default() };
        let answer = self.query(COMMUNITY, QUERIED, (NAME, DOC_ID), Variables { input: Some(input) }).await?;
        let one = |node: &Value| Some(SubGroupSize { id: words(&node["id"])?, size: size(node)? });
        let mut sizes: Vec<SubGroupSize> = edges(&answer).filter_map(one).collect();
        sizes.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(sizes)
    }

    pub async fn link_groups(&self, community: &GroupId, groups: &[GroupId]) -> Result<Vec<LinkResult>, AccountError> {
        let (community, groups) = (group_jid(community)?, group_jids(groups)?);
        let done = self.ask(COMMUNITY, self.client.community().link_subgroups(community, &groups)).await?;
        Ok(results(done.linked_jids, done.failed_groups))
    }

    /// `orphans_go` sends away from the community who belongs to no other group of it.
    pub async fn unlink_groups(
        &self,
        community: &GroupId,
        groups: &[GroupId],
        orphans_go: bool,
    ) -> Result<Vec<LinkResult>, AccountError> {
        let (community, groups) = (group_jid(community)?, group_jids(groups)?);
        let communities = self.client.community();
        let done = self.ask(COMMUNITY, communities.unlink_subgroups(community, &groups, orphans_go)).await?;
        Ok(results(done.unlinked_jids, done.failed_groups))
    }

    /// A group of a community, also one that the account is not in.
    pub async fn linked_group(&self, community: &GroupId, group: &GroupId) -> Result<Group, AccountError> {
        let (community, group) = (group_jid(community)?, group_jid(group)?);
        let found = self.ask(GROUP, self.client.community().query_linked_group(community, group)).await?;
        Ok(described(&self.client, found).await)
    }

    pub async fn join_linked_group(&self, community: &GroupId, group: &GroupId) -> Result<Group, AccountError> {
        let (community, group) = (group_jid(community)?, group_jid(group)?);
        let joined = self.ask(GROUP, self.client.community().join_subgroup(community, group)).await?;
        Ok(described(&self.client, joined).await)
    }

    /// Everybody who is in a group of the community.
    pub async fn community_members(&self, community: &GroupId) -> Result<Vec<Member>, AccountError> {
        let communities = self.client.community();
        let found = self.ask(COMMUNITY, communities.get_linked_groups_participants(group_jid(community)?)).await?;
        let mut members = Vec::with_capacity(found.len());
        for one in found {
            let known = told_or_known(&self.client, &one.jid, one.phone_number.as_ref(), one.lid.as_ref()).await;
            members.push(Member { person: known, role: role(one.participant_type) });
        }
        Ok(members)
    }

    /// From the community and from all of its groups.
    pub async fn remove_from_community(
        &self,
        community: &GroupId,
        people: &[PersonId],
    ) -> Result<Vec<MemberResult>, AccountError> {
        let (community, people) = (group_jid(community)?, person_jids(people)?);
        let answers = self.ask(COMMUNITY, self.client.community().remove_participants(community, &people)).await?;
        Ok(self.results(answers).await)
    }

    /// Ends it; its groups go on by themselves.
    pub async fn deactivate_community(&self, community: &GroupId) -> Result<(), AccountError> {
        self.ask(COMMUNITY, self.client.community().deactivate(group_jid(community)?)).await
    }
}

fn group_jids(groups: &[GroupId]) -> Result<Vec<Jid>, AccountError> {
    groups.iter().map(group_jid).collect()
}

fn results(done: Vec<Jid>, failed: Vec<(Jid, u32)>) -> Vec<LinkResult> {
    let done = done.into_iter().map(|jid| (jid, 200));
    let all = done.chain(failed);
    all.map(|(jid, code)| LinkResult { id: jid.to_string(), status: code.to_string() }).collect()
}

fn edges(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["sub_groups"]["edges"].as_array().into_iter().flatten().map(|edge| &edge["node"])
}

fn size(node: &Value) -> Option<u64> {
    number(&node["total_participants_count"]).or_else(|| number(&node["participants_count"]))
}

/// The announcements first, as phones show them.
fn sub_groups(answer: &Value) -> Vec<SubGroup> {
    let one = |node: &Value, announcements: bool| {
        let subject = &node["subject"];
        Some(SubGroup {
            id: words(&node["id"])?,
            subject: words(subject).or_else(|| words(&subject["value"])).unwrap_or_default(),
            size: size(node),
            announcements,
            general: is_true(&node["properties"]["general_chat"]),
        })
    };
    let default = one(&answer["default_sub_group"], true);
    let others = edges(answer).filter_map(|node| one(node, false));
    let others = others.filter(|other| default.as_ref().is_none_or(|default| default.id != other.id));
    default.iter().cloned().chain(others).collect()
}

/// WhatsApp writes it as a word or as a truth.
fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| matches!(value.as_str(), Some("1" | "true")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_groups_of_a_community_are_read_in_every_form_that_whatsapp_has() {
        let answer = json!({
            "default_sub_group": { "id": "1@g.us", "subject": { "value": "Shop" } },
            "sub_groups": { "edges": [
                { "node": { "id": "1@g.us", "subject": "Shop" } },
                { "node": { "id": "2@g.us", "subject": "General", "total_participants_count": 7,
                            "properties": { "general_chat": "1" } } },
                { "node": { "id": "3@g.us", "subject": { "value": "Order 42" }, "participants_count": "3" } },
                { "node": {} },
            ] },
        });
        let sub = |id: &str, subject: &str, size, announcements, general| SubGroup {
            id: id.into(),
            subject: subject.into(),
            size,
            announcements,
            general,
        };
        assert_eq!(
            sub_groups(&answer),
            [
                sub("1@g.us", "Shop", None, true, false),
                sub("2@g.us", "General", Some(7), false, true),
                sub("3@g.us", "Order 42", Some(3), false, false),
            ]
        );
        assert_eq!(sub_groups(&json!({})), []);
    }

    #[test]
    fn each_group_has_a_result_of_its_own() {
        let results = results(vec![Jid::group("1")], vec![(Jid::group("2"), 404)]);
        let of = |id: &str, status: &str| LinkResult { id: id.into(), status: status.into() };
        assert_eq!(results, [of("1@g.us", "200"), of("2@g.us", "404")]);
    }
}
