//! Who calls, and what of theirs the path names. A handler names the caller it takes; without one of these it has no way
//! to a tenant's rows, and a row of another tenant is not found before anything else about the request is looked at.

use super::error::ApiError;
use super::extract::{Path, Query};
use super::{Api, keys, request};
use crate::domain::allowance::Allowance;
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeliveryId, DeviceId, KeyId, TenantId, WebhookId};
use crate::limits::Key;
use crate::plugins::PluginsError;
use crate::plugins::manifest::PluginName;
use crate::store::{
    AuditEntry, DeliveryRow, DeviceRow, KeyOwner, KeyRow, MANAGED_BY_API, PluginRow, StoreError, TemplateRow,
    TenantStatus, USE_NOTED_EVERY_MS, WebhookRow,
};
use crate::vault::api_key;
use crate::whatsapp::Account;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::net::IpAddr;

/// What an API key must be allowed to do. `manage` includes `send`, and `send` includes `read`.
pub(super) trait Scope: Send + Sync {
    const NAME: &'static str;
    /// The scopes of a key that are enough.
    const ENOUGH: &'static [&'static str];
}

macro_rules! scopes {
    ($($type:ident $name:literal $enough:expr;)*) => {$(
        pub(super) struct $type;
        impl Scope for $type {
            const NAME: &'static str = $name;
            const ENOUGH: &'static [&'static str] = &$enough;
        }
    )*};
}

scopes! {
    Reads "read" ["read", "send", "manage"];
    Sends "send" ["send", "manage"];
    Manages "manage" ["manage"];
}

/// A tenant's key with the scope for this very request.
pub(super) struct Tenant<S> {
    pub(super) id: TenantId,
    pub(super) key: KeyId,
    /// What its file says of its limits.
    pub(super) allowance: Allowance,
    pub(super) admission: Admission,
    user_agent: Option<String>,
    _scope: PhantomData<S>,
}

impl<S> Tenant<S> {
    /// A line for the audit in this caller's name.
    pub(super) fn audit(&self, action: &'static str, resource_type: &'static str, resource_id: &str) -> AuditEntry {
        AuditEntry {
            tenant: Some(self.id.clone()),
            actor: self.key.to_string(),
            action,
            resource_type: Some(resource_type),
            resource_id: Some(resource_id.to_owned()),
            ip_address: request::client_address(),
            user_agent: self.user_agent.clone(),
            ..AuditEntry::default()
        }
    }
}

impl<S: Scope> Tenant<S> {
    /// Lets the owner of this key in, and charges the request.
    pub(super) async fn enter(api: &Api, given: Option<String>, user_agent: Option<String>) -> Result<Self, ApiError> {
        let given = given.ok_or(ApiError::Unauthorized)?;
        let admission = Admission { key_sha256: api_key::sha256_hex(&given), scopes: S::ENOUGH };
        let owner = match api_key::plausible(&given) {
            true => admission.owner(api).await?,
            false => Err(ApiError::InvalidApiKey),
        };
        let owner = match owner {
            Ok(owner) => owner,
            Err(why @ ApiError::InvalidApiKey) => {
                return Err(refused(api, None, "tenant.auth.failed", user_agent, why).await);
            }
            Err(why) => return Err(why),
        };
        if !taken_from_here(&owner) {
            let why = ApiError::Forbidden("the API key is not taken from this address");
            return Err(refused(api, Some(owner.tenant), "tenant.auth.failed", user_agent, why).await);
        }
        let now = api.store.clock().now_ms();
        api.limits.charge_own(&Key::Tenant(owner.tenant.clone()), &owner.limits)?;
        note_use(api, &owner, now);
        if !owner.scopes.iter().any(|own| S::ENOUGH.contains(&own.as_str())) {
            return Err(ApiError::MissingScope(S::NAME));
        }
        Ok(Self {
            id: owner.tenant,
            key: owner.key,
            allowance: owner.limits,
            admission,
            user_agent,
            _scope: PhantomData,
        })
    }
}

/// What let a caller in, to be looked at again for as long as an answer goes on.
#[derive(Clone)]
pub(super) struct Admission {
    key_sha256: String,
    scopes: &'static [&'static str],
}

impl Admission {
    /// Whether the key would be let in now. Charges nothing.
    pub(super) async fn holds(&self, api: &Api) -> Result<(), ApiError> {
        let owner = self.owner(api).await??;
        let enough = owner.scopes.iter().any(|own| self.scopes.contains(&own.as_str()));
        if enough { Ok(()) } else { Err(ApiError::InvalidApiKey) }
    }

    /// Whose key it is, or why it opens nothing.
    async fn owner(&self, api: &Api) -> Result<Result<KeyOwner, ApiError>, StoreError> {
        let now = api.store.clock().now_ms();
        let found = api.store.key_owner(&self.key_sha256).await?;
        let valid = found
            .filter(|owner| owner.tenant_status != TenantStatus::Deleted && !owner.revoked && owner.expires_at > now);
        Ok(match valid {
            None => Err(ApiError::InvalidApiKey),
            Some(owner) if owner.tenant_status == TenantStatus::Suspended => {
                Err(ApiError::Forbidden("the tenant is suspended"))
            }
            Some(owner) => Ok(owner),
        })
    }
}

impl<S: Scope> FromRequestParts<Api> for Tenant<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Self::enter(api, presented_key(&parts.headers), user_agent(&parts.headers)).await
    }
}

/// Whether the key is taken from the address that the request came from.
fn taken_from_here(owner: &KeyOwner) -> bool {
    let address: Option<IpAddr> = request::client_address().and_then(|text| text.parse().ok());
    let known = |address: IpAddr| owner.allowed_ips.iter().any(|network| network.contains(&address.to_canonical()));
    owner.allowed_ips.is_empty() || address.is_some_and(known)
}

/// Beside the request, which does not wait for it: a note that is lost is made with the next request.
fn note_use(api: &Api, owner: &KeyOwner, now: UnixMs) {
    if owner.last_used_at.is_some_and(|at| now - at < USE_NOTED_EVERY_MS) {
        return;
    }
    let (store, tenant, key) = (api.store.clone(), owner.tenant.clone(), owner.key.clone());
    tokio::spawn(async move {
        if let Err(error) = store.note_key_use(&tenant, &key).await {
            tracing::warn!(%key, %error, "the use of an API key was not noted");
        }
    });
}

/// An API key of the caller's tenant, named by `{key}` in the path.
pub(super) struct OwnKey<S> {
    pub(super) tenant: Tenant<S>,
    pub(super) row: KeyRow,
}

impl<S: Scope> FromRequestParts<Api> for OwnKey<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let tenant = Tenant::from_request_parts(parts, api).await?;
        let row = keys::named(api, &tenant.id, &name_in_path(parts, "key").await?).await?;
        Ok(Self { tenant, row })
    }
}

/// A device of the caller's, named by `{device}` in the path.
pub(super) struct OwnDevice<S> {
    pub(super) tenant: Tenant<S>,
    pub(super) row: DeviceRow,
}

impl<S> OwnDevice<S> {
    pub(super) fn id(&self) -> &DeviceId {
        &self.row.id
    }

    pub(super) fn audit(&self, action: &'static str) -> AuditEntry {
        self.tenant.audit(action, "device", self.row.id.as_str())
    }

    /// For live requests; refused while the device is not connected.
    pub(super) fn account(&self, api: &Api) -> Result<Account, ApiError> {
        Ok(api.directory.account(&self.tenant.id, &self.row.id)?)
    }
}

impl<S: Scope> FromRequestParts<Api> for OwnDevice<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let tenant = Tenant::from_request_parts(parts, api).await?;
        Self::find(parts, api, tenant).await
    }
}

impl<S: Scope> OwnDevice<S> {
    async fn find(parts: &mut Parts, api: &Api, tenant: Tenant<S>) -> Result<Self, ApiError> {
        let id = DeviceId::parse(&name_in_path(parts, "device").await?).map_err(|_| ApiError::NotFound("device"))?;
        let row = api.store.device(&tenant.id, &id).await.map_err(no_device)?;
        Ok(Self { tenant, row })
    }
}

/// As [`OwnDevice`], with the key in `?token=` where there is none in a header, because a web page cannot give a WebSocket
/// headers. Why nobody is let in is for the handler, which has another way to say it.
pub(super) struct DeviceByToken<S>(pub(super) Result<OwnDevice<S>, ApiError>);

impl<S: Scope> FromRequestParts<Api> for DeviceByToken<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let query = Query::<HashMap<String, String>>::from_request_parts(parts, api).await;
        let token = query.ok().and_then(|Query(mut query)| query.remove("token"));
        let given = presented_key(&parts.headers).or_else(|| token.as_deref().and_then(key_in_token));
        let tenant = Tenant::enter(api, given, user_agent(&parts.headers)).await;
        Ok(Self(match tenant {
            Ok(tenant) => OwnDevice::find(parts, api, tenant).await,
            Err(why) => Err(why),
        }))
    }
}

/// The key itself, or behind `Bearer ` or `Bearer_`.
fn key_in_token(token: &str) -> Option<String> {
    const BEARER_CHARS: usize = "bearer".len();
    let token = token.trim();
    let behind = token.get(..BEARER_CHARS).filter(|word| word.eq_ignore_ascii_case("bearer")).and_then(|_| {
        let rest = &token[BEARER_CHARS..];
        rest.strip_prefix(' ').or_else(|| rest.strip_prefix('_'))
    });
    Some(behind.unwrap_or(token).trim()).filter(|key| !key.is_empty()).map(str::to_owned)
}

/// A webhook of the caller's, named by `{webhook}` in the path.
pub(super) struct OwnWebhook<S> {
    pub(super) tenant: Tenant<S>,
    pub(super) row: WebhookRow,
}

impl<S: Scope> FromRequestParts<Api> for OwnWebhook<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let tenant = Tenant::from_request_parts(parts, api).await?;
        let id = WebhookId::parse(&name_in_path(parts, "webhook").await?).map_err(|_| ApiError::NotFound("webhook"))?;
        let row = api.store.webhook(&tenant.id, &id).await.map_err(no_webhook)?;
        Ok(Self { tenant, row })
    }
}

/// A delivery to a webhook of the caller's, named by `{delivery}` in the path.
pub(super) struct OwnDelivery<S> {
    pub(super) tenant: Tenant<S>,
    pub(super) row: DeliveryRow,
}

impl<S: Scope> FromRequestParts<Api> for OwnDelivery<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let tenant = Tenant::from_request_parts(parts, api).await?;
        let id = DeliveryId::parse(&name_in_path(parts, "delivery").await?);
        let id = id.map_err(|_| ApiError::NotFound("delivery"))?;
        let row = api.store.delivery(&tenant.id, &id).await.map_err(no_delivery)?;
        Ok(Self { tenant, row })
    }
}

/// A template of the caller's, named by `{template}` in the path: its id or its name.
pub(super) struct OwnTemplate<S> {
    pub(super) tenant: Tenant<S>,
    pub(super) row: TemplateRow,
}

impl<S> OwnTemplate<S> {
    pub(super) fn audit(&self, action: &'static str) -> AuditEntry {
        self.tenant.audit(action, "template", self.row.id.as_str())
    }
}

impl<S: Scope> FromRequestParts<Api> for OwnTemplate<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let tenant = Tenant::from_request_parts(parts, api).await?;
        let name = name_in_path(parts, "template").await?;
        let row = api.store.template(&tenant.id, &name).await.map_err(no_template)?;
        Ok(Self { tenant, row })
    }
}

/// A plugin of the caller's, named by `{plugin}` in the path.
pub(super) struct OwnPlugin<S> {
    pub(super) tenant: Tenant<S>,
    pub(super) row: PluginRow,
}

impl<S> OwnPlugin<S> {
    /// Refuses to change what a file says.
    pub(super) fn changeable(&self) -> Result<(), ApiError> {
        if self.row.managed_by == MANAGED_BY_API {
            return Ok(());
        }
        let (name, file) = (self.row.name.clone(), self.row.managed_by.clone());
        Err(PluginsError::ManagedByFile { name, file }.into())
    }

    pub(super) fn audit(&self, action: &'static str) -> AuditEntry {
        self.tenant.audit(action, "plugin", &self.row.name)
    }
}

impl<S: Scope> FromRequestParts<Api> for OwnPlugin<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let tenant = Tenant::from_request_parts(parts, api).await?;
        let name = name_in_path(parts, "plugin").await?;
        let name = PluginName::parse(&name).map_err(|_| ApiError::NotFound("plugin"))?;
        let row = api.store.plugin(&tenant.id, name.as_str()).await.map_err(PluginsError::from)?;
        Ok(Self { tenant, row })
    }
}

/// Refuses to change what a file declares: the change would be gone at the next look at the file, or the file untrue.
pub(super) fn not_of_a_file(what: &str, name: Option<&str>, managed_by: &str) -> Result<(), ApiError> {
    if managed_by == MANAGED_BY_API {
        return Ok(());
    }
    let name = name.unwrap_or_default();
    Err(ApiError::Conflict(format!("{what} {name:?} is managed by {managed_by:?}; change it there")))
}

pub(super) async fn name_in_path(parts: &mut Parts, name: &str) -> Result<String, ApiError> {
    let Path(mut names) = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await?;
    names.remove(name).ok_or_else(|| ApiError::Internal(format!("the route has no {{{name}}}")))
}

pub(super) fn no_device(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("device"),
        other => other.into(),
    }
}

pub(super) fn no_template(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("template"),
        other => other.into(),
    }
}

pub(super) fn no_delivery(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("delivery"),
        other => other.into(),
    }
}

pub(super) fn no_webhook(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("webhook"),
        other => other.into(),
    }
}

/// A key that opened nothing: counted against the address it came from, and written down. Past the limit of failures
/// nothing is written, so that guessing costs the guesser more than us.
async fn refused(
    api: &Api,
    tenant: Option<TenantId>,
    action: &'static str,
    user_agent: Option<String>,
    why: ApiError,
) -> ApiError {
    if let Err(limited) = api.limits.charge(&Key::FailedAuth(request::client_address())) {
        return limited;
    }
    let entry = AuditEntry {
        tenant,
        actor: "unknown".to_owned(),
        action,
        ip_address: request::client_address(),
        user_agent,
        ..AuditEntry::default()
    };
    match api.store.audit(entry).await {
        Ok(()) => why,
        Err(error) => error.into(),
    }
}

fn presented_key(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| text("x-api-key").map(str::trim)).filter(|key| !key.is_empty()).map(str::to_owned)
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    const USER_AGENT_CHARS_MAX: usize = 200;
    let text = headers.get("user-agent")?.to_str().ok()?;
    Some(text.chars().take(USER_AGENT_CHARS_MAX).collect())
}

/// Somebody who knows the master password.
pub(super) struct Admin {
    user_agent: Option<String>,
}

impl Admin {
    pub(super) fn audit(&self, action: &'static str, resource_type: &'static str, resource_id: &str) -> AuditEntry {
        AuditEntry {
            actor: "admin".to_owned(),
            action,
            resource_type: Some(resource_type),
            resource_id: Some(resource_id.to_owned()),
            ip_address: request::client_address(),
            user_agent: self.user_agent.clone(),
            ..AuditEntry::default()
        }
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let user_agent = user_agent(&parts.headers);
        let Some(given) = parts.headers.get("x-master-key") else { return Err(ApiError::InvalidMasterKey) };
        // A guess past the limit is not even compared: it could not be told from a right one otherwise.
        api.limits.check(&Key::FailedAuth(request::client_address()))?;
        if given.to_str().is_ok_and(|password| api_key::is_master(password, &api.settings.master_key)) {
            return Ok(Self { user_agent });
        }
        Err(refused(api, None, "admin.auth.failed", user_agent, ApiError::InvalidMasterKey).await)
    }
}

/// Anybody: no key is asked for, and requests are counted by the address they come from.
pub(super) struct Anybody;

impl FromRequestParts<Api> for Anybody {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        api.limits.charge(&Key::Public(request::client_address()))?;
        Ok(Self)
    }
}

/// Who may read the figures: anybody, or who gives the operator's token for them.
pub(super) struct ReadsFigures;

impl FromRequestParts<Api> for ReadsFigures {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Anybody::from_request_parts(parts, api).await?;
        let Some(token) = &api.settings.metrics_token else { return Ok(Self) };
        let Some(given) = presented_key(&parts.headers) else { return Err(ApiError::Unauthorized) };
        api.limits.check(&Key::FailedAuth(request::client_address()))?;
        if api_key::is_token(&given, token) {
            return Ok(Self);
        }
        Err(refused(api, None, "metrics.auth.failed", user_agent(&parts.headers), ApiError::InvalidApiKey).await)
    }
}
