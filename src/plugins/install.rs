//! What an owner does with plugins by hand: brings a component, says how it is to run. Each of it is a change of the
//! registry, so it holds whole or not at all.

use super::candidate::Mode;
use super::component::{Compiled, NotAPlugin, compile, sha256_hex};
use super::grants;
use super::instance;
use super::manifest::{Hook, Manifest};
use super::registry::{KeepError, Plugins, PluginsError, ReloadOutcome, Wanted};
use super::settings::{Grants, InvalidSettings, Isolation, Limits, OnError, PluginSettings};
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use crate::store::MANAGED_BY_API;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

/// A component that compiles, fits this gateway and has what it claims. The store keeps it.
pub struct Examined {
    pub sha256: String,
    pub manifest: Manifest,
    /// Held until it is in use, so that it is compiled once.
    _compiled: Arc<Compiled>,
}

/// What is to be different about a plugin; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct Revision {
    /// Its place in the pipeline, from 0; beyond the end is the end.
    pub position: Option<usize>,
    pub hooks: Option<BTreeSet<Hook>>,
    pub config: Option<Map<String, Value>>,
    pub grants: Option<Grants>,
    pub limits: Option<Limits>,
    pub on_error: Option<OnError>,
    pub isolation: Option<Isolation>,
    pub signed_by: Option<Vec<String>>,
    pub secrets: Option<BTreeMap<String, Secret>>,
    /// What the version on trial does; of an installation, whether the component is on trial or serves.
    pub mode: Option<Mode>,
}

impl Revision {
    fn apply(self, plugin: &mut Wanted) {
        let settings = &mut plugin.settings;
        settings.hooks = self.hooks.or(settings.hooks.take());
        settings.config = self.config.unwrap_or_else(|| std::mem::take(&mut settings.config));
        settings.grants = self.grants.unwrap_or_else(|| std::mem::take(&mut settings.grants));
        settings.limits = self.limits.unwrap_or_else(|| std::mem::take(&mut settings.limits));
        settings.on_error = self.on_error.unwrap_or(settings.on_error);
        settings.isolation = self.isolation.unwrap_or(settings.isolation);
        settings.signed_by = self.signed_by.unwrap_or_else(|| std::mem::take(&mut settings.signed_by));
        plugin.secrets = self.secrets.unwrap_or_else(|| std::mem::take(&mut plugin.secrets));
    }
}

impl Plugins {
    /// Compiles a component and keeps it. What a tenant grants is not looked at: that is for when it is to serve.
    pub async fn examine(&self, component: Vec<u8>) -> Result<Examined, KeepError> {
        let engine = self.0.engine.clone();
        let examined = tokio::task::spawn_blocking(move || {
            let compiled = compile(&engine, &component)?;
            instance::check(&engine, &compiled).map_err(NotAPlugin::Manifest)?;
            Ok::<_, NotAPlugin>((sha256_hex(&component), component, Arc::new(compiled)))
        });
        let (sha256, component, compiled) =
            examined.await.map_err(|error| NotAPlugin::Compile(error.to_string()))??;
        self.store().keep_component(&sha256, component).await?;
        let mut all = self.0.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(sha256.clone(), Arc::downgrade(&compiled));
        Ok(Examined { sha256, manifest: compiled.manifest.clone(), _compiled: compiled })
    }

    /// Installs a component under the name it has: disabled and behind the others when it is new, else as another version
    /// of the plugin of that name, which goes on as it was when the new one does not hold.
    pub async fn install(
        &self,
        tenant: &TenantId,
        examined: &Examined,
        revision: Option<Revision>,
    ) -> Result<ReloadOutcome, PluginsError> {
        let name = examined.manifest.name.to_string();
        self.change(tenant, |plugins| {
            let place = match plugins.iter().position(|plugin| plugin.name == name) {
                Some(place) => place,
                None => {
                    plugins.push(new(&name));
                    plugins.len() - 1
                }
            };
            let plugin = &mut plugins[place];
            if plugin.managed_by != MANAGED_BY_API {
                return Err(PluginsError::ManagedByFile { name, file: plugin.managed_by.clone() });
            }
            let mut revision = revision;
            match revision.as_mut().and_then(|revision| revision.mode.take()) {
                Some(Mode::OnTrial(mode)) => plugin.try_component(&examined.sha256, mode),
                Some(Mode::Serving) | None => plugin.replace_component(&examined.sha256),
            }
            match revision {
                Some(revision) => revise(plugins, place, revision, &examined.manifest),
                None => Ok(()),
            }
        })
        .await
    }

    /// Changes how a plugin runs. What does not fit it is told key by key and changes nothing.
    pub async fn revise(
        &self,
        tenant: &TenantId,
        name: &str,
        revision: Revision,
    ) -> Result<ReloadOutcome, PluginsError> {
        let row = self.store().plugin(tenant, name).await?;
        let manifest = self.manifest_of(&row.sha256).await?.ok_or(PluginsError::NotFound)?;
        // One that serves is compiled already; of one that is off the grants are looked at when it is enabled.
        let compiled = if row.enabled { self.compiled(&row.sha256).await.ok() } else { None };
        self.change(tenant, |plugins| {
            let place = plugins.iter().position(|plugin| plugin.name == name).ok_or(PluginsError::NotFound)?;
            if let (Some(compiled), Some(grants)) = (&compiled, &revision.grants)
                && let Err(refused) = grants::decide(&compiled.manifest, &compiled.imports, grants)
            {
                return Err(InvalidSettings(vec![format!("grants.imports: {refused}")]).into());
            }
            revise(plugins, place, revision, &manifest)
        })
        .await
    }
}

fn new(name: &str) -> Wanted {
    Wanted {
        name: name.to_owned(),
        managed_by: MANAGED_BY_API.to_owned(),
        enabled: false,
        sha256: String::new(),
        file: None,
        settings: PluginSettings::default(),
        secrets: BTreeMap::new(),
        trial: None,
    }
}

fn revise(
    plugins: &mut Vec<Wanted>,
    place: usize,
    revision: Revision,
    manifest: &Manifest,
) -> Result<(), PluginsError> {
    let (position, mode) = (revision.position, revision.mode);
    revision.apply(&mut plugins[place]);
    plugins[place].settings.check(manifest)?;
    if let Some(mode) = mode {
        plugins[place].set_mode(mode)?;
    }
    if let Some(position) = position {
        let plugin = plugins.remove(place);
        plugins.insert(position.min(plugins.len()), plugin);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let manifest = json!({ "name": "b", "version": "1", "hooks": { "outbound": true },
            "config": { "schema": { "type": "object", "required": ["word"] } } });
        Manifest::from_json(manifest.to_string().as_bytes()).expect("manifest")
    }

    fn config() -> Option<Map<String, Value>> {
        json!({ "word": "x" }).as_object().cloned()
    }

    #[test]
    fn what_is_not_named_stays_and_a_place_beyond_the_end_is_the_end() {
        let mut plugins = vec![new("a"), new("b"), new("c")];
        plugins[1].settings.isolation = Isolation::Fresh;
        let revision = Revision { position: Some(9), config: config(), ..Revision::default() };

        revise(&mut plugins, 1, revision, &manifest()).expect("fits");

        let names: Vec<&str> = plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        assert_eq!(names, ["a", "c", "b"]);
        assert_eq!(plugins[2].settings.isolation, Isolation::Fresh);
        assert_eq!(Some(&plugins[2].settings.config), config().as_ref());
    }

    #[test]
    fn what_does_not_fit_the_plugin_is_refused_with_its_key() {
        let mut plugins = vec![new("b")];

        let told = revise(&mut plugins, 0, Revision::default(), &manifest()).expect_err("refused").to_string();

        assert!(told.contains("config: \"word\" is a required property"), "{told}");
    }
}
