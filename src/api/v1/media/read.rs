//! Giving a file, or a part of it. One that is still at WhatsApp is fetched first.

use super::range::{Part, part};
use super::{OwnMedia, no_media};
use crate::api::Api;
use crate::api::caller::Reads;
use crate::api::error::{ApiError, ErrorBody};
use crate::domain::ids::TenantId;
use crate::domain::media::{MediaFailure, essence};
use crate::media::Media;
use crate::store::{MediaRow, MediaState, Topic};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

/// How long a client waits for a file that has to be fetched; the fetch goes on, so that the next request finds it.
const FETCH_WAIT_MAX: Duration = Duration::from_secs(60);
/// A fetch that failed is not tried again within this time, however often somebody asks.
const FAILURE_HOLDS_MS: i64 = 60_000;

/// What stands in a file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "the form of the answer, for the API document")]
pub(in crate::api) struct FileBytes(Vec<u8>);

/// A file
///
/// With its type, and `inline` only for what a browser shows without running it. Ranges are answered (`206`, `416`), also with
/// `If-Range`; the `ETag` is the file's hash. A received file that is not here yet is fetched from WhatsApp first: that
/// takes a connected device (else 409), and is 410 when WhatsApp and the phone that sent it have it no more.
#[utoipa::path(get, path = "/devices/{device}/media/{media}", operation_id = "readMedia", tag = "Media",
    params(("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-1023`."),
        ("If-Range" = Option<String>, Header, description = "An `ETag`; the range counts only while the file has it."),
        ("If-None-Match" = Option<String>, Header, description = "An `ETag`; 304 while the file has it.")),
    responses((status = 200, description = "The file, with its own type", content((FileBytes = "application/octet-stream"), (FileBytes = "*/*"))),
        (status = 206, description = "The part that was asked for", content((FileBytes = "application/octet-stream"), (FileBytes = "*/*"))),
        (status = 304, description = "The file is the one that the client has"),
        (status = 409, response = crate::api::openapi::Refusal),
        (status = 410, body = ErrorBody, description = "Neither WhatsApp nor the phone that sent the file has it any more."),
        (status = 416, body = ErrorBody, description = "Nothing of the file lies in the range.")))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    media: OwnMedia<Reads>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let row = here(&api, &media.device.tenant.id, media.row).await?;
    let reader = api.media.reader(&row.tenant, &row.id).await?;
    let size = reader.size();
    let etag = format!("\"{}\"", hex::encode(row.sha256.as_deref().unwrap_or_default()));
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(IF_NONE_MATCH).is_some_and(|known| matches(known, &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let ranged = text(IF_RANGE).is_none_or(|known| known.trim() == etag);
    let wanted = text(RANGE).filter(|_| ranged);
    let (status, first, length) = match part(wanted, size) {
        Part::Whole => (StatusCode::OK, 0, size),
        Part::From { first, length } => (StatusCode::PARTIAL_CONTENT, first, length),
        Part::Outside => return Err(ApiError::RangeNotSatisfiable { size }),
    };
    let mut answer = Response::new(Body::from_stream(Media::stream(reader, first, length)));
    *answer.status_mut() = status;
    let set = answer.headers_mut();
    if status == StatusCode::PARTIAL_CONTENT {
        let place = format!("bytes {first}-{}/{size}", first + length - 1);
        set.insert(CONTENT_RANGE, HeaderValue::try_from(place).unwrap_or(HeaderValue::from_static("bytes */*")));
    }
    set.insert(CONTENT_LENGTH, length.into());
    for (name, value) in [
        (CONTENT_TYPE, row.mime.clone()),
        (CONTENT_DISPOSITION, disposition(&row)),
        (ETAG, etag),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CACHE_CONTROL, "private, no-cache".to_owned()),
        // What a browser opens all the same may do nothing.
        (CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
    ] {
        let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        set.insert(name, value);
    }
    Ok(answer)
}

fn matches(known: &str, etag: &str) -> bool {
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == "*" || one == etag)
}

/// The row once its file is here.
pub(in crate::api::v1) async fn here(api: &Api, tenant: &TenantId, mut row: MediaRow) -> Result<MediaRow, ApiError> {
    let now = api.store.clock().now_ms();
    match row.state {
        MediaState::Stored => return Ok(row),
        MediaState::Failed(failure) if row.failed_at.is_some_and(|at| now - at < FAILURE_HOLDS_MS) => {
            return Err(failed(failure));
        }
        MediaState::Failed(_) | MediaState::Remote | MediaState::Wanted => {}
    }
    if api.directory.connected_device(&row.device).is_none() {
        let why = "the file is still at WhatsApp, and its device is not connected to fetch it";
        return Err(ApiError::DeviceNotConnected(why));
    }
    let mut changes = api.store.watch(Topic::Media);
    api.store.want_media(tenant, &row.id).await?;
    let until = Instant::now() + FETCH_WAIT_MAX;
    loop {
        row = api.store.media(tenant, &row.id).await.map_err(no_media)?;
        match row.state {
            MediaState::Stored => return Ok(row),
            MediaState::Failed(failure) => return Err(failed(failure)),
            MediaState::Remote | MediaState::Wanted => {}
        }
        if timeout_at(until, changes.changed()).await.is_err() {
            return Err(ApiError::UpstreamTimeout("the file is still on its way from WhatsApp; ask for it again"));
        }
    }
}

fn failed(failure: MediaFailure) -> ApiError {
    match failure {
        MediaFailure::Expired => ApiError::MediaUnavailable(
            "WhatsApp has the file no more, and the phone that sent it does not give it again",
        ),
        MediaFailure::Corrupt => ApiError::MediaUnavailable("what WhatsApp gave is not the file that was sent"),
        MediaFailure::TooLarge => {
            ApiError::Conflict("the file is larger than this gateway takes (media.file_bytes_max)".into())
        }
        MediaFailure::TenantFull => ApiError::Conflict(
            "the tenant stores as much media as it may (media.tenant_bytes_max); delete some and ask again".into(),
        ),
        MediaFailure::Unreachable => {
            ApiError::UpstreamTimeout("WhatsApp did not give the file in several tries; ask again in a minute")
        }
    }
}

/// Shown in place only what cannot run in a browser; everything else is saved.
fn disposition(row: &MediaRow) -> String {
    const SHOWN: [&str; 12] = [
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "video/mp4",
        "video/3gpp",
        "video/quicktime",
        "video/webm",
        "audio/ogg",
        "audio/mpeg",
        "audio/mp4",
        "audio/aac",
    ];
    let how = if SHOWN.contains(&essence(&row.mime).as_str()) { "inline" } else { "attachment" };
    let Some(name) = &row.file_name else { return how.to_owned() };
    // RFC 6266: a plain form for old clients, and the whole name in the encoding of RFC 8187.
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_. ".contains(c) { c } else { '_' }).collect();
    let encoded: String = name
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{DeviceId, MediaId};
    use crate::domain::media::Dimensions;

    fn row(mime: &str, file_name: Option<&str>) -> MediaRow {
        MediaRow {
            id: MediaId::generate(),
            tenant: TenantId::generate(),
            device: DeviceId::generate(),
            state: MediaState::Stored,
            mime: mime.into(),
            file_name: file_name.map(str::to_owned),
            size: 1,
            sha256: None,
            dimensions: Dimensions::default(),
            failed_at: None,
        }
    }

    #[test]
    fn what_could_run_in_a_browser_is_saved_and_a_name_cannot_leave_its_header() {
        assert_eq!(disposition(&row("image/png", None)), "inline");
        assert_eq!(disposition(&row("audio/ogg; codecs=opus", None)), "inline");
        for mime in ["text/html", "image/svg+xml", "application/pdf", "application/octet-stream"] {
            assert_eq!(disposition(&row(mime, None)), "attachment", "{mime}");
        }
        let named = disposition(&row("application/pdf", Some("a\"; filename=b \u{e9}.pdf")));
        assert_eq!(
            named,
            "attachment; filename=\"a__ filename_b _.pdf\"; filename*=UTF-8''a%22%3B%20filename%3Db%20%C3%A9.pdf"
        );
    }

    #[test]
    fn an_etag_is_found_among_several() {
        assert!(matches("\"a\", W/\"b\"", "\"b\"") && matches("*", "\"b\"") && !matches("\"a\"", "\"b\""));
    }
}
