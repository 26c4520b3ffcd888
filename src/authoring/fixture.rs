//! Fixtures: what happens to a plugin, one step after another, and what must come of it. `tests/*.json` of a project; the
//! format is described for authors in `docs/plugins.md`.
//!
//! This file reads them, fills in what a short form leaves out, and compares. It runs nothing.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Bytes of a fixture; a larger one is refused.
pub const FIXTURE_BYTES_MAX: usize = 4 << 20;

/// The tenant, device and moment of events and messages that say none: 2026-01-01 00:00:00 UTC.
pub const TENANT: &str = "acme";
pub const DEVICE: &str = "support";
pub const NOW_MS: u64 = 1_767_225_600_000;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Fixture {
    /// For people; the file's name otherwise.
    #[serde(default)]
    pub name: Option<String>,
    /// For `lifecycle.init`.
    #[serde(default = "empty")]
    pub config: Value,
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Before the first step. What a step writes is there for the next.
    #[serde(default)]
    pub kv: BTreeMap<String, Bytes>,
    /// Bytes of media by handle.
    #[serde(default)]
    pub media: BTreeMap<String, Bytes>,
    /// What `http.fetch` gets, in order. A fetch beyond them is a network error.
    #[serde(default)]
    pub http: Vec<Exchange>,
    /// What the configuration comes to, when it is not "fine".
    #[serde(default)]
    pub init: Option<Expected>,
    pub steps: Vec<Step>,
}

/// Text, or bytes as `{"base64": "..."}`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    Text(String),
    Base64(Base64),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base64 {
    #[serde(deserialize_with = "base64")]
    pub base64: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Exchange {
    /// What the request must be; compared on the fields that are given: method, url, headers, body.
    #[serde(default = "empty")]
    pub request: Value,
    pub response: Response,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Response {
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<Bytes>,
}

/// One call: exactly one of the four hooks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "WrittenStep")]
pub struct Step {
    pub name: Option<String>,
    pub call: Call,
    /// Milliseconds since 1970, for `clock.now`.
    pub now: u64,
    pub expect: Expected,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// The body of a webhook delivery: `{id, eventType, tenantId, deviceId, timestamp, data}`.
    Inbound(Value),
    /// The fields of `outbound.message`, in camelCase.
    Outbound(Value),
    Webhook {
        event: Value,
        id: String,
        name: String,
    },
    Tick {
        name: String,
        scheduled_for: u64,
    },
}

/// What a call came to, and what it must come to: compared on the members that are given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Expected {
    /// `"pass"`, `{"patch": {...}}`, `{"drop": "why"}`, `{"reject": {"code", "message"}}`, and of the webhook hook
    /// `"default"`, `"skip"`, `{"request": {...}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Value>,
    /// `[{"reply": {"text": "pong"}}, "mark-read"]`, all of them, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Value>,
    /// Values after the call by key; `null` for a key that must not be there. Keys that are not named may be anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv: Option<Value>,
    /// `{"temporary": "why"}` or with its pause `{"temporary": {"message", "retryAfterMs"}}`, `{"permanent": "why"}`,
    /// `{"bad-config": "why"}`; the kind alone, as `"temporary"`, when the words do not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// `[{"level": "info", "message": "dropped"}]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fixture needs correction: {0}")]
pub struct InvalidFixture(String);

/// One place where what came is not what was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// A JSON Pointer, from the step's `expect`.
    pub at: String,
    pub expected: Value,
    /// None: there is nothing.
    pub actual: Option<Value>,
}

impl Fixture {
    pub fn parse(text: &str) -> Result<Self, InvalidFixture> {
        if text.len() > FIXTURE_BYTES_MAX {
            return Err(InvalidFixture(format!("it has more than {FIXTURE_BYTES_MAX} bytes")));
        }
        let fixture: Self = serde_json::from_str(text).map_err(|error| InvalidFixture(error.to_string()))?;
        if fixture.steps.is_empty() && fixture.init.is_none() {
            return Err(InvalidFixture("it has no steps".to_owned()));
        }
        Ok(fixture)
    }
}

impl Exchange {
    /// Where a request, as `{"method", "url", "headers", "body"}`, is not what it must be. `number` counts from 0.
    pub fn differences(&self, number: usize, asked: &Value) -> Vec<Difference> {
        let mut found = Vec::new();
        compare(&format!("/http/{number}/request"), &self.request, Some(asked), &mut found);
        found
    }
}

impl Bytes {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Base64(bytes) => &bytes.base64,
        }
    }
}

impl Expected {
    /// Where an outcome, given in the same form, is not as expected. An error that was not expected is a difference too.
    pub fn differences(&self, actual: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let pairs = [
            ("/verdict", &self.verdict, &actual.verdict),
            ("/effects", &self.effects, &actual.effects),
            ("/kv", &self.kv, &actual.kv),
            ("/logs", &self.logs, &actual.logs),
        ];
        for (at, expected, actual) in pairs {
            if let Some(expected) = expected {
                compare(at, expected, actual.as_ref(), &mut found);
            }
        }
        match (&self.error, &actual.error) {
            (None, None) => {}
            (None, Some(error)) => {
                found.push(Difference { at: "/error".into(), expected: Value::Null, actual: Some(error.clone()) });
            }
            (Some(expected), actual) => compare_error(expected, actual.as_ref(), &mut found),
        }
        found
    }
}

/// Members of an object that are not given may be anything; everything else must be the same.
fn compare(at: &str, expected: &Value, actual: Option<&Value>, found: &mut Vec<Difference>) {
    let differs = || Difference { at: at.to_owned(), expected: expected.clone(), actual: actual.cloned() };
    match (expected, actual) {
        (Value::Object(expected), Some(Value::Object(actual))) => {
            for (key, value) in expected {
                compare(&format!("{at}/{key}"), value, actual.get(key), found);
            }
        }
        (Value::Array(expected), Some(Value::Array(actual))) if expected.len() == actual.len() => {
            for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                compare(&format!("{at}/{index}"), expected, Some(actual), found);
            }
        }
        // A member that must not be there.
        (Value::Null, None) => {}
        (expected, Some(actual)) if expected == actual => {}
        _ => found.push(differs()),
    }
}

/// `"temporary"` is any error of that kind; `{"temporary": "why"}` leaves its pause open.
fn compare_error(expected: &Value, actual: Option<&Value>, found: &mut Vec<Difference>) {
    let kind_matches = |kind: &str| actual.is_some_and(|actual| actual.get(kind).is_some());
    match expected {
        Value::String(kind) if kind_matches(kind) => {}
        Value::Object(members) => match (members.get("temporary"), actual.and_then(|actual| actual.get("temporary"))) {
            (Some(Value::String(why)), Some(told)) => {
                compare("/error/temporary/message", &json!(why), told.get("message"), found);
            }
            _ => compare("/error", expected, actual, found),
        },
        _ => compare("/error", expected, actual, found),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenStep {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    inbound: Option<Value>,
    #[serde(default)]
    outbound: Option<Value>,
    #[serde(default)]
    webhook: Option<WrittenWebhook>,
    #[serde(default)]
    tick: Option<WrittenTick>,
    #[serde(default)]
    now: Option<u64>,
    #[serde(default)]
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenWebhook {
    event: Value,
    #[serde(default)]
    id: Option<String>,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenTick {
    name: String,
    #[serde(default)]
    scheduled_for: Option<u64>,
}

impl TryFrom<WrittenStep> for Step {
    type Error = String;

    fn try_from(step: WrittenStep) -> Result<Self, String> {
        let now = step.now.unwrap_or(NOW_MS);
        let inbound = step.inbound.map(|event| event_of(event, now).map(Call::Inbound));
        let outbound = step.outbound.map(|message| message_of(message, now).map(Call::Outbound));
        let webhook = step.webhook.map(|webhook| {
            let id = webhook.id.unwrap_or_else(|| "wh_1".to_owned());
            event_of(webhook.event, now).map(|event| Call::Webhook { event, id, name: webhook.name })
        });
        let tick =
            step.tick.map(|tick| Ok(Call::Tick { name: tick.name, scheduled_for: tick.scheduled_for.unwrap_or(now) }));
        let mut calls = [inbound, outbound, webhook, tick].into_iter().flatten();
        match (calls.next(), calls.next()) {
            (Some(call), None) => Ok(Self { name: step.name, call: call?, now, expect: step.expect }),
            _ => Err("a step must have exactly one of inbound, outbound, webhook, tick".to_owned()),
        }
    }
}

/// A received message in few words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ShortEvent {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    media: Option<ShortMedia>,
    /// Digits of a phone number.
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    from_name: Option<String>,
    #[serde(default)]
    from_me: bool,
    /// The JID of a group; a direct chat with the sender otherwise.
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    device: Option<String>,
    #[serde(default)]
    mentions: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ShortMedia {
    handle: String,
    /// image, video, audio, document, sticker
    #[serde(default = "image")]
    kind: String,
    #[serde(default)]
    mime_type: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    file_name: Option<String>,
    #[serde(default)]
    caption: Option<String>,
}

/// The body of a delivery as it is, or made from the short form.
fn event_of(written: Value, now: u64) -> Result<Value, String> {
    if written.get("eventType").is_some() {
        return Ok(written);
    }
    let short: ShortEvent = serde_json::from_value(written).map_err(|error| format!("an event: {error}"))?;
    let phone = short.from.unwrap_or_else(|| "6281100000002".to_owned());
    if phone.is_empty() || !phone.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("an event: from {phone:?} must be the digits of a phone number"));
    }
    let sender = format!("{phone}@s.whatsapp.net");
    let message = short.id.unwrap_or_else(|| "msg_1".to_owned());
    let mut data = json!({
        "id": message,
        "chat": short.group.as_ref().unwrap_or(&sender),
        "from": sender,
        "fromMe": short.from_me,
        "isGroup": short.group.is_some(),
        "sender": { "contactId": format!("con_{phone}"), "jid": sender, "phone": phone, "lid": null, "name": short.from_name },
        "type": "text",
        "timestamp": now / 1000,
        "mentions": short.mentions,
        "tags": short.tags,
    });
    let content = match (short.text, short.media) {
        (Some(text), None) => json!({ "text": text }),
        (None, Some(media)) => json!({
            "type": media.kind,
            "mediaId": media.handle,
            "mimeType": media.mime_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            "size": media.size.unwrap_or(0),
            "fileName": media.file_name,
            "caption": media.caption,
        }),
        _ => return Err("an event must have either text or media; give the body of a delivery for others".to_owned()),
    };
    extend(&mut data, content);
    Ok(json!({
        "id": format!("evt_{message}"),
        "eventType": "message.received",
        "tenantId": TENANT,
        "deviceId": short.device.as_deref().unwrap_or(DEVICE),
        "timestamp": now / 1000,
        "data": data,
    }))
}

/// A message on its way out, in few words: `text` stands for `content`.
fn message_of(written: Value, now: u64) -> Result<Value, String> {
    let Value::Object(mut given) = written else { return Err("a message must be an object".to_owned()) };
    if let Some(text) = given.remove("text") {
        given.insert("content".to_owned(), json!({ "text": text }));
    }
    let mut message = json!({
        "id": "msg_1",
        "tenant": TENANT,
        "device": DEVICE,
        "time": now,
        "origin": { "api": "fixture" },
        "kind": "new",
        "to": "6281100000002@s.whatsapp.net",
        "content": null,
        "replyTo": null,
        "mentions": [],
        "sendAt": null,
        "tags": [],
        "extra": {},
    });
    if let Some(unknown) = given.keys().find(|key| message.get(key.as_str()).is_none()) {
        return Err(format!("a message has no field {unknown:?}"));
    }
    extend(&mut message, Value::Object(given));
    Ok(message)
}

fn extend(object: &mut Value, with: Value) {
    if let (Value::Object(object), Value::Object(with)) = (object, with) {
        object.extend(with);
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

fn ok() -> u16 {
    200
}

fn image() -> String {
    "image".to_owned()
}

fn base64<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(json: Value) -> Expected {
        serde_json::from_value(json).expect("an expectation")
    }

    #[test]
    fn a_short_event_becomes_the_body_of_a_delivery() {
        let text = r#"{ "steps": [{ "inbound": { "text": "ping", "from": "6281100000002" } }] }"#;

        let fixture = Fixture::parse(text).expect("reads");

        let Call::Inbound(event) = &fixture.steps[0].call else { unreachable!("{:?}", fixture.steps) };
        assert_eq!(event["eventType"], "message.received");
        assert_eq!(event["data"]["text"], "ping");
        assert_eq!(event["data"]["chat"], "6281100000002@s.whatsapp.net");
        assert_eq!(event["data"]["sender"]["phone"], "6281100000002");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let told = [
            (r#"{ "steps": [] }"#, "no steps"),
            (r#"{ "steps": [{ "expect": {} }] }"#, "exactly one of inbound"),
            (r#"{ "steps": [{ "inbound": { "text": "a" }, "tick": { "name": "b" } }] }"#, "exactly one of inbound"),
            (r#"{ "steps": [{ "inbound": { "txt": "a" } }] }"#, "txt"),
            (r#"{ "steps": [{ "inbound": { "from": "1" } }] }"#, "text or media"),
            (r#"{ "steps": [{ "outbound": { "body": "a" } }] }"#, "\"body\""),
            (r#"{ "steps": [{ "tick": { "name": "a" }, "expects": {} }] }"#, "expects"),
            (r#"{ "kv": { "a": { "base64": "?" } }, "steps": [{ "tick": { "name": "a" } }] }"#, ""),
        ];
        for (text, part) in told {
            let error = Fixture::parse(text).expect_err("refused").to_string();
            assert!(error.contains(part), "{part} is missing in {error}");
        }
    }

    #[test]
    fn only_what_is_given_is_compared_and_lists_are_compared_whole() {
        let actual = expected(json!({
            "verdict": { "patch": { "addTags": ["ping"], "text": null } },
            "effects": [{ "reply": { "text": "pong" } }],
            "kv": { "count": "1", "other": "2" },
        }));

        let same = expected(json!({
            "verdict": { "patch": { "addTags": ["ping"] } },
            "effects": [{ "reply": { "text": "pong" } }],
            "kv": { "count": "1", "gone": null },
        }));
        let different = expected(json!({ "verdict": "pass", "effects": [], "kv": { "count": "2", "other": null } }));

        assert_eq!(same.differences(&actual), []);
        let at = different.differences(&actual).into_iter().map(|difference| difference.at).collect::<Vec<_>>();
        assert_eq!(at, ["/verdict", "/effects", "/kv/count", "/kv/other"]);
    }

    #[test]
    fn an_error_is_compared_by_kind_by_words_or_whole_and_never_passes_unexpected() {
        let failed = expected(json!({ "error": { "temporary": { "message": "busy", "retryAfterMs": 1500 } } }));

        for fits in
            [json!("temporary"), json!({ "temporary": "busy" }), json!({ "temporary": { "retryAfterMs": 1500 } })]
        {
            assert_eq!(expected(json!({ "error": fits })).differences(&failed), []);
        }
        for not in [json!("permanent"), json!({ "temporary": "idle" }), json!({ "permanent": "busy" })] {
            assert_eq!(expected(json!({ "error": not })).differences(&failed).len(), 1);
        }
        assert_eq!(Expected::default().differences(&failed).len(), 1);
        assert_eq!(expected(json!({ "error": "temporary" })).differences(&Expected::default()).len(), 1);
    }
}
