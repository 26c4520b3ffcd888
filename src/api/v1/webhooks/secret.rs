//! A new secret for a webhook, while the one before goes on signing for a day.

use crate::api::Api;
use crate::api::caller::{Manages, OwnWebhook, no_webhook, not_of_a_file};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::fields::Fields;
use crate::domain::ids::WebhookId;
use crate::domain::secret::Secret;
use crate::domain::webhook::ROTATION_MS;
use crate::webhooks::{generate_secret, standard_form, validate_secret};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewSecret {
    /// `whsec_` and base64 of 24 to 64 bytes, or any other text. Generated when left out.
    #[schema(required = false, min_length = 16, max_length = 256)]
    secret: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct RotatedSecret {
    id: WebhookId,
    /// Shown once.
    secret: String,
    /// The same in the form that Standard Webhooks libraries take.
    standard_secret: String,
    /// Unix seconds; until then the secret before signs too.
    previous_secret_until: i64,
}

/// Rotate the secret of a webhook
///
/// Old and new secret both sign for 24 hours: `webhook-signature` carries both, `X-Rijan-Signature` is made with the new one
/// and `X-Rijan-Signature-Previous` with the one before. Rotating again ends the one before that.
#[utoipa::path(post, path = "/webhooks/{webhook}/rotate-secret", operation_id = "rotateWebhookSecret", tag = "Webhooks",
    request_body = NewSecret,
    responses((status = 200, body = Envelope<RotatedSecret>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn rotate(
    State(api): State<Api>,
    webhook: OwnWebhook<Manages>,
    mut fields: Fields,
) -> Answer<RotatedSecret> {
    let secret = fields.parsed("secret", false, |text| validate_secret(text).map(|()| Secret::new(text)));
    fields.finish()?;
    not_of_a_file("webhook", webhook.row.slug.as_deref(), &webhook.row.managed_by)?;
    let (id, tenant) = (webhook.row.id, webhook.tenant);
    let until = api.store.clock().now_ms().saturating_add(ROTATION_MS);
    let secret = secret.unwrap_or_else(generate_secret);
    let rotated = api.store.rotate_webhook_secret(&tenant.id, &id, secret, until).await.map_err(no_webhook)?;
    api.store.audit(tenant.audit("webhook.secret_rotated", "webhook", id.as_str())).await?;
    Ok(enveloped(RotatedSecret {
        id,
        standard_secret: standard_form(&rotated.secret).expose().to_owned(),
        secret: rotated.secret.expose().to_owned(),
        previous_secret_until: until / 1000,
    }))
}
