//! What every request passes: its id, its client's address, its time limit, its headers, its line in the log and its place
//! in the metrics.

use super::Api;
use super::error::ApiError;
use super::fields;
use super::serve::Peer;
use crate::limits::Standing;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::cell::Cell;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A client's own id is taken over when it is no longer than this and plain.
const REQUEST_ID_CHARS_MAX: usize = 128;
/// Addresses in `X-Forwarded-For` that are looked at, from the right.
const FORWARDED_MAX: usize = 16;

struct Context {
    id: String,
    client: Option<IpAddr>,
    standing: Cell<Option<Standing>>,
    /// The window noted last, and what stood before it.
    last: Cell<Option<(Standing, Option<Standing>)>>,
}

tokio::task_local! {
    static CONTEXT: Context;
}

/// The id of the request being handled; empty outside of one.
pub(super) fn request_id() -> String {
    CONTEXT.try_with(|context| context.id.clone()).unwrap_or_default()
}

/// Where the request being handled came from.
pub(super) fn client_address() -> Option<String> {
    CONTEXT.try_with(|context| context.client.map(|address| address.to_string())).unwrap_or_default()
}

/// Remembers a window for the answer's headers; of several the one with the least left.
pub(super) fn note_standing(new: Standing) {
    let _ = CONTEXT.try_with(|context| {
        context.last.set(Some((new, context.standing.get())));
        let tighter = context.standing.get().is_none_or(|noted| new.remaining <= noted.remaining);
        if tighter {
            context.standing.set(Some(new));
        }
    });
}

/// The charge of the window noted last was given back.
pub(super) fn note_given_back() {
    let noted = CONTEXT.try_with(|context| {
        let (last, before) = context.last.take()?;
        context.standing.set(before);
        Some(last)
    });
    if let Ok(Some(last)) = noted {
        note_standing(Standing { remaining: last.limit.min(last.remaining + 1), ..last });
    }
}

pub(super) async fn identify(State(api): State<Api>, request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let sane = |id: &&str| {
        !id.is_empty()
            && id.len() <= REQUEST_ID_CHARS_MAX
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let id = given.filter(sane).map_or_else(|| format!("req_{}", uuid::Uuid::now_v7().simple()), str::to_owned);
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let client = peer.map(|peer| client(peer, request.headers(), |proxy| api.settings.trusts(proxy)));
    let context = Context { id: id.clone(), client, standing: Cell::new(None), last: Cell::new(None) };
    let handled = async {
        let mut response = next.run(request).await;
        if let Some(standing) = CONTEXT.with(|context| context.standing.get()) {
            write_standing(response.headers_mut(), standing);
        }
        response
    };
    let mut response = CONTEXT.scope(context, handled).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn write_standing(headers: &mut HeaderMap, standing: Standing) {
    headers.insert("x-ratelimit-limit", standing.limit.into());
    headers.insert("x-ratelimit-remaining", standing.remaining.into());
    headers.insert("x-ratelimit-reset", standing.reset_s.into());
}

/// The address nearest to us that is not a proxy of ours. What a client wrote into the header itself is to the left of
/// what our proxies add, and is not believed.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let listed: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    let mut nearest = peer;
    for text in listed.into_iter().rev().take(FORWARDED_MAX) {
        if !trusted(nearest) {
            break;
        }
        let Ok(address) = text.trim().parse() else { break };
        nearest = address;
    }
    nearest
}

/// The log has the route's pattern: a path carries ids, and a query may carry a token.
pub(super) async fn observe(State(api): State<Api>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known_method(request.method());
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = matched.unwrap_or_else(|| "unmatched".to_owned());
    let is_form = fields::content_type(&request).is_some_and(|type_| type_.starts_with("multipart/"));
    let time_max = if is_form { FORM_TIME_MAX } else { REQUEST_TIME_MAX };
    let response = match tokio::time::timeout(time_max, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::UpstreamTimeout("the request took too long; ask for its outcome before repeating it")
            .into_response(),
    };
    let (status, took) = (response.status().as_u16(), began.elapsed());
    api.metrics.http_request(&route, method, status, took);
    if let Some(reports) = &api.settings.reports {
        reports.request(method, &route, status, took);
    }
    tracing::info!(method, route, status, ms = took.as_secs_f64() * 1000.0, request = request_id(), "request");
    response
}

/// From the end of its head to the head of its answer. Longer than the longest wait a route promises (a pairing code).
const REQUEST_TIME_MAX: Duration = Duration::from_secs(150);
/// For a form, which may carry a large file over a slow line; who sends nothing for a while is cut off sooner.
const FORM_TIME_MAX: Duration = Duration::from_secs(1_800);

/// A client can invent methods, and each would make a series of its own in the metrics.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_trusted_proxy_added_is_believed() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let proxy = |ip: IpAddr| ip == address("10.0.0.1") || ip == address("10.0.0.2");
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.1.1.1, 2.2.2.2, 10.0.0.2"));

        assert_eq!(client(address("10.0.0.1"), &headers, proxy), address("2.2.2.2"));
        assert_eq!(client(address("9.9.9.9"), &headers, proxy), address("9.9.9.9"), "no proxy of ours");
        assert_eq!(client(address("10.0.0.1"), &HeaderMap::new(), proxy), address("10.0.0.1"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("rubbish"));
        assert_eq!(client(address("10.0.0.1"), &headers, proxy), address("10.0.0.1"));
    }
}
