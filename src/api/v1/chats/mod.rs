//! Chats of a device: listing them, reading them, and what is done to one. A chat is named by a phone number, by a lid or by a
//! group's id; a person's two addresses are one chat.
//!
//! What is done goes to WhatsApp first and is taken in here when it was done there, so that both sides tell the same.

pub(in crate::api) mod change;
pub(in crate::api) mod history;
pub(in crate::api) mod labels;
pub(in crate::api) mod list;
pub(in crate::api) mod messages;
pub(in crate::api) mod read;
pub(in crate::api) mod search;

use crate::api::Api;
use crate::api::caller::OwnDevice;
use crate::api::error::ApiError;
use crate::domain::chat::{Change, ChatChange};
use crate::domain::jid::ChatId;
use crate::store::{Before, ChatRow, LineRow, StoreError};
use crate::whatsapp::Newest;
use serde::Serialize;
use utoipa::ToSchema;

/// It was done and there is nothing else to tell, where clients know it bare.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ChatChanged {
    /// Always true.
    success: bool,
}

const CHANGED: ChatChanged = ChatChanged { success: true };

/// The chat that the path names.
fn named(chat: &str) -> Result<ChatId, ApiError> {
    ChatId::parse_written_anywhere(chat).map_err(|error| ApiError::field("chat", error.to_string()))
}

/// A chat that is known. The client library may know a person's other address where the store does not yet.
async fn find<S>(api: &Api, device: &OwnDevice<S>, chat: &ChatId) -> Result<Option<ChatRow>, ApiError> {
    match api.store.chat(&device.tenant.id, device.id(), chat).await {
        Ok(row) => return Ok(Some(row)),
        Err(StoreError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    if chat.is_group() || chat.is_newsletter() {
        return Ok(None);
    }
    // Not connected: what the store knows is all there is.
    let Ok(account) = device.account(api) else { return Ok(None) };
    let Some(other) = account.other_address(chat.as_str()).await? else { return Ok(None) };
    let Ok(other) = ChatId::parse(&other) else { return Ok(None) };
    match api.store.chat(&device.tenant.id, device.id(), &other).await {
        Ok(row) => Ok(Some(row)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn known<S>(api: &Api, device: &OwnDevice<S>, chat: &str) -> Result<ChatRow, ApiError> {
    find(api, device, &named(chat)?).await?.ok_or(ApiError::NotFound("chat"))
}

/// A chat to be changed: the address by which WhatsApp hears of it, and its newest message. One that is not known here may be
/// known there.
struct Place {
    address: String,
    newest: Option<Newest>,
}

impl Place {
    async fn of<S>(api: &Api, device: &OwnDevice<S>, chat: &str) -> Result<Self, ApiError> {
        let chat = named(chat)?;
        if chat.is_newsletter() {
            return Err(ApiError::Conflict(
                "a newsletter is no chat that can be changed; it has routes of its own".to_owned(),
            ));
        }
        let Some(row) = find(api, device, &chat).await? else {
            return Ok(Self { address: chat.to_string(), newest: None });
        };
        let lines = api.store.chat_lines(&device.tenant.id, row.id, Before::Newest, 1).await?;
        let newest = lines.into_iter().next().map(|line| newest(&row, line));
        Ok(Self { address: row.address, newest })
    }

    /// Takes in what was done at WhatsApp.
    async fn done<S>(&self, api: &Api, device: &OwnDevice<S>, change: Change) -> Result<(), ApiError> {
        let at = api.store.clock().now_ms();
        let change = ChatChange { address: self.address.clone(), change, at, is_news: true };
        Ok(api.store.change_chats(&device.tenant.id, device.id(), vec![change]).await?)
    }
}

fn newest(chat: &ChatRow, line: LineRow) -> Newest {
    let participant = (chat.is_group && !line.from_me).then_some(line.sender);
    Newest { wa_id: line.wa_id, from_me: line.from_me, participant, at: line.at }
}
