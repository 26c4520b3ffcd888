//! A group as clients read it.

use crate::group::Place;
use crate::world::World;
use anyhow::{Context, Result};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

pub(super) fn description(world: &World, id: &str) -> Result<Node> {
    let group = world.group(id).context("no such group")?;
    let creator = world.account(&group.creator).context("no such creator")?;
    let mut parts = Vec::new();
    for (member, admin) in &group.members {
        let Some(account) = world.account(member) else { continue };
        let mut part =
            NodeBuilder::new("participant").attr("jid", account.lid_jid(0)).attr("phone_number", account.phone_jid(0));
        if *member == group.creator {
            part = part.attr("type", "superadmin");
        } else if *admin {
            part = part.attr("type", "admin");
        }
        parts.push(part.build());
    }
    if let Some((id, text)) = &group.description {
        let body = NodeBuilder::new("body").bytes(text.as_bytes().to_vec()).build();
        parts.push(NodeBuilder::new("description").attr("id", id.clone()).children([body]).build());
    }
    let flags = [(group.locked, "locked"), (group.announce, "announcement")];
    parts.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| NodeBuilder::new(name).build()));
    if group.approval {
        let join = NodeBuilder::new("group_join").attr("state", "on").build();
        parts.push(NodeBuilder::new("membership_approval_mode").children([join]).build());
    }
    if let Some(seconds) = group.ephemeral {
        parts.push(NodeBuilder::new("ephemeral").attr("expiration", seconds).build());
    }
    if let Some(community) = &group.community {
        let parent = NodeBuilder::new("parent");
        parts.push(match community.closed {
            true => parent.attr("default_membership_approval_mode", "request_required").build(),
            false => parent.build(),
        });
        if community.all_make_groups {
            parts.push(NodeBuilder::new("allow_non_admin_sub_group_creation").build());
        }
    }
    if let Some(linked) = &group.linked {
        parts.push(NodeBuilder::new("linked_parent").attr("jid", Jid::group(linked.to.as_str())).build());
        match linked.place {
            Place::Announcements => parts.push(NodeBuilder::new("default_sub_group").build()),
            Place::General => parts.push(NodeBuilder::new("general_chat").build()),
            Place::Other => {}
        }
    }
    let mode = if group.all_add { "all_member_add" } else { "admin_add" };
    parts.push(NodeBuilder::new("member_add_mode").string_content(mode).build());
    Ok(NodeBuilder::new("group")
        .attr("id", group.id.clone())
        .attr("addressing_mode", "lid")
        .attr("creation", group.created)
        .attr("creator", creator.lid_jid(0))
        .attr("creator_pn", creator.phone_jid(0))
        .attr("s_o", creator.lid_jid(0))
        .attr("s_t", group.created)
        .attr("subject", group.subject.clone())
        .attr("size", group.members.len())
        .children(parts)
        .build())
}
