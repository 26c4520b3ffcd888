//! What is posted in a newsletter: given to who follows it, edited, taken back, reacted to, and read again.

use super::jid;
use crate::connection::Session;
use crate::newsletter::{Newsletter, Post};
use crate::node::{attr, attr_jid, body, child, iq_error, message_id, result, summary};
use crate::phone;
use crate::world::World;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// For how long a device is told of reactions as they come.
const LIVE_SECONDS: u64 = 300;
const POSTS_READ_MAX: usize = 300;
/// `edit` of an edited post, of one that is taken back, and of a reaction that is.
const EDITED: &str = "3";
const DELETED: &str = "8";
const REACTION_REMOVED: &str = "7";

/// A `<message>` to a newsletter: answered with the server's id, or a code.
pub(in crate::handlers) fn message(world: &World, session: &Session, node: &Node) -> Result<()> {
    let to = attr_jid(node, "to").context("a message without `to`")?;
    world.count_message();
    let outcome = taken(world, session, node, &to.user);
    let ack = NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", attr(node, "id"))
        .attr("from", to)
        .attr("t", world.now());
    let ack = match outcome {
        Ok(server_id) => ack.attr("server_id", server_id),
        Err(code) => ack.attr("error", code),
    };
    world.deliver_ack(&session.line, &session.account, ack.build());
    Ok(())
}

fn taken(world: &World, session: &Session, node: &Node, newsletter: &str) -> Result<u64, &'static str> {
    let (id, me) = (attr(node, "id"), session.account.number.as_str());
    if attr(node, "type") == "reaction" {
        let server_id = attr(node, "server_id").parse().map_err(|_| "400")?;
        let code = child(node, "reaction").map(|reaction| attr(reaction, "code")).unwrap_or_default();
        let code = if attr(node, "edit") == REACTION_REMOVED { String::new() } else { code };
        return react(world, newsletter, me, &Reaction { server_id, code }).map(|()| server_id);
    }
    let plaintext = child(node, "plaintext");
    let post = Post {
        server_id: 0,
        id: id.clone(),
        at: world.now(),
        kind: attr(node, "type"),
        media: plaintext.map(|part| attr(part, "mediatype")).unwrap_or_default(),
        body: plaintext.map(body).unwrap_or_default(),
        author: me.to_owned(),
        reactions: BTreeMap::new(),
    };
    let sender = Some((me, session.device));
    match attr(node, "edit").as_str() {
        "" => publish(world, newsletter, post, sender),
        edit @ (EDITED | DELETED) => change(world, newsletter, post, edit, sender),
        _ => Err("400"),
    }
}

/// Gives a post to every device and phone of who follows, but the device it came from. One that is there already keeps its
/// id and is not given again.
pub(crate) fn publish(
    world: &World,
    newsletter_id: &str,
    post: Post,
    sender: Option<(&str, u16)>,
) -> Result<u64, &'static str> {
    let (stanza, server_id, followers) = {
        let mut newsletters = world.newsletters();
        let newsletter = newsletters.get_mut(newsletter_id).ok_or("404")?;
        if newsletter.owner != post.author {
            return Err("403");
        }
        if let Some(there) = newsletter.by_id(&post.id) {
            return Ok(there.server_id);
        }
        let server_id = newsletter.post(post);
        let post = newsletter.by_server_id(server_id).ok_or("500")?;
        let stanza = stanza(post, Vec::new()).attr("from", jid(newsletter_id)).build();
        (stanza, server_id, newsletter.followers.keys().cloned().collect::<Vec<_>>())
    };
    deliver(world, &followers, &stanza, sender);
    Ok(server_id)
}

/// Who posted it edits it or takes it back.
fn change(
    world: &World,
    newsletter: &str,
    new: Post,
    edit: &str,
    sender: Option<(&str, u16)>,
) -> Result<u64, &'static str> {
    let (stanza, server_id, followers) = {
        let mut newsletters = world.newsletters();
        let newsletter = newsletters.get_mut(newsletter).ok_or("404")?;
        if newsletter.owner != new.author {
            return Err("403");
        }
        let from = jid(&newsletter.id);
        let post = newsletter.by_id(&new.id).ok_or("404")?;
        let changed = post.body != new.body;
        post.body = new.body;
        let meta =
            NodeBuilder::new("meta").attr("msg_edit_t", world.clock.now_ms()).attr("original_msg_t", post.at).build();
        if !changed {
            return Ok(post.server_id);
        }
        let stanza = stanza(post, vec![meta]).attr("from", from).attr("edit", edit.to_owned()).build();
        (stanza, post.server_id, newsletter.followers.keys().cloned().collect::<Vec<_>>())
    };
    deliver(world, &followers, &stanza, sender);
    Ok(server_id)
}

fn deliver(world: &World, followers: &[String], stanza: &Node, sender: Option<(&str, u16)>) {
    for follower in followers.iter().filter_map(|number| world.account(number)) {
        let but = sender.filter(|(number, _)| *number == follower.number).map(|(_, device)| device);
        world.deliver_to_all(&follower, but, stanza);
        if but.is_none() {
            phone::see_post(world, &follower, stanza);
        }
    }
}

/// A post as it travels, and as it is read again, with what is said of it.
fn stanza(post: &Post, mut about: Vec<Node>) -> NodeBuilder {
    let mut plaintext = NodeBuilder::new("plaintext");
    if !post.media.is_empty() {
        plaintext = plaintext.attr("mediatype", post.media.clone());
    }
    about.insert(0, plaintext.bytes(post.body.clone()).build());
    NodeBuilder::new("message")
        .attr("id", post.id.clone())
        .attr("server_id", post.server_id)
        .attr("t", post.at)
        .attr("type", post.kind.clone())
        .children(about)
}

/// What somebody thinks of a post; without a code the reaction is taken back.
pub(crate) struct Reaction {
    pub(crate) server_id: u64,
    pub(crate) code: String,
}

/// Who asked for live updates is told the new counts.
pub(crate) fn react(world: &World, id: &str, number: &str, reaction: &Reaction) -> Result<(), &'static str> {
    let now = world.now();
    let (news, watchers) = {
        let mut newsletters = world.newsletters();
        let newsletter = newsletters.get_mut(id).ok_or("404")?;
        if !newsletter.followers.contains_key(number) {
            return Err("403");
        }
        newsletter.watchers.retain(|_, until| *until > now);
        let watchers: Vec<(String, u16)> = newsletter.watchers.keys().cloned().collect();
        let post = newsletter.by_server_id(reaction.server_id).ok_or("404")?;
        if reaction.code.is_empty() {
            post.reactions.remove(number);
        } else {
            post.reactions.insert(number.to_owned(), reaction.code.clone());
        }
        let message = NodeBuilder::new("message").attr("server_id", post.server_id).attr("id", post.id.clone());
        (message.attr("t", post.at).children([counts(post)]).build(), watchers)
    };
    let messages = NodeBuilder::new("messages").attr("jid", jid(id)).attr("t", now).children([news]).build();
    let notification = NodeBuilder::new("notification")
        .attr("from", jid(id))
        .attr("type", "newsletter")
        .attr("id", message_id())
        .attr("t", now)
        .children([NodeBuilder::new("live_updates").children([messages]).build()])
        .build();
    for (number, device) in watchers {
        if let Some(watcher) = world.account(&number) {
            world.deliver(&watcher, device, notification.clone());
        }
    }
    Ok(())
}

fn counts(post: &Post) -> Node {
    let counts = post
        .counts()
        .into_iter()
        .map(|(code, count)| NodeBuilder::new("reaction").attr("code", code.to_owned()).attr("count", count).build());
    NodeBuilder::new("reactions").children(counts.collect::<Vec<_>>()).build()
}

/// An `<iq>` to a newsletter: its posts, or live updates.
pub(in crate::handlers) fn request(world: &World, session: &Session, node: &Node, first: &str) {
    let id = attr_jid(node, "to").map(|jid| jid.user.to_string()).unwrap_or_default();
    let (me, now) = (&session.account.number, world.now());
    let answered = |content: Node| result(node, vec![content]);
    let answer = match (world.newsletters().get_mut(&id), first, child(node, first)) {
        (None, _, _) => iq_error(node, 404, "item-not-found"),
        (Some(newsletter), "messages", Some(asked)) => answered(page(newsletter, me, asked, now)),
        // The same, as Baileys asks for it.
        (Some(newsletter), "message_updates", Some(asked)) => {
            let page = page(newsletter, me, asked, now);
            answered(NodeBuilder::new("message_updates").children([page]).build())
        }
        (Some(newsletter), "live_updates", _) => {
            newsletter.watchers.insert((me.clone(), session.device), now + LIVE_SECONDS);
            answered(NodeBuilder::new("live_updates").attr("duration", LIVE_SECONDS).build())
        }
        _ => iq_error(node, 501, "feature-not-implemented"),
    };
    if !matches!(first, "messages" | "message_updates" | "live_updates") {
        world.note_unanswered(summary(node));
    }
    session.line.send(answer);
}

/// The newest posts before one, the oldest of them first. One that was taken back is not there.
fn page(newsletter: &Newsletter, viewer: &str, asked: &Node, now: u64) -> Node {
    let number = |name: &str| attr(asked, name).parse::<u64>().ok();
    let (before, after) = (number("before").unwrap_or(u64::MAX), number("after").unwrap_or(0));
    let count = number("count").and_then(|count| usize::try_from(count).ok()).unwrap_or(0).min(POSTS_READ_MAX);
    let fits = |post: &&Post| post.server_id < before && post.server_id > after && !post.body.is_empty();
    let posts = newsletter.posts.iter().rev().filter(fits).take(count);
    let mut found: Vec<Node> = posts.map(|post| read(newsletter, viewer, post)).collect();
    found.reverse();
    NodeBuilder::new("messages").attr("jid", jid(&newsletter.id)).attr("t", now).children(found).build()
}

fn read(newsletter: &Newsletter, viewer: &str, post: &Post) -> Node {
    let views = NodeBuilder::new("views_count").attr("count", newsletter.subscribers()).build();
    let stanza = stanza(post, vec![views, counts(post)]);
    if post.author == viewer { stanza.attr("is_sender", "true").build() } else { stanza.build() }
}
