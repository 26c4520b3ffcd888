//! The one error table: what went wrong, its public code, its HTTP status. Each code has a page under docs/errors/.

use super::request::request_id;
use crate::domain::media::Mismatch;
use crate::limits::Standing;
use crate::media::KeepError;
use crate::outbound::accept::AcceptError;
use crate::plugins::{self, NotAPlugin, PluginsError};
use crate::store::StoreError;
use crate::whatsapp::{AccountError, DirectoryError};
use axum::Json;
use axum::http::header::{CONNECTION, CONTENT_RANGE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::any::Any;

/// One bad field: its name, as the client wrote it, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

/// What every error answers, whatever its cause.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorBody {
    /// Always false.
    success: bool,
    error: ErrorDetail,
    /// Also in the header `X-Request-Id`, and in our log.
    request_id: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ErrorDetail {
    /// For programs: one of the codes of docs/errors.
    code: &'static str,
    /// For people.
    message: String,
    /// Every bad field, with `VALIDATION_ERROR`; plugin, code and message, with `PLUGIN_REJECTED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Vec<FieldError>>,
}

#[derive(Debug)]
pub enum ApiError {
    Unauthorized,
    InvalidApiKey,
    InvalidMasterKey,
    Forbidden(&'static str),
    /// The key lacks this scope.
    MissingScope(&'static str),
    Validation(Vec<FieldError>),
    NotFound(&'static str),
    MethodNotAllowed,
    DeviceNotConnected(&'static str),
    Conflict(String),
    AlreadyExists(&'static str),
    IdempotencyMismatch,
    PayloadTooLarge,
    /// A received file that cannot be had any more.
    MediaUnavailable(&'static str),
    /// Nothing of a file of this many bytes lies in the range.
    RangeNotSatisfiable {
        size: u64,
    },
    /// The file is not what it is said to be, or not what the message takes.
    WrongMedia(Mismatch),
    /// What the route takes instead.
    UnsupportedMediaType(&'static str),
    /// A plugin of the tenant refused the message.
    PluginRejected {
        plugin: String,
        code: String,
        message: String,
    },
    RateLimited(Standing),
    /// WhatsApp's own limit, with the seconds it asks to wait.
    Throttled(Option<u32>),
    /// The pinned client library has no call for it; docs/capabilities.md names what is missing.
    NotSupported(String),
    Overloaded(&'static str),
    UpstreamTimeout(&'static str),
    /// The cause is for the log; the client reads that something failed.
    Internal(String),
}

impl ApiError {
    /// Every code with its status, for the documentation and its test.
    pub const CODES: [(&'static str, u16); 21] = [
        ("UNAUTHORIZED", 401),
        ("INVALID_API_KEY", 401),
        ("INVALID_MASTER_KEY", 401),
        ("FORBIDDEN", 403),
        ("VALIDATION_ERROR", 400),
        ("NOT_FOUND", 404),
        ("METHOD_NOT_ALLOWED", 405),
        ("DEVICE_NOT_CONNECTED", 409),
        ("CONFLICT", 409),
        ("ALREADY_EXISTS", 409),
        ("IDEMPOTENCY_MISMATCH", 409),
        ("PAYLOAD_TOO_LARGE", 413),
        ("UNSUPPORTED_MEDIA_TYPE", 415),
        ("MEDIA_UNAVAILABLE", 410),
        ("RANGE_NOT_SATISFIABLE", 416),
        ("PLUGIN_REJECTED", 422),
        ("RATE_LIMIT_EXCEEDED", 429),
        ("NOT_SUPPORTED", 501),
        ("OVERLOADED", 503),
        ("UPSTREAM_TIMEOUT", 504),
        ("INTERNAL_ERROR", 500),
    ];

    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Validation(vec![FieldError { field: field.to_owned(), message: message.into() }])
    }

    /// Names of fields, and what is wrong with each.
    pub(super) fn fields(wrong: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::Validation(wrong.into_iter().map(|(field, message)| FieldError { field, message }).collect())
    }

    /// Both of two parts of a request, or every field that is wrong in either.
    pub(super) fn both<A, B>(one: Result<A, Self>, other: Result<B, Self>) -> Result<(A, B), Self> {
        match (one, other) {
            (Ok(one), Ok(other)) => Ok((one, other)),
            (Err(Self::Validation(mut wrong)), Err(Self::Validation(more))) => {
                wrong.extend(more);
                Err(Self::Validation(wrong))
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized => "UNAUTHORIZED",
            Self::InvalidApiKey => "INVALID_API_KEY",
            Self::InvalidMasterKey => "INVALID_MASTER_KEY",
            Self::Forbidden(_) | Self::MissingScope(_) => "FORBIDDEN",
            Self::Validation(_) => "VALIDATION_ERROR",
            Self::NotFound(_) => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::DeviceNotConnected(_) => "DEVICE_NOT_CONNECTED",
            Self::Conflict(_) => "CONFLICT",
            Self::AlreadyExists(_) => "ALREADY_EXISTS",
            Self::IdempotencyMismatch => "IDEMPOTENCY_MISMATCH",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::MediaUnavailable(_) => "MEDIA_UNAVAILABLE",
            Self::RangeNotSatisfiable { .. } => "RANGE_NOT_SATISFIABLE",
            Self::UnsupportedMediaType(_) | Self::WrongMedia(_) => "UNSUPPORTED_MEDIA_TYPE",
            Self::PluginRejected { .. } => "PLUGIN_REJECTED",
            Self::RateLimited(_) | Self::Throttled(_) => "RATE_LIMIT_EXCEEDED",
            Self::NotSupported(_) => "NOT_SUPPORTED",
            Self::Overloaded(_) => "OVERLOADED",
            Self::UpstreamTimeout(_) => "UPSTREAM_TIMEOUT",
            Self::Internal(_) => "INTERNAL_ERROR",
        }
    }

    fn status(&self) -> StatusCode {
        let found = Self::CODES.iter().find(|(code, _)| *code == self.code());
        found.and_then(|(_, status)| StatusCode::from_u16(*status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn message(&self) -> String {
        match self {
            Self::Unauthorized => "give an API key as \"Authorization: Bearer <key>\" or \"X-API-Key: <key>\"".into(),
            Self::InvalidApiKey => "the API key is not valid, was revoked, or has expired".into(),
            Self::InvalidMasterKey => "give the master password as \"X-Master-Key: <password>\"".into(),
            Self::Forbidden(why)
            | Self::AlreadyExists(why)
            | Self::DeviceNotConnected(why)
            | Self::MediaUnavailable(why) => (*why).into(),
            Self::RangeNotSatisfiable { size } => {
                format!("the file has {size} bytes, and none of them lie in the range")
            }
            Self::WrongMedia(why) => why.to_string(),
            Self::MissingScope(scope) => format!("the API key lacks the scope {scope:?}"),
            Self::Validation(_) => "the request has fields that need correction; see details".into(),
            Self::NotFound(what) => format!("no such {what}"),
            Self::MethodNotAllowed => "this route does not take this method".into(),
            Self::Conflict(why) | Self::NotSupported(why) => why.clone(),
            Self::IdempotencyMismatch => "this idempotency key was used for another request".into(),
            Self::PayloadTooLarge => "the body is larger than this server accepts".into(),
            Self::PluginRejected { plugin, message, .. } => {
                format!("the plugin {plugin:?} rejects the message: {message}")
            }
            Self::RateLimited(standing) => {
                format!("more than {} in the window; try again in {} s", standing.limit, standing.reset_s)
            }
            Self::Throttled(_) => "whatsapp takes no more requests of this account for now".into(),
            Self::UnsupportedMediaType(why) | Self::Overloaded(why) | Self::UpstreamTimeout(why) => (*why).into(),
            Self::Internal(_) => "something failed on our side; the request id names it in the log".into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Internal(cause) = &self {
            tracing::error!(cause, request = request_id(), "a request failed");
        }
        let (code, message, status) = (self.code(), self.message(), self.status());
        let mut headers = HeaderMap::new();
        let details = match self {
            Self::Validation(details) => Some(details),
            Self::PluginRejected { plugin, code, message } => {
                let detail = |field: &str, message: String| FieldError { field: field.to_owned(), message };
                Some(vec![detail("plugin", plugin), detail("code", code), detail("message", message)])
            }
            Self::PayloadTooLarge => {
                // The rest of the body is not read, so the connection ends here; a client must not send another request on it.
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
                None
            }
            Self::RangeNotSatisfiable { size } => {
                let place = HeaderValue::try_from(format!("bytes */{size}"));
                headers.insert(CONTENT_RANGE, place.unwrap_or(HeaderValue::from_static("bytes */*")));
                None
            }
            Self::RateLimited(standing) => {
                headers.insert(RETRY_AFTER, standing.reset_s.into());
                None
            }
            Self::Throttled(Some(seconds)) => {
                headers.insert(RETRY_AFTER, seconds.into());
                None
            }
            _ => None,
        };
        let body =
            ErrorBody { success: false, error: ErrorDetail { code, message, details }, request_id: request_id() };
        (status, headers, Json(body)).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound("resource"),
            StoreError::Conflict(what) => Self::Conflict(what.into()),
            StoreError::Exists(what) => Self::AlreadyExists(what),
            StoreError::Fenced => Self::Conflict("another instance owns this device".into()),
            StoreError::Closed => Self::Overloaded("the server is stopping"),
            other => Self::Internal(format!("{other}: {other:?}")),
        }
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::NotFound => Self::NotFound("device"),
            DirectoryError::OwnedElsewhere => Self::Conflict("another instance owns this device".into()),
            DirectoryError::AlreadyLinked => Self::Conflict("the device is already linked; log out first".into()),
            DirectoryError::Timeout => Self::UpstreamTimeout("whatsapp gave no code in time; try again"),
            DirectoryError::Refused(why) => Self::Conflict(format!("whatsapp refused: {why}")),
            DirectoryError::Stopping => Self::Overloaded("the server is stopping"),
            DirectoryError::Store(error) => error.into(),
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::NotConnected => {
                Self::DeviceNotConnected("the device is not connected to whatsapp; link it, start it, or wait for it")
            }
            AccountError::Busy => Self::Overloaded("the device has too many requests under way; try again"),
            AccountError::NoAnswer => {
                Self::UpstreamTimeout("whatsapp did not answer in time; look whether it was done before repeating it")
            }
            AccountError::Forbidden => Self::Forbidden("whatsapp does not allow this account to do that"),
            AccountError::NotFound(what) => Self::NotFound(what),
            AccountError::Throttled { retry_after_s } => Self::Throttled(retry_after_s),
            AccountError::Unavailable { .. } => Self::Overloaded("whatsapp cannot answer now; try again"),
            AccountError::Refused { .. } | AccountError::Unfit(_) => Self::Conflict(error.to_string()),
            AccountError::Failed(cause) => Self::Internal(cause),
        }
    }
}

impl From<PluginsError> for ApiError {
    fn from(error: PluginsError) -> Self {
        match error {
            PluginsError::NotFound | PluginsError::Store(StoreError::NotFound) => Self::NotFound("plugin"),
            PluginsError::Settings(wrong) => Self::Validation(wrong.0.iter().map(|line| named(line)).collect()),
            PluginsError::Store(error) => error.into(),
            PluginsError::ManagedByFile { .. }
            | PluginsError::TooMany
            | PluginsError::NoPrevious
            | PluginsError::NoTrial
            | PluginsError::TrialOfFile { .. }
            | PluginsError::NoFile(_) => Self::Conflict(error.to_string()),
        }
    }
}

/// A line that begins with the key it is about.
fn named(line: &str) -> FieldError {
    let (field, message) = line.split_once(": ").unwrap_or(("settings", line));
    FieldError { field: field.to_owned(), message: message.to_owned() }
}

impl From<plugins::KeepError> for ApiError {
    fn from(error: plugins::KeepError) -> Self {
        match error {
            plugins::KeepError::NotAPlugin(NotAPlugin::TooLarge) => Self::PayloadTooLarge,
            plugins::KeepError::NotAPlugin(why) => Self::field("component", why.to_string()),
            plugins::KeepError::Store(error) => error.into(),
        }
    }
}

impl From<KeepError> for ApiError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::TooLarge { .. } => Self::PayloadTooLarge,
            KeepError::TenantFull { .. } => Self::Conflict(error.to_string()),
            KeepError::Mismatch(Mismatch::Syntax) => Self::field("mimeType", Mismatch::Syntax.to_string()),
            KeepError::Mismatch(why) => Self::WrongMedia(why),
            KeepError::Store(error) => error.into(),
            KeepError::OtherHash | KeepError::Disk(_) => Self::Internal(format!("{error}: {error:?}")),
        }
    }
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::IdempotencyMismatch => Self::IdempotencyMismatch,
            AcceptError::NotLinked => Self::DeviceNotConnected("the device is not linked; pair it first"),
            AcceptError::Offline => Self::DeviceNotConnected("the device is offline and queueing is switched off"),
            AcceptError::MediaGone => Self::NotFound("media"),
            AcceptError::Rejected { plugin, code, message } => Self::PluginRejected { plugin, code, message },
            AcceptError::Store(error) => error.into(),
        }
    }
}

pub(super) async fn no_such_route() -> ApiError {
    ApiError::NotFound("route")
}

pub(super) async fn no_such_method() -> ApiError {
    ApiError::MethodNotAllowed
}

/// A handler that panicked: the caller gets the one shape, the log gets what is known.
pub(super) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<String>().cloned();
    let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    ApiError::Internal(format!("a handler panicked: {}", text.unwrap_or_default())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors");
        for (code, status) in ApiError::CODES {
            let page = std::fs::read_to_string(folder.join(format!("{code}.md"))).unwrap_or_default();
            assert!(page.contains(&format!("HTTP {status}")), "docs/errors/{code}.md must say HTTP {status}");
        }
    }
}
