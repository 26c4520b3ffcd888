//! Which chats there are, and when they were last told of.

use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads};
use crate::api::envelope::{Answer, Bare, Envelope, enveloped};
use crate::api::extract::Query;
use crate::api::v1::{Page, UpTo200};
use crate::domain::chat::is_muted;
use crate::domain::clock::UnixMs;
use crate::domain::device::Observed;
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::label::LabelOfChat;
use crate::store::{ChatRow, StoreError};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// A chat. Times are unix seconds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Chat)]
pub(in crate::api) struct Shown {
    /// A group's id, or a person's address: by phone number where that is known.
    jid: String,
    /// A person's other address.
    lid: Option<String>,
    /// A group's subject; a person's name in the address book, or as they call themselves.
    name: Option<String>,
    is_group: bool,
    unread_count: u32,
    /// Marked as unread by hand.
    marked_unread: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_message_time: Option<i64>,
    archived: bool,
    muted: bool,
    /// Absent while it is not muted, and when it is for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    muted_until: Option<i64>,
    pinned: bool,
    labels: Vec<LabelOfChat>,
    /// Of a person, where it is known.
    phone_number: Option<String>,
}

impl Shown {
    pub(super) fn of(row: ChatRow, now: UnixMs) -> Self {
        let muted = is_muted(row.muted_until, now);
        Self {
            phone_number: row.jid.strip_suffix("@s.whatsapp.net").map(str::to_owned),
            muted_until: (muted && row.muted_until > 0).then_some(row.muted_until / 1_000),
            muted,
            jid: row.jid,
            lid: row.lid,
            name: row.name,
            is_group: row.is_group,
            unread_count: row.unread_count,
            marked_unread: row.marked_unread,
            last_message_time: row.last_message_at.map(|at| at / 1_000),
            archived: row.archived,
            pinned: row.pinned,
            labels: row.labels,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Chats {
    /// Whether the phone has told its history.
    synced: bool,
    /// Unix seconds.
    last_history_sync_at: Option<i64>,
    /// Of all pages.
    count: u64,
    limit: u32,
    offset: u32,
    chats: Vec<Shown>,
}

/// List chats
///
/// The one with the newest message first.
#[utoipa::path(get, path = "/devices/{device}/chats", operation_id = "listChats", tag = "Chats",
    params(Page<UpTo200>), responses((status = 200, body = Chats)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Query(page): Query<Page<UpTo200>>,
) -> Bare<Chats> {
    let (limit, offset) = page.checked()?;
    Ok(Json(shown(&api, &device.tenant.id, device.id(), limit, offset).await?))
}

/// A page of the chats of a device, newest first.
pub(in crate::api::v1) async fn shown(
    api: &Api,
    tenant: &TenantId,
    device: &DeviceId,
    limit: u32,
    offset: u32,
) -> Result<Chats, StoreError> {
    let now = api.store.clock().now_ms();
    let rows = api.store.chats(tenant, device, limit, offset).await?;
    let sync = api.store.chat_sync(tenant, device).await?;
    Ok(Chats {
        synced: sync.last_history_sync_at.is_some(),
        last_history_sync_at: sync.last_history_sync_at.map(|at| at / 1_000),
        count: sync.chat_count,
        limit,
        offset,
        chats: rows.into_iter().map(|row| Shown::of(row, now)).collect(),
    })
}

/// Times are unix seconds; those of the connection, milliseconds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ChatsSync {
    device_id: DeviceId,
    connection: SyncConnection,
    db: SyncStore,
    sync: SyncTimes,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SyncConnection {
    is_connected: bool,
    status: Observed,
    last_connect_at: Option<UnixMs>,
    last_disconnect_at: Option<UnixMs>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SyncStore {
    chat_count: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SyncTimes {
    last_history_sync_at: Option<i64>,
    last_history_sync_chats_count: Option<u64>,
    last_chats_upsert_at: Option<i64>,
    last_chats_update_at: Option<i64>,
    last_chats_delete_at: Option<i64>,
    updated_at: Option<i64>,
}

/// When chats were last told of
#[utoipa::path(get, path = "/devices/{device}/debug/chats-sync", operation_id = "readChatsSync", tag = "Chats",
    responses((status = 200, body = Envelope<ChatsSync>)))]
pub(in crate::api) async fn sync(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<ChatsSync> {
    let sync = api.store.chat_sync(&device.tenant.id, device.id()).await?;
    let seconds = |at: Option<UnixMs>| at.map(|at| at / 1_000);
    Ok(enveloped(ChatsSync {
        device_id: device.id().clone(),
        connection: SyncConnection {
            is_connected: device.row.observed == Observed::Connected,
            status: device.row.observed,
            last_connect_at: device.row.last_connect_at,
            last_disconnect_at: device.row.last_disconnect_at,
        },
        db: SyncStore { chat_count: sync.chat_count },
        sync: SyncTimes {
            last_history_sync_at: seconds(sync.last_history_sync_at),
            last_history_sync_chats_count: sync.last_history_sync_chats,
            last_chats_upsert_at: seconds(sync.last_chats_upsert_at),
            last_chats_update_at: seconds(sync.last_chats_update_at),
            last_chats_delete_at: seconds(sync.last_chats_delete_at),
            updated_at: seconds(sync.updated_at),
        },
    }))
}
