//! An attempt as an HTTP request: its headers, its signatures, its URL; and what came of it.

use super::signature;
use crate::domain::clock::UnixMs;
use crate::domain::delivery::{Form, Outcome};
use crate::domain::secret::Secret;
use crate::egress::{Answer, EgressError, InvalidTarget, Request};
use crate::store::{DueDelivery, EventRow, RawMessage, WebhookRow};
use crate::whatsapp::raw;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde_json::json;
use std::time::Duration;

/// Digits of a `Retry-After` in seconds that are read.
const RETRY_AFTER_DIGITS_MAX: usize = 6;
/// The parameter of the URL that carries the shared token.
const TOKEN_PARAMETER: &str = "token";

/// Our own form is made from the event's row, which never changes, and where `raw` is asked for from the stored message, which
/// stays while a delivery is due: until it is parked, every attempt sends the same bytes. One that is replayed after its device
/// was deleted has no message any more.
pub(super) fn own_form(event: &EventRow, message: Option<&RawMessage>) -> Bytes {
    let mut data = event.data.clone();
    if let Some(message) = message {
        raw::show(&mut data, message);
    }
    let body = json!({
        "id": event.id,
        "eventType": event.type_,
        "tenantId": event.tenant,
        "deviceId": event.device,
        "timestamp": event.at / 1000,
        "data": data,
    });
    Bytes::from(body.to_string())
}

pub(super) fn of_delivery(
    delivery: &DueDelivery,
    form: &Form,
    message: Option<&RawMessage>,
    now: UnixMs,
    answer_bytes_max: usize,
) -> Result<Request, EgressError> {
    let (method, content_type, shaped, body) = match form {
        Form::Default => (Method::POST, "application/json", &[][..], own_form(&delivery.event, message)),
        Form::Shaped { shape, body } => {
            let method = Method::from_bytes(shape.method.as_bytes()).unwrap_or(Method::POST);
            (method, shape.content_type.as_str(), shape.headers.as_slice(), Bytes::from(body.clone()))
        }
    };
    let stamp = Stamp { id: delivery.event.id.as_str(), attempt: delivery.attempt, now };
    let headers = headers(&delivery.webhook, &stamp, content_type, shaped, &body);
    request(&delivery.webhook, method, headers, body, answer_bytes_max)
}

/// A request in our own form.
pub(super) fn of_body(
    webhook: &WebhookRow,
    stamp: &Stamp<'_>,
    body: Bytes,
    answer_bytes_max: usize,
) -> Result<Request, EgressError> {
    let headers = headers(webhook, stamp, "application/json", &[], &body);
    request(webhook, Method::POST, headers, body, answer_bytes_max)
}

/// What a request is signed with beside its body.
pub(super) struct Stamp<'a> {
    pub(super) id: &'a str,
    /// From 1.
    pub(super) attempt: u32,
    pub(super) now: UnixMs,
}

fn request(
    webhook: &WebhookRow,
    method: Method,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    answer_bytes_max: usize,
) -> Result<Request, EgressError> {
    let mut url = url::Url::parse(&webhook.url).map_err(|_| InvalidTarget::Syntax)?;
    if let Some(token) = &webhook.shared_token {
        url.query_pairs_mut().append_pair(TOKEN_PARAMETER, token.expose());
    }
    let timeout = Duration::from_millis(u64::from(webhook.timeout_ms));
    Ok(Request { method, url, headers, body, timeout, answer_bytes_max })
}

fn headers(
    webhook: &WebhookRow,
    stamp: &Stamp<'_>,
    content_type: &str,
    shaped: &[(String, String)],
    body: &[u8],
) -> Vec<(HeaderName, HeaderValue)> {
    let now_s = stamp.now / 1000;
    let previous = webhook.previous_secret.as_ref().filter(|(_, until)| *until > stamp.now).map(|(secret, _)| secret);
    let secrets: Vec<Secret> = std::iter::once(&webhook.secret).chain(previous).cloned().collect();
    let mut ours = vec![
        ("content-type", content_type.to_owned()),
        ("x-rijan-signature", signature::rijan(&webhook.secret, body)),
        ("x-rijan-attempt", stamp.attempt.to_string()),
        ("webhook-id", stamp.id.to_owned()),
        ("webhook-timestamp", now_s.to_string()),
        ("webhook-signature", signature::standard(&secrets, stamp.id, now_s, body)),
    ];
    if let Some(previous) = previous {
        ours.push(("x-rijan-signature-previous", signature::rijan(previous, body)));
    }
    let ours = ours.iter().map(|(name, value)| (*name, value.as_str()));
    let theirs = webhook.headers.iter().map(|(name, value)| (name.as_str(), value.expose()));
    // What a tenant adds cannot stand in for what we sign with.
    let theirs = theirs.filter(|(name, _)| !is_reserved(name));
    // Of a plugin's headers and the webhook's own, the webhook's win.
    let own = |name: &str| webhook.headers.keys().any(|known| known.eq_ignore_ascii_case(name));
    let shaped = shaped.iter().filter(|(name, _)| !own(name)).map(|(name, value)| (name.as_str(), value.as_str()));
    shaped
        .chain(theirs)
        .chain(ours)
        .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)))
        .collect()
}

/// Headers that only the gateway sets.
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("webhook-")
        || name.starts_with("x-rijan-")
        || ["host", "content-length", "content-type", "transfer-encoding", "connection"].contains(&name.as_str())
}

/// The HTTP status, the error for people, and what it means for the delivery.
pub(super) fn outcome(answer: Result<Answer, EgressError>, now: UnixMs) -> (Option<u16>, Option<String>, Outcome) {
    match answer {
        Ok(answer) => {
            let text = answer.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = text.and_then(|text| retry_after(text.trim(), now));
            (Some(answer.status), None, Outcome::Answered { status: answer.status, retry_after })
        }
        Err(error) => {
            let text = error.to_string();
            (None, Some(text.clone()), Outcome::NoAnswer { error: text })
        }
    }
}

/// Seconds or a date (RFC 9110, section 10.2.3). A date that has passed is no wait.
fn retry_after(text: &str, now: UnixMs) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let short = text.len() <= RETRY_AFTER_DIGITS_MAX;
        return text.parse().ok().filter(|_| short).map(Duration::from_secs);
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = 784_111_777_000;
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:51:37 GMT", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        for text in ["", "-1", "soon", "9999999"] {
            assert_eq!(retry_after(text, now), None, "{text}");
        }
    }
}
