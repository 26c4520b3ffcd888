//! Who calls. A handler names the caller it takes; without one of these it has no way to a tenant's rows.

use super::Api;
use super::error::ApiError;
use crate::domain::ids::{KeyId, TenantId};
use crate::store::{AuditEntry, TenantStatus};
use crate::vault::api_key;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

/// A tenant's key, good for this very request.
pub(super) struct Tenant {
    pub(super) id: TenantId,
    pub(super) key: KeyId,
    scopes: Vec<String>,
    /// Where the request came from, for the audit.
    pub(super) user_agent: Option<String>,
}

impl Tenant {
    /// Refuses a key that lacks `scope`. `manage` includes `send`, and `send` includes `read`.
    pub(super) fn may(&self, scope: &str) -> Result<(), ApiError> {
        let enough: &[&str] = match scope {
            "read" => &["read", "send", "manage"],
            "send" => &["send", "manage"],
            _ => &["manage"],
        };
        let has = self.scopes.iter().any(|own| enough.contains(&own.as_str()));
        if has { Ok(()) } else { Err(ApiError::Forbidden("the API key lacks the scope for this")) }
    }

    /// A line for the audit in this caller's name.
    pub(super) fn audit(&self, action: &'static str, resource_type: &'static str, resource_id: &str) -> AuditEntry {
        AuditEntry {
            tenant: Some(self.id.clone()),
            actor: self.key.to_string(),
            action,
            resource_type: Some(resource_type),
            resource_id: Some(resource_id.to_owned()),
            user_agent: self.user_agent.clone(),
            ..AuditEntry::default()
        }
    }
}

impl FromRequestParts<Api> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let given = presented_key(&parts.headers).ok_or(ApiError::Unauthorized)?;
        if !api_key::plausible(&given) {
            return Err(ApiError::InvalidApiKey);
        }
        let owner = api.store.key_owner(&api_key::sha256_hex(&given)).await?.ok_or(ApiError::InvalidApiKey)?;
        let expired = owner.expires_at <= api.store.clock().now_ms();
        match owner.tenant_status {
            TenantStatus::Deleted => Err(ApiError::InvalidApiKey),
            _ if owner.revoked || expired => Err(ApiError::InvalidApiKey),
            TenantStatus::Suspended => Err(ApiError::Forbidden("the tenant is suspended")),
            TenantStatus::Active => Ok(Self {
                id: owner.tenant,
                key: owner.key,
                scopes: owner.scopes,
                user_agent: user_agent(&parts.headers),
            }),
        }
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
            user_agent: self.user_agent.clone(),
            ..AuditEntry::default()
        }
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let user_agent = user_agent(&parts.headers);
        let given = parts.headers.get("x-master-key").and_then(|value| value.to_str().ok());
        if given.is_some_and(|password| api_key::is_master(password, &api.settings.master_key)) {
            return Ok(Self { user_agent });
        }
        if given.is_some() {
            let entry = AuditEntry {
                actor: "unknown".to_owned(),
                action: "admin.auth.failed",
                user_agent,
                ..AuditEntry::default()
            };
            api.store.audit(entry).await?;
        }
        Err(ApiError::InvalidMasterKey)
    }
}
