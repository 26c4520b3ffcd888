//! What a business shows of itself and sells, as WhatsApp tells it.

use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::v1::limit;
use crate::domain::jid::PersonId;
use crate::whatsapp::{BusinessProfile, Catalog};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

/// Goods on a page.
const LIMIT_MAX: u32 = 100;
/// WhatsApp's mark of a page.
const CURSOR_BYTES_MAX: usize = 2_048;

/// Whose; read as a text, so that a bad one is named.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Whose {
    /// A business, by phone number or lid. The device's own account when left out.
    of: Option<String>,
}

impl Whose {
    fn parsed(&self) -> Result<Option<PersonId>, ApiError> {
        let of = self.of.as_deref().map(PersonId::parse_written).transpose();
        of.map_err(|error| ApiError::field("of", error.to_string()))
    }
}

/// What a business shows of itself
///
/// 404 for an account that is none. Reading alone: docs/capabilities.md.
#[utoipa::path(get, path = "/devices/{device}/business-profile", operation_id = "readBusinessProfile", tag = "Account",
    params(Whose),
    responses((status = 200, body = Envelope<BusinessProfile>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn profile(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Query(whose): Query<Whose>,
) -> Answer<BusinessProfile> {
    let of = whose.parsed()?;
    Ok(enveloped(device.account(&api)?.business_profile(of.as_ref()).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct CatalogPage {
    /// A business, by phone number or lid. The device's own account when left out.
    of: Option<String>,
    /// Goods on a page; WhatsApp may give fewer.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
    /// What `nextCursor` gave.
    #[param(max_length = 2048)]
    cursor: Option<String>,
}

/// The goods of a business
///
/// As WhatsApp has them now, a page at a time. 404 where it knows no catalog.
#[utoipa::path(get, path = "/devices/{device}/catalog", operation_id = "readCatalog", tag = "Account",
    params(CatalogPage),
    responses((status = 200, body = Envelope<Catalog>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn catalog(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Query(page): Query<CatalogPage>,
) -> Answer<Catalog> {
    let CatalogPage { of, limit: asked, cursor } = page;
    let of = Whose { of }.parsed()?;
    let limit = limit(asked.as_deref(), LIMIT_MAX)?;
    let cursor = cursor.filter(|cursor| !cursor.is_empty());
    if cursor.as_ref().is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX) {
        return Err(ApiError::field("cursor", "must be what nextCursor gave"));
    }
    Ok(enveloped(device.account(&api)?.catalog(of.as_ref(), limit, cursor.as_deref()).await?))
}
