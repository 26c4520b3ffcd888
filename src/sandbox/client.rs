//! A small HTTP client for the sandbox: JSON there and back, errors with what the server said.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything in the sandbox is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    header: Option<(&'static str, String)>,
}

impl Client {
    pub(super) fn new(base: &str, header: Option<(&'static str, String)>) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE * 2).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), header })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        self.call(reqwest::Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.call(reqwest::Method::POST, path, Some(body)).await
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some((name, value)) = &self.header {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{method} {path} answered {status}: {text}");
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path} answered no JSON"))
    }
}

/// Looks until `found` finds something; fails with `what` when it takes too long.
pub(super) async fn until<T, F, Fut>(what: &str, mut found: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let began = Instant::now();
    loop {
        if let Some(value) = found().await? {
            return Ok(value);
        }
        if began.elapsed() > PATIENCE {
            bail!("{what} did not happen within {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
