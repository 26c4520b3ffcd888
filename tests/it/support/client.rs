//! The client that tests call the API with. What was asked and answered is noted for the table of coverage.

use super::record;
use axum::http::{self, HeaderName, HeaderValue, Method};
use serde::Serialize;
use serde_json::Value;

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    test: String,
    stranger: bool,
}

/// A request that is being put together.
pub struct Call {
    request: reqwest::RequestBuilder,
    client: Client,
}

impl Client {
    /// For the test on whose thread it is made.
    pub fn new() -> Self {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        Self { http: super::http(), test, stranger: false }
    }

    /// The same, for calls with the key of another tenant than the one whose things are asked for.
    pub fn as_stranger(&self) -> Self {
        Self { stranger: true, ..self.clone() }
    }

    pub fn get(&self, url: impl AsRef<str>) -> Call {
        self.request(Method::GET, url)
    }

    pub fn request(&self, method: Method, url: impl AsRef<str>) -> Call {
        Call { request: self.http.request(method, url.as_ref()), client: self.clone() }
    }

    /// What was answered to something that did not pass through here, as a WebSocket.
    pub fn note(&self, method: &str, path: &str, status: u16, code: Option<&str>) {
        record::called(&self.test, method, path, status, code, self.stranger);
    }
}

impl Call {
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        Self { request: self.request.header(name, value), ..self }
    }

    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        Self { request: self.request.json(body), ..self }
    }

    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self { request: self.request.body(body), ..self }
    }

    pub async fn send(self) -> reqwest::Result<reqwest::Response> {
        if !record::is_wanted() {
            return self.request.send().await;
        }
        let (http, request) = self.request.build_split();
        let request = request?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = http.execute(request).await?;
        let status = answer.status();
        if status.as_u16() < 400 {
            self.client.note(method.as_str(), &path, status.as_u16(), None);
            return Ok(answer);
        }
        // The code is in the body, which is handed on as it came.
        let headers = answer.headers().clone();
        let body = answer.bytes().await.unwrap_or_default();
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        self.client.note(method.as_str(), &path, status.as_u16(), said["error"]["code"].as_str());
        let mut answer = http::Response::new(body);
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        Ok(answer.into())
    }
}
