//! The server that answers in place of every host a plugin fetches from while it is rehearsed: what the fixture says, in
//! its order. A request beyond that finds the connection closed, as when the network is down.

use super::fixture::{Bytes as Given, Difference, Exchange};
use crate::egress::STANDS_FOR;
use crate::plugins::shown_body;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    listening: AbortHandle,
}

#[derive(Default)]
struct Script {
    left: VecDeque<Exchange>,
    answered: usize,
    differences: Vec<Difference>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl StandIn {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Mutex::new(Script::default()));
        let serving = script.clone();
        let listening = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let script = serving.clone();
                let answer = service_fn(move |request| answer(script.clone(), request));
                tokio::spawn(async move {
                    // It ends with an error when the script says no more: that is how a guest sees no network.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await;
                });
            }
        });
        Ok(Self { address, script, listening: listening.abort_handle() })
    }

    /// What is answered from now on.
    pub(super) fn play(&self, exchanges: &[Exchange]) {
        *lock(&self.script) = Script { left: exchanges.iter().cloned().collect(), ..Script::default() };
    }

    /// Where requests since the last look were not what they must be.
    pub(super) fn differences(&self) -> Vec<Difference> {
        std::mem::take(&mut lock(&self.script).differences)
    }

    /// Exchanges that nobody asked for yet.
    pub(super) fn left(&self) -> usize {
        lock(&self.script).left.len()
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(script: Arc<Mutex<Script>>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let url = head.headers.get(STANDS_FOR).map(text).unwrap_or_default();
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .filter(|(name, _)| name.as_str() != STANDS_FOR)
        .map(|(name, value)| (name.to_string(), json!(text(value))))
        .collect();
    let mut asked = json!({ "method": head.method.as_str(), "url": url, "headers": headers });
    if !body.is_empty() {
        asked["body"] = shown_body(&body);
    }
    let exchange = {
        let mut script = lock(&script);
        let exchange = script.left.pop_front().ok_or_else(|| io::Error::other("the fixture has no more answers"))?;
        let differences = exchange.differences(script.answered, &asked);
        script.differences.extend(differences);
        script.answered += 1;
        exchange
    };
    let said = exchange.response;
    let mut response = Response::builder().status(said.status);
    for (name, value) in &said.headers {
        response = response.header(name, value);
    }
    let names_its_type = said.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
    if !names_its_type && matches!(said.body, Some(Given::Text(_))) {
        response = response.header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
    }
    let body = said.body.map(|body| Bytes::copy_from_slice(body.as_slice())).unwrap_or_default();
    response.body(Full::new(body)).map_err(io::Error::other)
}
