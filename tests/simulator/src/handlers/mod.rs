//! What the server answers, one file per stanza family. Every stanza gets its answer; one without a handler is listed.

mod app_state;
pub(crate) use app_state::tell_of_patch;
mod business;
pub(crate) use business::Business;
mod call;
pub(crate) use call::{Call, end as end_call, offer as offer_call};
mod devices;
pub(crate) use devices::{changed as devices_changed, moved as number_moved, renewed as identity_renewed, take_bundle};
mod exceptions;
mod groups;
pub(crate) use groups::{Joined, create as create_group, end as end_group, join as join_group, leave as leave_group};
mod keys;
pub(crate) use keys::bundle_parts;
pub(crate) mod message;
mod mex;
mod newsletters;
pub(crate) use newsletters::{
    Reaction, make as make_newsletter, publish, react, set_following as set_newsletter_following,
};
mod pairing;
mod picture;
pub(crate) use picture::{PICTURE_BYTES_MAX, Picture, change as change_picture};
mod presence;
pub(crate) use presence::{Presence, change as change_presence};
mod receipt;
mod session;
pub(crate) use session::MEDIA_HOST;
mod settings;
pub(crate) use settings::PRIVACY_CATEGORIES;
mod usync;

use crate::connection::{Session, Who};
use crate::line::Line;
use crate::node::{attr, attr_jid, children, iq_error, summary};
use crate::world::World;
use anyhow::Result;
use wacore_binary::{Node, Server};

pub(crate) async fn handle(world: &World, who: &Who, line: &Line, node: &Node) -> Result<()> {
    let Who::Device(session) = who else {
        return pairing::handle(world, who, line, node);
    };
    match node.tag.as_ref() {
        "iq" => return iq(world, session, node).await,
        "message" if attr_jid(node, "to").is_some_and(|to| to.server == Server::Newsletter) => {
            return newsletters::message(world, session, node);
        }
        "message" => return message::handle(world, session, node).await,
        "receipt" => return receipt::handle(world, session, node).await,
        "ack" => {
            if let Some(companion) = session.account.state().companions.get_mut(&session.device) {
                companion.unacknowledged.confirm(&attr(node, "id"));
            }
        }
        "ib" => session::info(world, session, node),
        "presence" | "chatstate" => presence::handle(world, session, node),
        "call" => call::handle(world, session, node),
        _ => world.note_unanswered(summary(node)),
    }
    Ok(())
}

async fn iq(world: &World, session: &Session, node: &Node) -> Result<()> {
    if matches!(attr(node, "type").as_str(), "result" | "error") {
        return Ok(());
    }
    let first = children(node).first().map(|child| child.tag.to_string()).unwrap_or_default();
    match attr(node, "xmlns").as_str() {
        "encrypt" => return keys::handle(world, session, node, &first).await,
        "usync" => return usync::handle(world, session, node),
        "w:sync:app:state" => return app_state::handle(world, session, node),
        "w:g2" => return groups::handle(world, session, node, &first),
        "w:mex" => mex::handle(world, session, node),
        "newsletter" => newsletters::request(world, session, node, &first),
        "passive" | "w:p" | "urn:xmpp:ping" | "md" | "abt" | "w:m" | "urn:xmpp:whatsapp:dirty" | "w:stats" => {
            return session::handle(world, session, node, &first).await;
        }
        "privacy" | "blocklist" | "status" | "disappearing_mode" => {
            settings::handle(world, session, node, &first);
        }
        "w:biz" if first == "business_profile" => business::handle(world, session, node),
        "w:profile:picture" => picture::handle(world, session, node),
        _ => {
            world.note_unanswered(summary(node));
            session.line.send(iq_error(node, 501, "feature-not-implemented"));
        }
    }
    Ok(())
}
