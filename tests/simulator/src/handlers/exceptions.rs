//! Whom a privacy setting excepts: a list with a word for how it is, which a change has to name.

use super::mex::{Answered, BAD_REQUEST, FORBIDDEN};
use crate::connection::Session;
use crate::node::{attr, attr_jid, children};
use crate::world::World;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

/// What a query calls the settings that have such a list, and their names.
const CATEGORIES: [(&str, &str); 4] =
    [("LAST", "last"), ("GROUPADD", "groupadd"), ("ABOUT", "status"), ("PROFILE", "profile")];
/// An empty list.
const NONE: &str = "none";

/// The word for a list of lids.
fn dhash(list: &[String]) -> String {
    if list.is_empty() { NONE.to_owned() } else { hex::encode(&Sha256::digest(list.join(",").as_bytes())[..8]) }
}

/// Changes the list of one setting, when the change is to the list as it is. Otherwise the code and words of the refusal.
pub(super) fn change(lists: &mut Vec<String>, category: &Node) -> Result<(), (u16, &'static str)> {
    if !CATEGORIES.iter().any(|(_, name)| *name == attr(category, "name")) {
        return Err((400, "bad-request"));
    }
    if attr(category, "dhash") != dhash(lists) {
        return Err((409, "conflict"));
    }
    for user in children(category) {
        let jid = attr_jid(user, "jid").filter(|jid| jid.server == Server::Lid).ok_or((400, "bad-request"))?;
        let jid = jid.to_non_ad().to_string();
        lists.retain(|listed| *listed != jid);
        if attr(user, "action") == "add" {
            lists.push(jid);
        }
    }
    Ok(())
}

/// A setting as an answer to its change names it.
pub(super) fn answer(category: &Node, list: &[String], outcome: Result<(), (u16, &'static str)>) -> Node {
    let node = NodeBuilder::new("category").attr("name", attr(category, "name"));
    match outcome {
        Ok(()) => node.attr("value", attr(category, "value")).attr("dhash", dhash(list)).build(),
        Err((code, text)) => {
            let error = NodeBuilder::new("error").attr("code", code).attr("text", text).build();
            node.attr("value", "error").children([error]).build()
        }
    }
}

/// Of the account that asks. Who names the list as it is gets nothing.
pub(super) fn read(world: &World, session: &Session, asked: &Value) -> Answered {
    let asked = asked["input"]["query_input"].as_array().and_then(|all| all.first()).ok_or(BAD_REQUEST)?;
    let of: Jid = asked["jid"].as_str().and_then(|jid| jid.parse().ok()).ok_or(BAD_REQUEST)?;
    if world.resolve(&of).is_none_or(|(account, _)| account.number != session.account.number) {
        return Err(FORBIDDEN);
    }
    let which = &asked["privacy_contact_list_type"];
    let setting = CATEGORIES.iter().find(|(category, _)| which["category"] == *category);
    let (_, setting) = setting.filter(|_| which["type"] == "DENYLIST").ok_or(BAD_REQUEST)?;
    let list = session.account.state().exceptions.get(*setting).cloned().unwrap_or_default();
    let word = dhash(&list);
    let contact = |lid: &String| {
        let phone = lid.parse().ok().and_then(|jid: Jid| world.resolve(&jid)).map(|(account, _)| account.phone_jid(0));
        json!({ "jid": lid, "pn_jid": phone.map(|jid| jid.to_string()), "username_info": null })
    };
    let contacts: Vec<Value> = if which["dhash"] == *word { Vec::new() } else { list.iter().map(contact).collect() };
    let list = if list.is_empty() { Value::Null } else { json!({ "contacts": contacts, "dhash": word }) };
    Ok((
        "xwa2_fetch_wa_users",
        json!([{ "__typename": "XWA2User", "id": of.to_string(), "privacy_contact_list": list }]),
    ))
}
