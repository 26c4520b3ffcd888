//! Telling who posted that it was seen.

use super::among_posts;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::{Answer, Done, Envelope, done};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::domain::ids::MessageId;
use crate::domain::jid::{ChatId, PersonId};
use crate::store::{Found, Named, Said};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Whose {
    /// Who posted it; needed when several posts have its id.
    participant: Option<String>,
}

/// Mark a status post as viewed
///
/// One that was received, by its id. Who posted it is told, as WhatsApp's server allows; so they are each time.
#[utoipa::path(post, path = "/devices/{device}/status/{message}/view", operation_id = "viewStatus", tag = "Status",
    params(Whose),
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn view(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, message)): Path<(String, String)>,
    Query(whose): Query<Whose>,
) -> Answer<Done> {
    let author = whose.participant.as_deref().map(PersonId::parse_written).transpose();
    let author = author.map_err(|why| ApiError::field("participant", why.to_string()))?;
    // One of our ids is of what was sent here.
    if message.starts_with(MessageId::PREFIX) {
        return Err(ApiError::NotFound("status post"));
    }
    let hints = among_posts(author.as_ref());
    let (sender, wa_id) = match api.store.find_message(&device.tenant.id, device.id(), &message, hints).await? {
        Named::One(Found { said: Said::Received { sender, .. }, wa_id, from_me: false, .. }) => (sender, wa_id),
        Named::One(_) => return Err(ApiError::Conflict("the account posted this itself".to_owned())),
        Named::Unknown | Named::Elsewhere => return Err(ApiError::NotFound("status post")),
        Named::Several => {
            let which = "several status posts have this id: name who posted it with `participant`";
            return Err(ApiError::Conflict(which.to_owned()));
        }
    };
    let status = ChatId::status();
    device.account(&api)?.send_read(status.as_str(), Some(&sender), &[&wa_id]).await?;
    Ok(done("the status post is marked as viewed"))
}
