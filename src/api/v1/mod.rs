//! What a tenant does, with its key.

pub(super) mod account;
pub(super) mod chat_socket;
pub(super) mod chats;
pub(super) mod communities;
pub(super) mod debug;
pub(super) mod devices;
pub(super) mod event_stream;
pub(super) mod events;
pub(super) mod groups;
pub(super) mod keys;
pub(super) mod labels;
pub(super) mod lifecycle;
pub(super) mod media;
pub(super) mod messages;
pub(super) mod newsletters;
pub(super) mod pairing;
pub(super) mod pipeline;
pub(super) mod plugins;
pub(super) mod status;
pub(super) mod templates;
pub(super) mod webhooks;

use super::error::ApiError;
use super::parameters;
use serde::Deserialize;
use std::marker::PhantomData;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{KnownFormat, ObjectBuilder, Required, SchemaFormat, schema};

const LIMIT_DEFAULT: u32 = 50;

/// How many rows a page has at most.
pub(super) trait LimitMax {
    const LIMIT_MAX: u32;
}

pub(super) struct UpTo100;
impl LimitMax for UpTo100 {
    const LIMIT_MAX: u32 = 100;
}

pub(super) struct UpTo200;
impl LimitMax for UpTo200 {
    const LIMIT_MAX: u32 = 200;
}

/// `limit` and `offset` of a list. Read as texts, so that a bad one is named.
#[derive(Deserialize)]
pub(super) struct Page<M> {
    limit: Option<String>,
    offset: Option<String>,
    #[serde(skip)]
    _limit_max: PhantomData<M>,
}

impl<M: LimitMax> Page<M> {
    pub(super) fn checked(&self) -> Result<(u32, u32), ApiError> {
        let offset = self.offset.as_deref().map_or(Ok(0), parameters::offset);
        ApiError::both(limit(self.limit.as_deref(), M::LIMIT_MAX), offset.map_err(|why| ApiError::field("offset", why)))
    }
}

pub(super) fn limit(text: Option<&str>, limit_max: u32) -> Result<u32, ApiError> {
    let number = text.map_or(Ok(LIMIT_DEFAULT.min(limit_max)), str::parse).ok();
    let number = number.filter(|number| (1..=limit_max).contains(number));
    number.ok_or_else(|| ApiError::field("limit", format!("must be 1 to {limit_max}")))
}

impl<M: LimitMax> IntoParams for Page<M> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let whole = |least: u32, most: u32, default: u32| {
            ObjectBuilder::new()
                .schema_type(schema::Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
                .minimum(Some(least))
                .maximum(Some(most))
                .default(Some(default.into()))
                .build()
        };
        let parameter = |name: &str, about: &str, schema| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(about))
                .schema(Some(schema))
                .build()
        };
        vec![
            parameter("limit", "Rows on a page.", whole(1, M::LIMIT_MAX, LIMIT_DEFAULT)),
            parameter("offset", "Rows to pass over.", whole(0, parameters::OFFSET_MAX, 0)),
        ]
    }
}
