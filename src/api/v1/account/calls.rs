//! Calls that came in.

use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::{Answer, Done, Envelope, done};
use crate::api::extract::Path;
use axum::extract::State;

/// Reject a call
///
/// One that rings, by the `callId` of `call.received`. The caller's phone shows it as rejected. WhatsApp does not answer it:
/// success is that it was sent.
#[utoipa::path(post, path = "/devices/{device}/calls/{call}/reject", operation_id = "rejectCall", tag = "Account",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn reject(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, call)): Path<(String, String)>,
) -> Answer<Done> {
    device.account(&api)?.reject_call(&call).await?;
    Ok(done("the call is rejected"))
}
