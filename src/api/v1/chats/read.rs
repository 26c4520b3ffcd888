//! Telling who wrote that it was read, and the account's other devices.

use super::{CHANGED, ChatChanged, known, newest};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::domain::chat::{Change, ChatChange};
use crate::store::{Before, LineRow, READ_AT_ONCE_MAX, StoreError};
use axum::Json;
use axum::extract::State;
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct MarkRead {
    /// Messages that were received in this chat. Left out: all that are unread, the newest 1,000 of them at WhatsApp.
    #[schema(required = false, max_items = 1000)]
    message_ids: Vec<String>,
}

/// Mark as read
///
/// Sends read receipts, as far as the account's privacy allows, and marks the chat as read on its other devices.
#[utoipa::path(post, path = "/devices/{device}/chats/{chat}/mark-read", operation_id = "markChatRead", tag = "Chats",
    request_body = MarkRead,
    responses((status = 200, body = ChatChanged), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn mark(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat)): Path<(String, String)>,
    mut fields: Fields,
) -> Bare<ChatChanged> {
    let ids = fields.list("messageIds", 0..=READ_AT_ONCE_MAX as usize, |id| match id.chars().count() {
        1..=128 => Ok(id.to_owned()),
        _ => Err("must have 1 to 128 characters"),
    });
    fields.finish()?;
    let ids = ids.filter(|ids| !ids.is_empty());
    let row = known(&api, &device, &chat).await?;
    let tenant = &device.tenant.id;
    let lines = match &ids {
        None => api.store.unread_lines(tenant, row.id).await?,
        Some(ids) => {
            let mut lines = Vec::with_capacity(ids.len());
            for (place, id) in ids.iter().enumerate() {
                let line = api.store.chat_line(tenant, row.id, id).await.map_err(|error| match error {
                    StoreError::NotFound => {
                        ApiError::field(&format!("messageIds[{place}]"), "is no message of this chat")
                    }
                    other => other.into(),
                })?;
                lines.push(line);
            }
            lines.retain(|line| !line.from_me);
            lines
        }
    };
    let account = device.account(&api)?;
    for (sender, ids) in by_sender(&lines, row.is_group) {
        account.send_read(&row.address, sender, &ids).await?;
    }
    let at = api.store.clock().now_ms();
    let change = match ids {
        None => {
            let last = api.store.chat_lines(tenant, row.id, Before::Newest, 1).await?;
            let last = last.into_iter().next().map(|line| newest(&row, line));
            account.mark_chat(&row.address, true, last.as_ref()).await?;
            Change::Read(true)
        }
        Some(_) => Change::ReadUpTo(lines.iter().map(|line| line.wa_id.clone()).collect()),
    };
    let change = ChatChange { address: row.address, change, at, is_news: true };
    api.store.change_chats(tenant, device.id(), vec![change]).await?;
    Ok(Json(CHANGED))
}

/// A receipt goes to one author; in a person's chat there is only one.
fn by_sender(lines: &[LineRow], is_group: bool) -> BTreeMap<Option<&str>, Vec<&str>> {
    let mut groups: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for line in lines {
        let sender = is_group.then_some(line.sender.as_str());
        groups.entry(sender).or_default().push(&line.wa_id);
    }
    groups
}
