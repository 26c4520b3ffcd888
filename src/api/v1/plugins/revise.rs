//! Saying how a plugin runs. A section that is given replaces what was there whole; one that is left out stays.

use super::change::{Changed, changed, held};
use crate::api::Api;
use crate::api::caller::{Manages, OwnPlugin};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::secret::Secret;
use crate::domain::trial::{TrialMode, WEIGHT_MAX};
use crate::plugins::manifest::Hook;
use crate::plugins::settings::{Grants, Isolation, Limits, OnError};
use crate::plugins::signature::Signer;
use crate::plugins::{Mode, PLUGINS_PER_TENANT_MAX, Revision};
use axum::extract::State;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;

const SECRETS_MAX: usize = 64;
const SIGNERS_MAX: usize = 16;
const KEYS: [&str; 11] = [
    "position",
    "hooks",
    "config",
    "grants",
    "limits",
    "on_error",
    "isolation",
    "signed_by",
    "secrets",
    "mode",
    "weight",
];

/// A section that is given replaces what was there whole; one that is left out stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct PluginRevision {
    /// Its place in the pipeline, from 0; beyond the end is the end. Its other name `order` is taken too.
    #[schema(required = false, minimum = 0, maximum = 31)]
    position: u32,
    /// The hooks that are used, of those it has.
    #[schema(required = false)]
    hooks: Vec<Hook>,
    /// Checked against the schema that the component carries.
    #[schema(required = false, value_type = Object)]
    config: serde_json::Value,
    #[schema(required = false)]
    grants: Grants,
    #[schema(required = false)]
    limits: Limits,
    #[schema(required = false)]
    on_error: OnError,
    #[schema(required = false)]
    isolation: Isolation,
    /// Public keys of which one must have signed the component; empty asks for no signature.
    #[schema(required = false, max_items = 16)]
    signed_by: Vec<String>,
    /// Secrets that it may read when `grants.secrets` names them. Stored encrypted and never shown.
    #[schema(required = false)]
    secrets: BTreeMap<String, String>,
    /// Of the candidate, when there is one, else of the plugin's own component: `shadow` sees what passes and does nothing,
    /// `serving` ends the trial of a plugin without a candidate. With a component that is uploaded: `shadow` makes it the
    /// candidate beside what serves.
    #[schema(required = false, example = "shadow")]
    mode: String,
    /// In the place of `mode`: a canary, with this percent of the chats.
    #[schema(required = false, minimum = 0, maximum = 100)]
    weight: u32,
}

/// Change how a plugin runs
///
/// Checked against what the component says of itself and, of one that serves, tried before it takes its place. Every key
/// that does not fit is named, and nothing is changed then.
#[utoipa::path(put, path = "/plugins/{plugin}", operation_id = "changePlugin", tag = "Plugins",
    request_body = PluginRevision,
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn revise(
    State(api): State<Api>,
    plugin: OwnPlugin<Manages>,
    fields: Fields,
) -> Answer<Changed> {
    plugin.changeable()?;
    let revision = revision(fields)?;
    let names = json!({ "changed": named(&revision) });
    let (tenant, name) = (&plugin.tenant.id, &plugin.row.name);
    let outcome = held(api.plugins.revise(tenant, name, revision).await?, "config")?;
    let mut line = plugin.audit("plugin.updated");
    line.meta = Some(names);
    api.store.audit(line).await?;
    Ok(enveloped(changed(&api, tenant, name, outcome).await?))
}

pub(super) fn revision(mut fields: Fields) -> Result<Revision, ApiError> {
    fields.only(&[&KEYS[..], &["order"]].concat());
    let hook = |name: &str| {
        let found = Hook::ALL.iter().copied().find(|hook| hook.as_str() == name);
        found.ok_or("is no hook; there are inbound, outbound, webhook, scheduled")
    };
    let isolation = |name: &str| match name {
        "reused" => Ok(Isolation::Reused),
        "fresh" => Ok(Isolation::Fresh),
        _ => Err("must be reused or fresh"),
    };
    let signer = |key: &str| match Signer::parse(key) {
        Some(_) => Ok(key.to_ascii_lowercase()),
        None => Err("must be 64 hex digits, as \"rijan plugin key\" prints them"),
    };
    let secrets = fields.texts("secrets", SECRETS_MAX);
    let mode = mode(&mut fields);
    let revision = Revision {
        position: position(&mut fields),
        hooks: fields.list("hooks", 0..=Hook::ALL.len(), hook).map(|hooks| hooks.into_iter().collect()),
        config: fields.object("config"),
        grants: fields.section::<Grants>("grants"),
        limits: fields.section::<Limits>("limits"),
        on_error: fields.section::<OnError>("on_error"),
        isolation: fields.parsed("isolation", false, isolation),
        signed_by: fields.list("signed_by", 0..=SIGNERS_MAX, signer),
        secrets: secrets.map(|all| all.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()),
        mode,
    };
    fields.finish()?;
    Ok(revision)
}

fn position(fields: &mut Fields) -> Option<usize> {
    let last = u32::try_from(PLUGINS_PER_TENANT_MAX).unwrap_or(u32::MAX) - 1;
    if fields.has("position") && fields.has("order") {
        fields.wrong("order", "says the same as position; give one of them");
    }
    let given = fields.whole("position", 0..=last).or(fields.whole("order", 0..=last));
    given.and_then(|place| usize::try_from(place).ok())
}

fn mode(fields: &mut Fields) -> Option<Mode> {
    let named = fields.parsed("mode", false, |name| match name {
        "serving" => Ok(Mode::Serving),
        "shadow" => Ok(Mode::OnTrial(TrialMode::Shadow)),
        _ => Err("must be serving or shadow; a canary is said by its weight"),
    });
    let weight = fields.whole("weight", 0..=WEIGHT_MAX).and_then(TrialMode::canary);
    if named.is_some() && weight.is_some() {
        fields.wrong("weight", "is of a canary; give it or mode, not both");
    }
    named.or(weight.map(Mode::OnTrial))
}

/// What a revision is about, for the audit; values may be secret.
fn named(revision: &Revision) -> Vec<&'static str> {
    let given = [
        revision.position.is_some(),
        revision.hooks.is_some(),
        revision.config.is_some(),
        revision.grants.is_some(),
        revision.limits.is_some(),
        revision.on_error.is_some(),
        revision.isolation.is_some(),
        revision.signed_by.is_some(),
        revision.secrets.is_some(),
        matches!(revision.mode, Some(Mode::Serving | Mode::OnTrial(TrialMode::Shadow))),
        matches!(revision.mode, Some(Mode::OnTrial(TrialMode::Canary { .. }))),
    ];
    KEYS.into_iter().zip(given).filter(|(_, given)| *given).map(|(key, _)| key).collect()
}
