//! HTTP to hosts that the plugin and the tenant both name, through the gateway's guarded egress. The only thing a plugin
//! does that is not undone, so a repeated call carries the same idempotency key.

use crate::egress::{EgressError, Request};
use crate::plugins::bindings::http as wit;
use crate::plugins::bindings::types::{Blob, Field};
use crate::plugins::state::State;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::time::Duration;
use wasmtime::Result;

const HEADERS_MAX: usize = 64;
const REQUEST_BODY_BYTES_MAX: usize = 1 << 20;
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// Set by the client itself.
const RESERVED: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];

impl wit::Host for State {
    async fn fetch(&mut self, request: wit::Request) -> Result<std::result::Result<wit::Response, wit::Error>> {
        Ok(self.fetch_once(request).await)
    }

    fn idempotency_key(&mut self) -> Result<String> {
        Ok(self.next_key())
    }
}

impl State {
    fn next_key(&self) -> String {
        let parts = [self.call.subject.as_str(), &self.home.plugin, &self.call.fetches.to_string()];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hex::encode(&hash.finalize()[..16])
    }

    async fn fetch_once(&mut self, wanted: wit::Request) -> std::result::Result<wit::Response, wit::Error> {
        if self.call.in_init {
            return Err(wit::Error::Denied("there is no http in init; use it in a hook".into()));
        }
        let request = self.checked(wanted)?;
        self.call.tell_fetch(request.method.as_str(), &request.url);
        if self.call.shadow {
            return Err(wit::Error::Denied("a shadow reaches nothing outside".into()));
        }
        let home = self.home.clone();
        let limits = &home.limits;
        let now = home.store.clock().now_ms();
        if self.call.fetches >= limits.fetches_per_call || !home.fetches.take(1, now) {
            return Err(wit::Error::RateLimited);
        }
        let body_bytes_max = limits.fetch_body_bytes;
        self.call.fetches += 1;
        let answer = home.egress.exchange(request).await.map_err(refused)?;
        if answer.cut {
            return Err(wit::Error::TooLarge(u64::from(body_bytes_max)));
        }
        Ok(wit::Response {
            status: answer.status,
            body: body(&answer.headers, answer.body),
            headers: answer
                .headers
                .iter()
                .map(|(name, value)| Field {
                    name: name.to_string(),
                    value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
                })
                .collect(),
        })
    }

    fn checked(&self, wanted: wit::Request) -> std::result::Result<Request, wit::Error> {
        let invalid = |why: &str| wit::Error::Invalid(why.to_owned());
        let method = METHODS.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(&wanted.method));
        let method = method.ok_or_else(|| invalid("the method must be GET, HEAD, POST, PUT, PATCH or DELETE"))?;
        let url = self.home.egress.check_url(&wanted.url).map_err(|error| wit::Error::Denied(error.to_string()))?;
        if !self.home.granted.allows_url(&url) {
            let host = url.host_str().unwrap_or_default();
            return Err(wit::Error::Denied(format!(
                "{host:?} is not granted: name it in wants.hosts and grants.hosts"
            )));
        }
        if wanted.headers.len() > HEADERS_MAX {
            return Err(invalid(&format!("more than {HEADERS_MAX} headers")));
        }
        let mut headers = Vec::with_capacity(wanted.headers.len() + 1);
        for field in &wanted.headers {
            let name =
                HeaderName::try_from(field.name.as_str()).map_err(|_| invalid("a header's name is not valid"))?;
            let value =
                HeaderValue::try_from(field.value.as_str()).map_err(|_| invalid("a header's value is not valid"))?;
            if RESERVED.contains(&name.as_str()) {
                return Err(invalid(&format!("the header {name} is set by the gateway")));
            }
            headers.push((name, value));
        }
        if !headers.iter().any(|(name, _)| name == "idempotency-key")
            && let Ok(value) = HeaderValue::try_from(self.next_key())
        {
            headers.push((HeaderName::from_static("idempotency-key"), value));
        }
        let body = match wanted.body {
            None => Bytes::new(),
            Some(Blob::Text(text)) => Bytes::from(text),
            Some(Blob::Bytes(bytes)) => Bytes::from(bytes),
        };
        if body.len() > REQUEST_BODY_BYTES_MAX {
            return Err(wit::Error::TooLarge(REQUEST_BODY_BYTES_MAX as u64));
        }
        let longest = self.call_time();
        let timeout = wanted.timeout_ms.map_or(longest, |ms| Duration::from_millis(u64::from(ms)).min(longest));
        let answer_bytes_max = self.home.limits.fetch_body_bytes as usize;
        Ok(Request { method, url, headers, body, timeout, answer_bytes_max })
    }
}

fn refused(error: EgressError) -> wit::Error {
    match error {
        EgressError::Target(_) | EgressError::NotPublic => wit::Error::Denied(error.to_string()),
        EgressError::Timeout => wit::Error::Timeout,
        EgressError::Connect(_) | EgressError::Exchange(_) => wit::Error::Network(error.to_string()),
    }
}

/// Text when it says so and is UTF-8.
fn body(headers: &HeaderMap, bytes: Bytes) -> Blob {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let textual =
        kind.starts_with("text/") || ["json", "xml", "x-www-form-urlencoded"].iter().any(|k| kind.contains(k));
    match String::from_utf8(bytes.to_vec()) {
        Ok(text) if textual => Blob::Text(text),
        _ => Blob::Bytes(bytes.to_vec()),
    }
}
