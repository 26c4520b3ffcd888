//! The chats of one device live, over a WebSocket: what there is first, then what changes.
//!
//! Promises: what is told follows the log from before the chats were read, so that nothing is missed in between; a reader
//! that does not take what was sent for `server.stream_stall_s` is closed, and until then one page of the log and one
//! message wait for it, never more. A key is judged as in a header, at the start and for as long as the socket is open.
//! What was missed while nobody listened is in the events of the device; a socket has no cursor.

mod chats;
mod said;

use crate::api::Api;
use crate::api::caller::{Admission, DeviceByToken, Reads};
use crate::api::error::ApiError;
use crate::api::streams::{Followed, Follower, GOODBYE_MAX, Next, Place};
use crate::domain::ids::{DeviceId, TenantId};
use crate::store::EventRow;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval_at};

/// Bytes of a message of the client; a longer one ends the connection.
const HEARD_BYTES_MAX: usize = 16 << 10;
/// Pings that may be unanswered; at the next one the peer is taken for gone.
const PINGS_UNANSWERED_MAX: u32 = 2;

/// Why the server closes. Codes of our own begin with 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    Stopping,
    Failed,
    NoKey,
    Forbidden,
    NoPong,
    Slow,
    TooMany,
    RateLimited,
}

impl Close {
    fn code(self) -> u16 {
        match self {
            Self::Stopping => 1001,
            Self::Failed => 1011,
            Self::NoKey => 4001,
            Self::Forbidden => 4003,
            Self::NoPong => 4007,
            Self::Slow => 4008,
            Self::TooMany => 4009,
            Self::RateLimited => 4029,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Stopping => "the server is stopping; connect again",
            Self::Failed => "something failed on our side",
            Self::NoKey => "the key is missing or not valid for this device",
            Self::Forbidden => "the key may not read, or the tenant is suspended",
            Self::NoPong => "pings were not answered",
            Self::Slow => "what was sent was not read in time; connect again",
            Self::TooMany => "the tenant has as many streams open as it may",
            Self::RateLimited => "too many requests; try again later",
        }
    }

    /// How a refusal is told here. A device of somebody else, and one that is not there, is as a key that is not valid.
    fn of(why: &ApiError) -> Self {
        match why {
            ApiError::Unauthorized | ApiError::InvalidApiKey | ApiError::NotFound(_) => Self::NoKey,
            ApiError::Forbidden(_) | ApiError::MissingScope(_) => Self::Forbidden,
            ApiError::Conflict(_) => Self::TooMany,
            ApiError::RateLimited(_) => Self::RateLimited,
            ApiError::Overloaded(_) => Self::Stopping,
            _ => Self::Failed,
        }
    }

    /// For programs: the code of the error message that comes before the close.
    fn error(self) -> Option<&'static str> {
        match self {
            Self::Stopping | Self::NoPong | Self::Slow => None,
            Self::Failed => Some("INTERNAL_ERROR"),
            Self::NoKey => Some("UNAUTHORIZED"),
            Self::Forbidden => Some("FORBIDDEN"),
            Self::TooMany => Some("CONFLICT"),
            Self::RateLimited => Some("RATE_LIMIT_EXCEEDED"),
        }
    }
}

/// How a conversation ended.
enum End {
    /// The peer left, or its connection broke.
    Left,
    Close(Close),
}

/// Follow the chats of a device over a WebSocket
///
/// The key is in a header, or in `token`, where `Bearer ` or `Bearer_` may stand before it. A key that is not let in is told
/// so over the socket: `{"type":"error","code":"UNAUTHORIZED","message"}`, then close 4001. Then `connected`, `chats.set`,
/// and what happens: `messages.upsert`, `chats.upsert`, `chats.update`, `chats.delete`, `contacts.upsert`,
/// `connection.update`; each `{type,deviceId,timestamp,data}` with milliseconds. `{"type":"ping"}` is answered with `pong`.
/// Without an upgrade to a WebSocket it answers as any other route does.
#[utoipa::path(get, path = "/devices/{device}/chat-ws", operation_id = "openChatSocket", tag = "Events",
    params(("token" = Option<String>, Query, description = "The API key, where no header can be given.")),
    responses((status = 101, description = "From here on it is a WebSocket.")))]
pub(in crate::api) async fn open(
    State(api): State<Api>,
    DeviceByToken(device): DeviceByToken<Reads>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let entered = device.and_then(|device| {
        let place = api.streams.enter(&device.tenant.id, &device.tenant.allowance)?;
        Ok(Session {
            api: api.clone(),
            admission: device.tenant.admission,
            tenant: device.tenant.id,
            device: device.row.id,
            _place: place,
        })
    });
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.max_message_size(HEARD_BYTES_MAX).max_frame_size(HEARD_BYTES_MAX),
        Err(_) => {
            entered?;
            return Err(ApiError::field("Upgrade", "must ask for a WebSocket"));
        }
    };
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let end = match &entered {
            Ok(session) => session.talk(&mut socket).await,
            Err(why) => End::Close(Close::of(why)),
        };
        if let End::Close(close) = end {
            let patience = async {
                if close == Close::Slow {
                    let _ = tokio::time::timeout(SLOW_GOODBYE_MAX, api.streams.stop().cancelled()).await;
                }
                tokio::time::sleep(GOODBYE_MAX).await;
            };
            tokio::select! {
                () = say_goodbye(&mut socket, close) => {}
                () = patience => {}
            }
        }
    }))
}

/// How long a slow reader has to come to the code behind what it was sent, unless the process stops.
const SLOW_GOODBYE_MAX: Duration = Duration::from_secs(10);

/// What is wrong, where there is something to say; the close, with its code; and a moment for the peer to answer it. A slow
/// reader that reads on in this time finds the code behind what it was sent.
async fn say_goodbye(socket: &mut WebSocket, close: Close) {
    let goodbye = async {
        if let Some(code) = close.error() {
            let error = json!({ "type": "error", "code": code, "message": close.reason() });
            socket.send(Message::text(error.to_string())).await?;
        }
        let frame = CloseFrame { code: close.code(), reason: close.reason().into() };
        socket.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<_, axum::Error>(())
    };
    // A peer that is gone already is no event of ours.
    let _ = goodbye.await;
}

/// Who is at the other end.
struct Session {
    api: Api,
    admission: Admission,
    tenant: TenantId,
    device: DeviceId,
    _place: Place,
}

impl Session {
    async fn talk(&self, socket: &mut WebSocket) -> End {
        let talked = async {
            // Before the chats are read: what changes meanwhile is told after them.
            let mut follower = self.follower().await?;
            self.greet(socket).await?;
            self.follow(socket, &mut follower).await
        };
        match talked.await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn follower(&self) -> Result<Follower, End> {
        let followed = Followed {
            tenant: self.tenant.clone(),
            device: Some(self.device.clone()),
            types: said::TYPES.iter().map(|type_| type_.as_str().to_owned()).collect(),
        };
        Follower::new(&self.api, &self.admission, followed, None).await.map_err(refused)
    }

    async fn greet(&self, socket: &mut WebSocket) -> Result<(), End> {
        let row = self.api.store.device(&self.tenant, &self.device).await.map_err(|error| refused(error.into()))?;
        let standing = json!({ "status": row.observed, "degraded": row.degraded, "phoneNumber": row.phone_number });
        self.send(socket, "connected", standing).await?;
        self.send_chats(socket).await
    }

    async fn send_chats(&self, socket: &mut WebSocket) -> Result<(), End> {
        let chats = chats::all(&self.api, &self.tenant, &self.device).await.map_err(refused)?;
        self.send(socket, "chats.set", chats).await
    }

    async fn follow(&self, socket: &mut WebSocket, follower: &mut Follower) -> Result<std::convert::Infallible, End> {
        let every = self.api.settings.streams.ping;
        let mut pings = interval_at(tokio::time::Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unanswered = 0;
        loop {
            tokio::select! {
                heard = socket.recv() => {
                    unanswered = 0;
                    match heard {
                        Some(Ok(Message::Text(text))) => self.answer(socket, &text).await?,
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Left),
                        Some(Ok(_)) => {}
                    }
                }
                next = follower.next() => match next {
                    Next::Rows(rows) => self.tell(socket, rows).await?,
                    Next::Stopping => return Err(End::Close(Close::Stopping)),
                    Next::Refused(why) => return Err(refused(why)),
                },
                _ = pings.tick() => {
                    if unanswered >= PINGS_UNANSWERED_MAX {
                        return Err(End::Close(Close::NoPong));
                    }
                    unanswered += 1;
                    self.write(socket, Message::Ping(Default::default())).await?;
                }
            }
        }
    }

    async fn answer(&self, socket: &mut WebSocket, text: &str) -> Result<(), End> {
        let asked = serde_json::from_str::<Value>(text).ok();
        let type_ = asked.as_ref().and_then(|asked| asked.get("type")).and_then(Value::as_str);
        if type_ == Some("ping") {
            return self.send(socket, "pong", json!({})).await;
        }
        let message = "only {\"type\":\"ping\"} is understood here";
        let error = json!({ "type": "error", "code": "VALIDATION_ERROR", "message": message });
        self.write(socket, Message::text(error.to_string())).await
    }

    async fn tell(&self, socket: &mut WebSocket, rows: Vec<EventRow>) -> Result<(), End> {
        for row in rows {
            for (type_, data) in said::told(&row) {
                self.send(socket, type_, data).await?;
            }
            if said::changes_all_chats(&row) {
                self.send_chats(socket).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, socket: &mut WebSocket, type_: &str, data: Value) -> Result<(), End> {
        let now = self.api.store.clock().now_ms();
        let message = json!({ "type": type_, "deviceId": self.device, "timestamp": now, "data": data });
        self.write(socket, Message::text(message.to_string())).await
    }

    async fn write(&self, socket: &mut WebSocket, message: Message) -> Result<(), End> {
        match tokio::time::timeout(self.api.settings.streams.stall, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Left),
            Err(_) => Err(End::Close(Close::Slow)),
        }
    }
}

fn refused(why: ApiError) -> End {
    let close = Close::of(&why);
    if close == Close::Failed {
        tracing::error!(?why, "a socket is closed");
    }
    End::Close(close)
}
