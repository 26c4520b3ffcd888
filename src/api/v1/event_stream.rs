//! Events as they happen, as Server-Sent Events. The log is the queue: a stream reads it a page at a time behind its cursor,
//! so that a client that comes back with the last id it saw misses nothing and gets nothing twice.
//!
//! A client that takes nothing more for `server.stream_stall_s` is cut off; it finds what it missed in the log.

use super::events::{Shown, cursor, types};
use crate::api::Api;
use crate::api::caller::{Admission, OwnDevice, Reads, Tenant};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::serve::BreakOff;
use crate::api::streams::{Followed, Follower, GOODBYE_MAX, Next, Place};
use crate::store::EventRow;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use utoipa::IntoParams;

const LAST_EVENT_ID: &str = "Last-Event-ID";

/// Read as texts, so that a bad one is named.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// What `X-Next-Cursor` or the id of an event gave, or 0 for the beginning. `Last-Event-ID` wins. Without both: from now on.
    #[param(value_type = Option<u64>)]
    cursor: Option<String>,
    /// The name of an event, or `message.status`; several with commas between them.
    r#type: Option<String>,
}

/// Follow events of the whole tenant
///
/// Server-Sent Events, of all devices and of none: `id` is a cursor, `event` the type, `data` the event as `GET /v1/events`
/// shows it. Goes on until the client leaves, the key opens nothing any more, the tenant is suspended, or the server stops.
/// A comment comes when nothing else did for 15 seconds. Counts as one request when it is opened.
#[utoipa::path(get, path = "/events/stream", operation_id = "streamAllEvents", tag = "Events",
    params(Wanted, ("Last-Event-ID" = Option<u64>, Header, description = "The id of the last event that was seen.")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn of_tenant(
    State(api): State<Api>,
    tenant: Tenant<Reads>,
    connection: Option<Extension<BreakOff>>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let place = api.streams.enter(&tenant.id, &tenant.allowance)?;
    let followed = Followed { tenant: tenant.id, device: None, types: types(wanted.r#type.as_deref())? };
    answer(&api, &tenant.admission, followed, from(&headers, &wanted)?, place, connection).await
}

/// Follow events of a device
///
/// As those of the whole tenant, of one device.
#[utoipa::path(get, path = "/devices/{device}/events/stream", operation_id = "streamEvents", tag = "Events",
    params(Wanted, ("Last-Event-ID" = Option<u64>, Header, description = "The id of the last event that was seen.")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn of_device(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    connection: Option<Extension<BreakOff>>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let tenant = device.tenant;
    let place = api.streams.enter(&tenant.id, &tenant.allowance)?;
    let followed = Followed { tenant: tenant.id, device: Some(device.row.id), types: types(wanted.r#type.as_deref())? };
    answer(&api, &tenant.admission, followed, from(&headers, &wanted)?, place, connection).await
}

/// A browser comes back with the same address and the last id.
fn from(headers: &HeaderMap, wanted: &Wanted) -> Result<Option<i64>, ApiError> {
    let last = match headers.get(LAST_EVENT_ID).map(|value| value.to_str()) {
        None => None,
        Some(Ok(text)) => Some(text.trim()).filter(|text| !text.is_empty()),
        Some(Err(_)) => return Err(ApiError::field(LAST_EVENT_ID, "must be the id of an event in a stream")),
    };
    match last {
        Some(last) => cursor(LAST_EVENT_ID, Some(last)),
        None => cursor("cursor", wanted.cursor.as_deref()),
    }
}

async fn answer(
    api: &Api,
    admission: &Admission,
    followed: Followed,
    cursor: Option<i64>,
    place: Place,
    connection: Option<Extension<BreakOff>>,
) -> Result<Response, ApiError> {
    let follower = Follower::new(api, admission, followed, cursor).await?;
    let told = Telling { follower, waiting: VecDeque::new(), stage: Stage::Opening, _place: place };
    let stream =
        unfold(told, |mut told| async move { told.next().await.map(|event| (Ok::<_, Infallible>(event), told)) });
    let stream = Attended::new(stream, api, connection.map(|Extension(connection)| connection));
    // Proxies that gather answers would hold events back.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(stream)).into_response())
}

enum Stage {
    Opening,
    Open,
    Over,
}

/// One stream on its way out.
struct Telling {
    follower: Follower,
    /// What is left of the page.
    waiting: VecDeque<EventRow>,
    stage: Stage,
    _place: Place,
}

impl Telling {
    async fn next(&mut self) -> Option<Event> {
        match self.stage {
            Stage::Over => return None,
            Stage::Opening => {
                // The position alone, so that who breaks off before the first event comes back to it.
                self.stage = Stage::Open;
                return Some(self.position("open"));
            }
            Stage::Open => {}
        }
        if let Some(row) = self.waiting.pop_front() {
            return Some(told(row));
        }
        match self.follower.next().await {
            Next::Rows(rows) => {
                self.waiting = rows.into();
                match self.waiting.pop_front() {
                    Some(row) => Some(told(row)),
                    None => Some(self.position("nothing new")),
                }
            }
            Next::Stopping => {
                self.stage = Stage::Over;
                Some(Event::default().comment("the server is stopping"))
            }
            Next::Refused(why) => {
                self.stage = Stage::Over;
                match why {
                    ApiError::Internal(cause) => tracing::error!(cause, "a stream of events cannot go on"),
                    why => tracing::info!(?why, "a stream of events is ended"),
                }
                Some(Event::default().comment("the key opens this stream no longer, or the server cannot go on"))
            }
        }
    }

    /// A comment with an id and without data: a client remembers the id and shows nothing.
    fn position(&self, comment: &str) -> Event {
        Event::default().id(self.follower.cursor().to_string()).comment(comment)
    }
}

fn told(row: EventRow) -> Event {
    let (id, type_) = (row.seq.to_string(), row.type_.clone());
    // Plain fields only: this cannot fail.
    let data = serde_json::to_string(&Shown::from(row)).unwrap_or_default();
    Event::default().id(id).event(type_).data(data)
}

/// A stream whose reader is watched: when it takes nothing for too long, its connection is broken off.
struct Attended<S> {
    stream: Pin<Box<S>>,
    /// When the last event was given out, while nobody has asked for the next one.
    given_at: Arc<Mutex<Option<Instant>>>,
    _watched: Option<DropGuard>,
}

impl<S> Attended<S> {
    fn new(stream: S, api: &Api, connection: Option<BreakOff>) -> Self {
        let given_at = Arc::new(Mutex::new(None));
        let watched = connection.map(|BreakOff(connection)| {
            let done = CancellationToken::new();
            let watch = attend(given_at.clone(), api.settings.streams.stall, api.streams.stop().clone(), connection);
            tokio::spawn(done.clone().run_until_cancelled_owned(watch));
            done.drop_guard()
        });
        Self { stream: Box::pin(stream), given_at, _watched: watched }
    }
}

async fn attend(
    given_at: Arc<Mutex<Option<Instant>>>,
    stall: Duration,
    stop: CancellationToken,
    end: CancellationToken,
) {
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(GOODBYE_MAX).await;
    };
    let stalled = async {
        loop {
            let given = *given_at.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = given.map_or(Duration::ZERO, |at| at.elapsed());
            if waited >= stall {
                tracing::info!("a stream of events whose reader takes nothing is broken off");
                return;
            }
            tokio::time::sleep(stall - waited).await;
        }
    };
    tokio::select! {
        () = stopped => {}
        () = stalled => {}
    }
    end.cancel();
}

impl<S: Stream> Stream for Attended<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let note = |at| *self.given_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
        note(None);
        let polled = self.stream.as_mut().poll_next(cx);
        if polled.is_ready() {
            *self.given_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        polled
    }
}
