//! What a plugin keeps, for the tenant who owns it.

use crate::api::Api;
use crate::api::caller::{Manages, OwnPlugin};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::v1::limit;
use crate::store::KvRow;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

const LIMIT_MAX: u32 = 500;
/// Bytes of a value that are shown; of a longer one this is the beginning.
const VALUE_BYTES_SHOWN_MAX: u32 = 4_096;
/// Bytes of a prefix; no key is longer.
const PREFIX_BYTES_MAX: usize = 512;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Part {
    /// Only keys that begin so.
    prefix: Option<String>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// 1 to 500; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500)]
    limit: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Which {
    /// This key alone.
    key: Option<String>,
    /// Every key that begins so; empty is all.
    prefix: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PluginValue)]
pub(in crate::api) struct Entry {
    key: String,
    /// The first 4,096 bytes.
    value: String,
    /// `text`, or `base64` of a value that the plugin wrote as bytes.
    encoding: &'static str,
    /// Of the whole value.
    bytes: u64,
    /// Rises with every write.
    version: u64,
    /// Unix milliseconds; null keeps it.
    expires_at: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PluginValues)]
pub(in crate::api) struct Entries {
    entries: Vec<Entry>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeletedPluginValues)]
pub(in crate::api) struct Deleted {
    /// Keys that are gone.
    deleted: usize,
}

/// What a plugin keeps, in the order of its keys
#[utoipa::path(get, path = "/plugins/{plugin}/kv", operation_id = "listPluginValues", tag = "Plugins", params(Part),
    responses((status = 200, body = Envelope<Entries>)))]
pub(in crate::api) async fn kv(
    State(api): State<Api>,
    plugin: OwnPlugin<Manages>,
    Query(part): Query<Part>,
) -> Answer<Entries> {
    let page = ApiError::both(limit(part.limit.as_deref(), LIMIT_MAX), part.cursor.as_deref().map(key_of).transpose());
    let (prefix, (limit, after)) = ApiError::both(fitting("prefix", part.prefix.unwrap_or_default()), page)?;
    let (tenant, name) = (&plugin.tenant.id, &plugin.row.name);
    let rows = api.store.kv_page(tenant, name, &prefix, after, limit, VALUE_BYTES_SHOWN_MAX).await?;
    let full = rows.len() == limit as usize;
    let next_cursor = rows.last().filter(|_| full).map(|last| URL_SAFE_NO_PAD.encode(&last.key));
    Ok(enveloped(Entries { entries: rows.into_iter().map(Entry::from).collect(), next_cursor }))
}

/// Delete what a plugin keeps: one key, or every key with a prefix
#[utoipa::path(delete, path = "/plugins/{plugin}/kv", operation_id = "deletePluginValues", tag = "Plugins",
    params(Which), responses((status = 200, body = Envelope<Deleted>)))]
pub(in crate::api) async fn delete_kv(
    State(api): State<Api>,
    plugin: OwnPlugin<Manages>,
    Query(which): Query<Which>,
) -> Answer<Deleted> {
    let (tenant, name) = (&plugin.tenant.id, &plugin.row.name);
    let (deleted, meta) = match (which.key, which.prefix) {
        (Some(key), None) => {
            let key = fitting("key", key)?;
            (usize::from(api.store.delete_kv_key(tenant, name, &key).await?), json!({ "key": key }))
        }
        (None, Some(prefix)) => {
            let prefix = fitting("prefix", prefix)?;
            (api.store.delete_kv(tenant, name, &prefix).await?, json!({ "prefix": prefix }))
        }
        // A request that forgot to say which must not delete them all.
        _ => return Err(ApiError::field("prefix", "give key, or prefix; an empty prefix is every key")),
    };
    let mut line = plugin.audit("plugin.kv_deleted");
    line.meta = Some(meta);
    api.store.audit(line).await?;
    Ok(enveloped(Deleted { deleted }))
}

fn fitting(name: &str, text: String) -> Result<String, ApiError> {
    if text.len() > PREFIX_BYTES_MAX {
        return Err(ApiError::field(name, format!("must have at most {PREFIX_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn key_of(cursor: &str) -> Result<String, ApiError> {
    let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| ApiError::field("cursor", "must be what nextCursor gave"))
}

impl From<KvRow> for Entry {
    fn from(row: KvRow) -> Self {
        let (encoding, value) = match row.is_text {
            true => ("text", beginning(&row.beginning).to_owned()),
            false => ("base64", STANDARD.encode(&row.beginning)),
        };
        Self { key: row.key, value, encoding, bytes: row.bytes, version: row.version, expires_at: row.expires_at }
    }
}

/// Up to the last whole character: the cut does not look for one.
fn beginning(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character_and_bytes_are_told_as_base64() {
        let row = |is_text, beginning: &[u8]| KvRow {
            key: "k".into(),
            is_text,
            beginning: beginning.to_vec(),
            bytes: 9,
            version: 1,
            expires_at: None,
        };

        let text = Entry::from(row(true, "aé".as_bytes().split_at(2).0));
        let bytes = Entry::from(row(false, &[0, 255]));

        assert_eq!((text.value.as_str(), text.encoding), ("a", "text"));
        assert_eq!((bytes.value.as_str(), bytes.encoding), ("AP8=", "base64"));
    }
}
