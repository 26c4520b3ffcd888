//! What WhatsApp says and the client library leaves out of its answers: read a second time from the same stanza.

use crate::domain::group::MemberAdds;
use std::collections::HashMap;
use wacore::iq::spec::IqSpec;
use wacore::request::InfoQuery;
use wacore_binary::{Jid, NodeRef};

/// A request of the library's, and what else to read from its answer.
pub(super) struct Also<S, T> {
    pub(super) spec: S,
    pub(super) read: fn(&NodeRef<'_>) -> T,
}

impl<S: IqSpec, T> IqSpec for Also<S, T> {
    type Response = (S::Response, T);

    fn build_iq(&self) -> InfoQuery<'static> {
        self.spec.build_iq()
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Self::Response, anyhow::Error> {
        Ok((self.spec.parse_response(response)?, (self.read)(response)))
    }
}

/// Who may add members, by the id of the group. The library reads it only where it travels as one of the protocol's tokens.
pub(super) fn add_modes(response: &NodeRef<'_>) -> HashMap<String, MemberAdds> {
    let lists = response
        .children()
        .unwrap_or_default()
        .iter()
        .filter(|node| matches!(node.tag.as_ref(), "groups" | "communities"));
    let listed = lists.flat_map(|list| list.children().unwrap_or_default());
    let groups = response.children().unwrap_or_default().iter().chain(listed);
    let groups = groups.filter(|node| matches!(node.tag.as_ref(), "group" | "community"));
    let mode = |group: &NodeRef<'_>| {
        let id = group.attrs().optional_string("id")?;
        let id = id.split('@').next().unwrap_or_default().to_owned();
        let mode = group.get_optional_child("member_add_mode")?.content_as_string()?;
        let adds = if mode == "all_member_add" { MemberAdds::Everyone } else { MemberAdds::Admins };
        Some((id, adds))
    };
    groups.filter_map(mode).collect()
}

/// The phone numbers of those who wait to be let in, by their address.
pub(super) fn phones(response: &NodeRef<'_>) -> HashMap<Jid, Jid> {
    let list = response.get_optional_child("membership_approval_requests");
    let requests = list.into_iter().flat_map(|list| list.children().unwrap_or_default());
    let pair = |request: &NodeRef<'_>| {
        Some((request.attrs().optional_jid("jid")?, request.attrs().optional_jid("phone_number")?))
    };
    requests.filter_map(pair).collect()
}

/// The code and the words with which a privacy setting was refused, in an answer that is no refusal as a whole.
pub(super) fn refused(response: &NodeRef<'_>) -> Option<(u16, String)> {
    let settings = response.get_optional_child("privacy")?.get_children_by_tag("category");
    let mut refused = settings.filter(|one| one.get_attr("value").is_some_and(|value| value.as_str() == "error"));
    let error = refused.next()?.get_optional_child("error");
    let text = |name: &str| Some(error?.get_attr(name)?.as_str().into_owned());
    let code = text("code").and_then(|code| code.parse().ok()).unwrap_or(500);
    Some((code, text("text").unwrap_or_default()))
}

/// Who answers to a phone number, by its digits as they were asked about: WhatsApp repeats the question in its answer, and
/// names the person by the number that it has itself.
pub(super) fn questions(response: &NodeRef<'_>) -> HashMap<String, Jid> {
    let list = response.get_optional_child("usync").and_then(|usync| usync.get_optional_child("list"));
    let users = list.into_iter().flat_map(|list| list.children().unwrap_or_default());
    let pair = |user: &NodeRef<'_>| {
        let asked = user.get_optional_child("contact")?.content_as_string()?;
        Some((asked.chars().filter(char::is_ascii_digit).collect::<String>(), user.attrs().optional_jid("jid")?))
    };
    users.filter_map(pair).filter(|(asked, _)| !asked.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    #[test]
    fn a_setting_that_is_refused_within_an_answer_is_a_refusal() {
        let answer = |value: &'static str, error: Option<(&'static str, &'static str)>| {
            let category = NodeBuilder::new("category").attr("name", "last").attr("value", value);
            let category = match error {
                Some((code, text)) => {
                    category.children([NodeBuilder::new("error").attr("code", code).attr("text", text).build()]).build()
                }
                None => category.build(),
            };
            let privacy = NodeBuilder::new("privacy").children([category]).build();
            refused(&NodeBuilder::new("iq").children([privacy]).build().as_node_ref())
        };
        assert_eq!(answer("contact_blacklist", None), None);
        assert_eq!(answer("error", Some(("409", "conflict"))), Some((409, "conflict".into())));
        assert_eq!(answer("error", None), Some((500, String::new())));
    }

    #[test]
    fn who_may_add_members_is_read_from_one_group_and_from_a_list() {
        let group = |id: &str, mode: &[u8]| {
            let mode = NodeBuilder::new("member_add_mode").bytes(mode.to_vec()).build();
            NodeBuilder::new("group").attr("id", id.to_owned()).children([mode]).build()
        };
        let one = NodeBuilder::new("iq").children([group("1", b"admin_add")]).build();
        let list = NodeBuilder::new("groups").children([group("1", b"admin_add"), group("2@g.us", b"all_member_add")]);
        let list = NodeBuilder::new("iq").children([list.build()]).build();

        assert_eq!(add_modes(&one.as_node_ref()), HashMap::from([("1".into(), MemberAdds::Admins)]));
        let both = HashMap::from([("1".into(), MemberAdds::Admins), ("2".into(), MemberAdds::Everyone)]);
        assert_eq!(add_modes(&list.as_node_ref()), both);
    }
}
