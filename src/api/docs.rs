//! The API reference: a page (Swagger UI, served from this binary) and the document it shows.

use super::caller::Anybody;
use super::error::ApiError;
use super::extract::Path;
use axum::Extension;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

/// The document in both forms, written once.
#[derive(Clone)]
pub(super) struct Document {
    json: Arc<str>,
    yaml: Arc<str>,
}

impl Document {
    pub(super) fn new(document: &OpenApi) -> Self {
        Self {
            json: document.to_pretty_json().unwrap_or_default().into(),
            yaml: document.to_yaml().unwrap_or_default().into(),
        }
    }
}

pub(super) async fn json(_: Anybody, Extension(document): Extension<Document>) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.json.to_string()).into_response()
}

pub(super) async fn yaml(_: Anybody, Extension(document): Extension<Document>) -> Response {
    ([(CONTENT_TYPE, "application/yaml")], document.yaml.to_string()).into_response()
}

/// The page itself, at /docs without a slash: its assets are named from /docs/.
pub(super) async fn page(_: Anybody) -> Result<Response, ApiError> {
    let (_, page) = file("index.html")?;
    let page = String::from_utf8_lossy(&page).replacen("<head>", "<head><base href=\"/docs/\">", 1);
    Ok(Html(page.replacen("<title>Swagger UI</title>", "<title>Rijan API</title>", 1)).into_response())
}

pub(super) async fn asset(_: Anybody, Path(name): Path<String>) -> Result<Response, ApiError> {
    let (kind, bytes) = file(&name)?;
    Ok(([(CONTENT_TYPE, kind)], bytes).into_response())
}

fn file(name: &str) -> Result<(String, Vec<u8>), ApiError> {
    let config = Arc::new(Config::from("/docs/json").persist_authorization(false).try_it_out_enabled(true));
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(file)) => Ok((file.content_type, file.bytes.into_owned())),
        Ok(None) => Err(ApiError::NotFound("page")),
        Err(error) => Err(ApiError::Internal(format!("the reference page could not be made: {error}"))),
    }
}
