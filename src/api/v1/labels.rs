//! The labels of a device's account: which there are, and making, naming and deleting one. As everything that is done to
//! chats, it goes to WhatsApp first and is taken in here when it was done there.

use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Created, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::domain::label::{COLOR_MAX, LabelChange, LabelEdit, NAME_CHARS_MAX};
use crate::store::{LabelRow, StoreError};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct WriteLabel {
    #[schema(min_length = 1, max_length = 100, example = "New order")]
    name: String,
    /// One of WhatsApp's colours. Left out, 0 for a new label, and as it is for another.
    #[schema(required = false, minimum = 0, maximum = 19)]
    color: u32,
}

/// A label. Times are unix seconds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Label)]
pub(in crate::api) struct Shown {
    /// WhatsApp's id of it, the same on all of the account's devices.
    id: String,
    name: String,
    /// One of WhatsApp's colours, from 0.
    color: i32,
    /// Chats that have it.
    chats: u64,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneLabel)]
pub(in crate::api) struct One {
    label: Shown,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Labels)]
pub(in crate::api) struct Several {
    labels: Vec<Shown>,
    count: usize,
}

/// The account's labels
///
/// Those made here and those of its other devices, all of them.
#[utoipa::path(get, path = "/devices/{device}/labels", operation_id = "listLabels", tag = "Chats",
    responses((status = 200, body = Envelope<Several>)))]
pub(in crate::api) async fn list(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<Several> {
    let rows = api.store.labels(&device.tenant.id, device.id()).await?;
    let labels: Vec<Shown> = rows.into_iter().map(Shown::from).collect();
    Ok(enveloped(Several { count: labels.len(), labels }))
}

/// Make a label
///
/// At most 100 of a device; WhatsApp's business app itself makes 20.
#[utoipa::path(post, path = "/devices/{device}/labels", operation_id = "createLabel", tag = "Chats",
    request_body = WriteLabel,
    responses((status = 201, body = Envelope<One>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    mut fields: Fields,
) -> Created<One> {
    let (name, color) = written(&mut fields);
    fields.finish()?;
    let name = name.ok_or_else(|| ApiError::field("name", "is required"))?;
    let account = device.account(&api)?;
    let id = api.store.reserve_label(&device.tenant.id, device.id()).await?;
    account.set_label(&id, &name, color.unwrap_or(0)).await?;
    let label = named(&api, &device, id, name, color).await?;
    Ok((StatusCode::CREATED, enveloped(One { label })))
}

/// Name a label otherwise, or give it another colour
#[utoipa::path(put, path = "/devices/{device}/labels/{label}", operation_id = "replaceLabel", tag = "Chats",
    request_body = WriteLabel,
    responses((status = 200, body = Envelope<One>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn replace(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, label)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<One> {
    let (name, color) = written(&mut fields);
    fields.finish()?;
    let name = name.ok_or_else(|| ApiError::field("name", "is required"))?;
    let before = known(&api, &device, &label).await?;
    let color = color.unwrap_or(before.color);
    device.account(&api)?.set_label(&before.id, &name, color).await?;
    Ok(enveloped(One { label: named(&api, &device, before.id, name, Some(color)).await? }))
}

/// Delete a label
///
/// It goes from every chat that has it; no event tells that of each.
#[utoipa::path(delete, path = "/devices/{device}/labels/{label}", operation_id = "deleteLabel", tag = "Chats",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, label)): Path<(String, String)>,
) -> Answer<Done> {
    let id = known(&api, &device, &label).await?.id;
    device.account(&api)?.delete_label(&id).await?;
    let change = LabelChange { id, edit: LabelEdit::Deleted };
    api.store.change_labels(&device.tenant.id, device.id(), vec![change]).await?;
    Ok(done("the label is deleted"))
}

/// A label of the device's account.
pub(super) async fn known<S>(api: &Api, device: &OwnDevice<S>, id: &str) -> Result<LabelRow, ApiError> {
    api.store.label(&device.tenant.id, device.id(), id).await.map_err(|error| match error {
        StoreError::NotFound => ApiError::NotFound("label"),
        other => other.into(),
    })
}

/// Takes in what was done at WhatsApp.
async fn named<S>(
    api: &Api,
    device: &OwnDevice<S>,
    id: String,
    name: String,
    color: Option<i32>,
) -> Result<Shown, ApiError> {
    let edit = LabelEdit::Named { name, color, at: api.store.clock().now_ms() };
    let change = LabelChange { id: id.clone(), edit };
    api.store.change_labels(&device.tenant.id, device.id(), vec![change]).await?;
    Ok(known(api, device, &id).await?.into())
}

fn written(fields: &mut Fields) -> (Option<String>, Option<i32>) {
    let color = fields.whole("color", 0..=COLOR_MAX);
    (fields.name("name", NAME_CHARS_MAX, true), color.and_then(|color| i32::try_from(color).ok()))
}

impl From<LabelRow> for Shown {
    fn from(row: LabelRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            color: row.color,
            chats: row.chats,
            created_at: row.created_at / 1000,
            updated_at: row.updated_at / 1000,
        }
    }
}
