//! Newsletters: made, read, followed and changed by queries (`mex`), written to and read by stanzas (`posts`).
//!
//! Whatever becomes of one, the other devices of who did it are told; a change of what it shows is told to who follows.

mod posts;

pub(crate) use posts::{Reaction, publish, react};
pub(super) use posts::{message, request};

use super::mex::{Answered, BAD_REQUEST, FORBIDDEN, NOT_FOUND};
use crate::account::Account;
use crate::connection::Session;
use crate::handlers::{PICTURE_BYTES_MAX, Picture};
use crate::newsletter::Newsletter;
use crate::node::{message_id, server_jid};
use crate::world::World;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;

fn jid(id: &str) -> Jid {
    Jid::newsletter(id)
}

/// The newsletter that a query names.
fn named(asked: &Value) -> String {
    let text = asked["newsletter_id"].as_str().unwrap_or_default();
    text.strip_suffix("@newsletter").unwrap_or(text).to_owned()
}

/// Makes one; returns its id.
pub(crate) fn make(world: &World, owner: &str, name: &str, description: &str) -> String {
    let id = format!("1203634{:011}", rand::random::<u32>());
    let new = Newsletter::new(&id, name, description, owner, world.now());
    world.newsletters().insert(id.clone(), new);
    id
}

pub(super) fn create(world: &World, session: &Session, asked: &Value) -> Answered {
    let input = &asked["input"];
    let name = input["name"].as_str().filter(|name| !name.is_empty()).ok_or(BAD_REQUEST)?;
    let picture = picture(world, &input["picture"])?;
    let me = session.account.number.as_str();
    let id = make(world, me, name, input["description"].as_str().unwrap_or_default());
    if let (Some(picture), Some(newsletter)) = (picture, world.newsletters().get_mut(&id)) {
        newsletter.picture = picture;
    }
    let made = shown(world, &id, me)?;
    tell_own(world, session, "NotificationNewsletterJoin", &json!({ "xwa2_notify_newsletter_on_join": made }));
    Ok(("xwa2_newsletter_create", made))
}

pub(super) fn followed(world: &World, session: &Session) -> (&'static str, Value) {
    let me = session.account.number.as_str();
    let newsletters = world.newsletters();
    let mine = newsletters.values().filter(|newsletter| newsletter.followers.contains_key(me));
    ("xwa2_newsletter_subscribed", mine.map(|newsletter| described(newsletter, me)).collect())
}

/// By its id or by its link.
pub(super) fn read(world: &World, session: &Session, asked: &Value) -> Answered {
    let input = &asked["input"];
    let key = input["key"].as_str().unwrap_or_default();
    let me = session.account.number.as_str();
    let newsletters = world.newsletters();
    let found = match input["type"].as_str() {
        Some("INVITE") => newsletters.values().find(|newsletter| newsletter.invite == key),
        _ => newsletters.get(key.strip_suffix("@newsletter").unwrap_or(key)),
    };
    Ok(("xwa2_newsletter", described(found.ok_or(NOT_FOUND)?, me)))
}

/// Whether it is followed from now on; false when it is not there, or when its owner would leave it.
pub(crate) fn set_following(world: &World, id: &str, number: &str, follows: bool) -> bool {
    let mut newsletters = world.newsletters();
    let Some(newsletter) = newsletters.get_mut(id) else { return false };
    if follows {
        newsletter.followers.entry(number.to_owned()).or_insert(false);
    } else if newsletter.owner != number {
        newsletter.followers.remove(number);
    } else {
        return false;
    }
    true
}

pub(super) fn follow(world: &World, session: &Session, asked: &Value, follows: bool) -> Answered {
    let (id, me) = (named(asked), session.account.number.as_str());
    if !world.newsletters().contains_key(&id) {
        return Err(NOT_FOUND);
    }
    if !set_following(world, &id, me, follows) {
        return Err(FORBIDDEN);
    }
    let state = json!({ "id": jid(&id).to_string(), "state": { "type": "ACTIVE" } });
    if follows {
        let data = json!({ "xwa2_notify_newsletter_on_join": shown(world, &id, me)? });
        tell_own(world, session, "NotificationNewsletterJoin", &data);
        Ok(("xwa2_newsletter_join_v2", state))
    } else {
        let data = json!({ "xwa2_notify_newsletter_on_leave": { "id": jid(&id).to_string(), "role": "GUEST" } });
        tell_own(world, session, "NotificationNewsletterLeave", &data);
        Ok(("xwa2_newsletter_leave_v2", state))
    }
}

pub(super) fn update(world: &World, session: &Session, asked: &Value) -> Answered {
    let (id, me, updates) = (named(asked), session.account.number.as_str(), &asked["updates"]);
    owned(world, &id, me)?;
    let picture = picture(world, &updates["picture"])?;
    {
        let mut newsletters = world.newsletters();
        let newsletter = newsletters.get_mut(&id).ok_or(NOT_FOUND)?;
        if let Some(name) = updates["name"].as_str() {
            name.clone_into(&mut newsletter.name);
        }
        if let Some(description) = updates["description"].as_str() {
            description.clone_into(&mut newsletter.description);
        }
        if let Some(picture) = picture {
            newsletter.picture = picture;
        }
    }
    let all = shown(world, &id, me)?;
    let mut changed = json!({});
    for part in ["name", "description", "picture"] {
        if updates[part].is_string() {
            changed[part] = all["thread_metadata"][part].clone();
        }
    }
    let data = json!({ "id": jid(&id).to_string(), "thread_metadata": changed });
    let data = json!({ "xwa2_notify_newsletter_on_metadata_update": data });
    tell_followers(world, session, &id, "NotificationNewsletterUpdate", &data);
    Ok(("xwa2_newsletter_update", all))
}

/// As whatsapp-rust asks for it.
pub(super) fn set_mute(world: &World, session: &Session, asked: &Value) -> Answered {
    let input = &asked["input"];
    let muted = input["value"].as_str() == Some("ON");
    let (_, answer) = mute(world, session, input, muted)?;
    Ok(("xwa2_newsletter_update_user_setting", answer))
}

/// As Baileys asks for it.
pub(super) fn mute(world: &World, session: &Session, asked: &Value, muted: bool) -> Answered {
    let (id, me) = (named(asked), session.account.number.as_str());
    match world.newsletters().get_mut(&id).ok_or(NOT_FOUND)?.followers.get_mut(me) {
        Some(mine) => *mine = muted,
        None => return Err(FORBIDDEN),
    }
    let data = json!({ "id": jid(&id).to_string(), "mute": on_off(muted) });
    let data = json!({ "xwa2_notify_newsletter_on_mute_change": data });
    tell_own(world, session, "NotificationNewsletterUserSettingChange", &data);
    let field = if muted { "xwa2_newsletter_mute_v2" } else { "xwa2_newsletter_unmute_v2" };
    Ok((field, json!({ "id": jid(&id).to_string(), "state": { "type": "ACTIVE" } })))
}

pub(super) fn delete(world: &World, session: &Session, asked: &Value) -> Answered {
    let (id, me) = (named(asked), session.account.number.as_str());
    owned(world, &id, me)?;
    let state = json!({ "id": jid(&id).to_string(), "state": { "type": "DELETED" } });
    let data = json!({ "xwa2_notify_newsletter_on_state_change": state });
    tell_followers(world, session, &id, "NotificationNewsletterStateChange", &data);
    world.newsletters().remove(&id);
    Ok(("xwa2_newsletter_delete_v2", state))
}

fn owned(world: &World, id: &str, me: &str) -> Result<(), (u16, &'static str)> {
    let newsletters = world.newsletters();
    if newsletters.get(id).ok_or(NOT_FOUND)?.owner == me { Ok(()) } else { Err(FORBIDDEN) }
}

/// What a request says of the picture: nothing, a new one, or with an empty text none any more.
fn picture(world: &World, given: &Value) -> Result<Option<Option<Picture>>, (u16, &'static str)> {
    let Some(text) = given.as_str() else { return Ok(None) };
    if text.is_empty() {
        return Ok(Some(None));
    }
    let bytes = BASE64.decode(text).map_err(|_| BAD_REQUEST)?;
    let id = format!("{}", rand::random::<u32>());
    let path = format!("/v/picture/{id}");
    if bytes.len() > PICTURE_BYTES_MAX || !world.keep_file(path.clone(), bytes.into()) {
        return Err(BAD_REQUEST);
    }
    Ok(Some(Some(Picture { id, path })))
}

fn shown(world: &World, id: &str, viewer: &str) -> Result<Value, (u16, &'static str)> {
    Ok(described(world.newsletters().get(id).ok_or(NOT_FOUND)?, viewer))
}

fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// A newsletter as `viewer` reads it.
fn described(newsletter: &Newsletter, viewer: &str) -> Value {
    let created = newsletter.created.to_string();
    let text = |text: &str| json!({ "id": created, "text": text, "update_time": created });
    let picture = |kind: &str| {
        let picture = newsletter.picture.as_ref();
        json!({ "id": picture.map(|one| &one.id), "type": kind, "direct_path": picture.map(|one| &one.path) })
    };
    let muted = newsletter.followers.get(viewer).copied();
    let role = match muted {
        _ if newsletter.owner == viewer => "OWNER",
        Some(_) => "SUBSCRIBER",
        None => "GUEST",
    };
    let mute = on_off(muted.unwrap_or(false));
    json!({
        "id": jid(&newsletter.id).to_string(),
        "state": { "type": "ACTIVE" },
        "thread_metadata": {
            "creation_time": created,
            "name": text(&newsletter.name),
            "description": text(&newsletter.description),
            "handle": null,
            "invite": newsletter.invite,
            "picture": picture("IMAGE"),
            "preview": picture("PREVIEW"),
            "settings": { "reaction_codes": { "value": "ALL" } },
            "subscribers_count": newsletter.subscribers().to_string(),
            "verification": "UNVERIFIED",
        },
        "viewer_metadata": {
            "mute": mute,
            "role": role,
            "settings": [{ "type": "MUTE_FOLLOWER_ACTIVITY", "value": mute }],
        },
    })
}

fn tell_own(world: &World, session: &Session, operation: &str, data: &Value) {
    tell(world, &session.account, Some(session.device), operation, data);
}

fn tell_followers(world: &World, session: &Session, id: &str, operation: &str, data: &Value) {
    let followers: Vec<String> = match world.newsletters().get(id) {
        Some(newsletter) => newsletter.followers.keys().cloned().collect(),
        None => return,
    };
    for follower in followers.iter().filter_map(|number| world.account(number)) {
        let but = (follower.number == session.account.number).then_some(session.device);
        tell(world, &follower, but, operation, data);
    }
}

fn tell(world: &World, account: &Account, but: Option<u16>, operation: &str, data: &Value) {
    let update = NodeBuilder::new("update").attr("op_name", operation.to_owned());
    let update = update.bytes(json!({ "data": data }).to_string().into_bytes()).build();
    let notification = NodeBuilder::new("notification")
        .attr("from", server_jid())
        .attr("type", "mex")
        .attr("id", message_id())
        .attr("t", world.now())
        .children([update])
        .build();
    world.deliver_to_all(account, but, &notification);
}
