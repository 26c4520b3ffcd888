//! `w:mex`: GraphQL queries that are named by a number. Newsletters are made and read by them, and the groups of a community, whom
//! privacy settings except, and the goods of businesses.
//!
//! The numbers are those of the web client, as whatsapp-rust and Baileys have them; where the two differ, both are taken.

use super::{business, exceptions, groups, newsletters};
use crate::connection::Session;
use crate::node::{attr, body, child, leaf, result};
use crate::world::World;
use serde_json::{Value, json};
use wacore_binary::Node;

/// The field of the answer, and what stands there; or a code and a reason.
pub(super) type Answered = Result<(&'static str, Value), (u16, &'static str)>;

pub(super) const NOT_FOUND: (u16, &str) = (404, "Not Found");
pub(super) const FORBIDDEN: (u16, &str) = (403, "Forbidden");
pub(super) const BAD_REQUEST: (u16, &str) = (400, "Bad Request");

pub(super) fn handle(world: &World, session: &Session, node: &Node) {
    let query = child(node, "query");
    let id = query.map(|query| attr(query, "query_id")).unwrap_or_default();
    let asked: Value = query.and_then(|query| serde_json::from_slice(&body(query)).ok()).unwrap_or_default();
    let answer = match answered(world, session, &id, &asked["variables"]) {
        Some(Ok((field, value))) => json!({ "data": { field: value } }),
        Some(Err((code, reason))) => refused(code, reason),
        None => {
            world.note_unanswered(format!("<iq> xmlns=w:mex query_id={id}"));
            refused(400, "unknown query")
        }
    };
    session.line.send(result(node, vec![leaf("result", answer.to_string().into_bytes())]));
}

fn refused(code: u16, reason: &str) -> Value {
    let extensions = json!({ "error_code": code, "is_summary": false, "is_retryable": false, "severity": "CRITICAL" });
    json!({ "data": null, "errors": [{ "message": reason, "path": [], "extensions": extensions }] })
}

fn answered(world: &World, session: &Session, id: &str, asked: &Value) -> Option<Answered> {
    Some(match id {
        "25149874324715067" | "8823471724422422" => newsletters::create(world, session, asked),
        "25399611239711790" => Ok(newsletters::followed(world, session)),
        "27456920720571478" | "6563316087068696" => newsletters::read(world, session, asked),
        "24404358912487870" => newsletters::follow(world, session, asked, true),
        "9767147403369991" => newsletters::follow(world, session, asked, false),
        "24250201037901610" => newsletters::update(world, session, asked),
        "31938993655691868" => newsletters::set_mute(world, session, asked),
        "29766401636284406" => newsletters::mute(world, session, asked, true),
        "9864994326891137" => newsletters::mute(world, session, asked, false),
        "30062808666639665" => newsletters::delete(world, session, asked),
        "9935467776504344" => groups::sub_groups(world, session, &asked["group_id"]),
        "24079399904996141" => groups::sub_group_sizes(world, session, &asked["input"]["group_jid"]),
        "26806428515612550" => exceptions::read(world, session, asked),
        "9916553288394782" => business::catalog(world, asked),
        _ => return None,
    })
}
