//! A gateway's plugin host without a gateway: its engine, a store in a folder of its own, an egress that reaches nobody but a
//! server in this process. What is checked and rehearsed here runs the code that runs it in production.

use super::stand_in::StandIn;
use crate::domain::clock::Clock;
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use crate::egress::{AllowList, Egress, EgressSettings};
use crate::plugins::manifest::Manifest;
use crate::plugins::settings::{Grants, PluginSettings};
use crate::plugins::{EngineSettings, Examined, Plugins, Wanted};
use crate::store::{MANAGED_BY_API, NewKey, Store, StoreSettings};
use crate::telemetry::metrics::Metrics;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One plugin at a time is on stage.
const POOL_INSTANCES: u32 = 8;

pub(super) struct Stage {
    pub(super) plugins: Plugins,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) web: StandIn,
    /// Goes with the stage.
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn set(clock: Clock) -> anyhow::Result<Self> {
        // Fails when it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir()?;
        let metrics = Arc::new(Metrics::new()?);
        let settings = StoreSettings {
            path: folder.path().join("rijan.db"),
            readers: 1,
            batch_time_max: Duration::ZERO,
            batch_requests_max: 1,
            instance_id: None,
        };
        // Nothing that is worth a secret is ever in it.
        let store = Store::open(&settings, &Secret::new("stage"), clock.clone(), metrics.clone())?;
        let web = StandIn::start().await?;
        let egress = EgressSettings {
            allow: AllowList::default(),
            connect_timeout: Duration::from_secs(5),
            answer_bytes_max: 1 << 20,
        };
        let egress = Egress::with_stand_in(egress, web.address)?;
        let engine = EngineSettings { cache: cache(), pool_instances: POOL_INSTANCES };
        let plugins = Plugins::start(&engine, store.clone(), egress, metrics)?;
        Ok(Self { plugins, store, clock, web, _folder: folder })
    }

    pub(super) async fn new_tenant(&self) -> anyhow::Result<TenantId> {
        let tenant = TenantId::generate();
        let key = NewKey {
            name: "stage".into(),
            hash: tenant.to_string(),
            scopes: vec![],
            allowed_ips: vec![],
            expires_at: i64::MAX,
        };
        self.store.create_tenant(tenant.clone(), "Stage", key).await?;
        Ok(tenant)
    }
}

/// A plugin as it is put on stage.
pub(super) fn wanted(examined: &Examined, settings: PluginSettings, secrets: BTreeMap<String, Secret>) -> Wanted {
    Wanted {
        name: examined.manifest.name.to_string(),
        managed_by: MANAGED_BY_API.to_owned(),
        enabled: true,
        sha256: examined.sha256.clone(),
        file: None,
        settings,
        secrets,
        trial: None,
    }
}

/// All that a plugin asks for, and every device.
pub(super) fn everything(manifest: &Manifest) -> Grants {
    let wants = &manifest.wants;
    Grants {
        imports: wants.imports.clone(),
        effects: wants.effects.clone(),
        hosts: wants.hosts.clone(),
        secrets: wants.secrets.clone(),
        devices: vec!["*".to_owned()],
    }
}

/// Compiled components of this user. Never in a project's folder: what lies there is run, and a project may be a stranger's.
fn cache() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    Some(given.or_else(|| Some(std::env::home_dir()?.join(".cache")))?.join("rijan/components"))
}
