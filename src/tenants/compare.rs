//! What differs between what the files declare and what the store has. Pure: it reads neither.

use super::apply::Occasion;
use super::component::Found;
use super::declared::{Declared, Plugin, Webhook};
use super::folder::TenantFile;
use super::plan::{Action, Change, FieldChange, Kind, Plan};
use crate::domain::allowance::{Allowance, Allowed};
use crate::domain::correction::{ConfigError, ConfigErrors};
use crate::domain::ids::{DeviceId, TenantId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::trial::{Candidate, Trial, TrialMode};
use crate::domain::webhook::WEBHOOKS_PER_TENANT_MAX;
use crate::plugins::Wanted;
use crate::store::{
    DeviceRow, DeviceWrite, MANAGED_BY_API, PluginRow, TenantRow, TenantStatus, WebhookRow, WebhookSpec, WebhookWrite,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A tenant of a file as the store has it.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) tenant: TenantRow,
    pub(super) devices: Vec<DeviceRow>,
    pub(super) webhooks: Vec<WebhookRow>,
    pub(super) plugins: Vec<PluginRow>,
}

/// Everything that differs, for showing and for doing.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) plan: Plan,
    pub(super) tenants: Vec<TenantDifference>,
    pub(super) gone: Vec<Gone>,
}

/// What is to be done about one tenant.
#[derive(Debug)]
pub(super) struct TenantDifference {
    pub(super) file: TenantFile,
    pub(super) id: TenantId,
    pub(super) before: Option<TenantStatus>,
    pub(super) devices: Vec<DeviceWrite>,
    pub(super) devices_gone: Vec<DeviceId>,
    pub(super) webhooks: Vec<WebhookWrite>,
    pub(super) webhooks_gone: Vec<WebhookId>,
    pub(super) plugins_differ: bool,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct Gone {
    pub(super) tenant: TenantRow,
    pub(super) change: Change,
}

impl TenantDifference {
    pub(super) fn status(&self) -> TenantStatus {
        status(&self.file.declared)
    }

    /// The plugins as the file wants them.
    pub(super) fn wanted_plugins(&self) -> Vec<Wanted> {
        let declared = &self.file.declared;
        let wanted = |(plugin, found): (&Plugin, &Found)| Wanted {
            name: plugin.name.to_string(),
            managed_by: declared.file.clone(),
            enabled: plugin.enabled,
            sha256: found.component.sha256.clone(),
            file: found.component.file.clone(),
            settings: plugin.settings.clone(),
            secrets: plugin.secrets.clone(),
            trial: trial(plugin, found),
        };
        declared.plugins.iter().zip(&self.file.components).map(wanted).collect()
    }
}

/// What of a plugin is on trial, as the store would have it.
fn trial(plugin: &Plugin, found: &Found) -> Option<Trial> {
    let candidate =
        |one: &super::component::Component| Candidate { sha256: one.sha256.clone(), file: one.file.clone() };
    let declared = plugin.trial.as_ref()?;
    Some(Trial { candidate: found.candidate.as_ref().map(candidate), mode: declared.mode, halted: None })
}

fn status(declared: &Declared) -> TenantStatus {
    if declared.suspended { TenantStatus::Suspended } else { TenantStatus::Active }
}

pub(super) fn compare(
    files: Vec<TenantFile>,
    standing: Vec<Standing>,
    occasion: &Occasion,
) -> Result<Difference, ConfigErrors> {
    let mut standing: BTreeMap<String, Standing> =
        standing.into_iter().map(|one| (one.tenant.slug.clone().unwrap_or_default(), one)).collect();
    let (mut difference, mut errors) = (Difference::default(), Vec::new());
    for file in files {
        let before = standing.remove(file.declared.slug.as_str());
        if let Some(error) = too_many_webhooks(&file.declared, before.as_ref()) {
            errors.push(error);
            continue;
        }
        let tenant = Comparison::new(file, before, occasion).compared();
        if tenant.changes.is_empty() {
            continue;
        }
        let removes = tenant.changes.iter().filter(|c| c.action == Action::Remove && c.kind == Kind::Device);
        difference.plan.needs_allow_remove.extend(removes.map(|change| {
            let about = change.about.as_deref().unwrap_or_default();
            format!("device {:?} of tenant {:?} ({about})", change.name, change.tenant)
        }));
        difference.plan.changes.extend(tenant.changes.iter().cloned());
        difference.tenants.push(tenant);
    }
    for (slug, left) in standing {
        let linked = left.devices.iter().filter(|device| device.linked).count();
        let about = format!("devices: {}, linked: {linked}", left.devices.len());
        difference.plan.needs_allow_remove.push(format!("tenant {slug:?} ({about})"));
        let change = Change {
            action: Action::Remove,
            kind: Kind::Tenant,
            tenant: slug.clone(),
            file: left.tenant.managed_by.clone(),
            name: slug,
            about: Some(about),
            fields: Vec::new(),
        };
        difference.plan.changes.push(change.clone());
        difference.gone.push(Gone { tenant: left.tenant, change });
    }
    if errors.is_empty() { Ok(difference) } else { Err(ConfigErrors(errors)) }
}

fn too_many_webhooks(declared: &Declared, before: Option<&Standing>) -> Option<ConfigError> {
    let webhooks = before.map_or([].as_slice(), |before| &before.webhooks);
    let of_api = webhooks.iter().filter(|webhook| webhook.managed_by == MANAGED_BY_API).count();
    let most = usize::try_from(WEBHOOKS_PER_TENANT_MAX).unwrap_or(usize::MAX);
    (declared.webhooks.len() + of_api > most).then(|| ConfigError {
        key: "webhooks".to_owned(),
        message: format!("are too many beside the {of_api} that the API made; a tenant may have {most}"),
        source: Some(declared.file.clone()),
    })
}

/// The fields of one thing that differ.
#[derive(Default)]
struct Fields(Vec<FieldChange>);

impl Fields {
    fn value(&mut self, field: impl Into<String>, old: impl Into<Value>, new: impl Into<Value>) {
        let (old, new) = (old.into(), new.into());
        if old != new {
            self.0.push(FieldChange { field: field.into(), old, new, secret: false });
        }
    }

    fn secret(&mut self, field: impl Into<String>, old: Option<&Secret>, new: Option<&Secret>) {
        if old != new {
            self.0.push(FieldChange { field: field.into(), old: Value::Null, new: Value::Null, secret: true });
        }
    }

    fn secrets(&mut self, field: &str, old: &BTreeMap<String, Secret>, new: &BTreeMap<String, Secret>) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            self.secret(format!("{field}.{name}"), old.get(name), new.get(name));
        }
    }

    /// Two objects, leaf by leaf.
    fn leaves(&mut self, path: &str, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Object(before), Value::Object(after)) => {
                let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                for name in names {
                    let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    let at = |object: &serde_json::Map<String, Value>| object.get(name).cloned().unwrap_or_default();
                    self.leaves(&inner, &at(before), &at(after));
                }
            }
            _ => self.value(path, old.clone(), new.clone()),
        }
    }
}

/// One tenant being compared.
struct Comparison<'a> {
    before: Option<Standing>,
    occasion: &'a Occasion,
    made: TenantDifference,
}

impl<'a> Comparison<'a> {
    fn new(file: TenantFile, before: Option<Standing>, occasion: &'a Occasion) -> Self {
        let made = TenantDifference {
            id: before.as_ref().map_or_else(TenantId::generate, |before| before.tenant.id.clone()),
            before: before.as_ref().map(|before| before.tenant.status),
            file,
            devices: Vec::new(),
            devices_gone: Vec::new(),
            webhooks: Vec::new(),
            webhooks_gone: Vec::new(),
            plugins_differ: false,
            changes: Vec::new(),
        };
        Self { before, occasion, made }
    }

    fn compared(mut self) -> TenantDifference {
        let declared = self.made.file.declared.clone();
        let (devices, webhooks, plugins) = match self.before.take() {
            Some(before) => {
                self.tenant(&declared, &before.tenant, &before.plugins);
                (before.devices, before.webhooks, before.plugins)
            }
            None => {
                self.change(
                    Action::Add,
                    Kind::Tenant,
                    declared.slug.as_str(),
                    Some(declared.name.clone()),
                    Fields::default(),
                );
                (Vec::new(), Vec::new(), Vec::new())
            }
        };
        let ids = self.devices(&declared, &devices);
        for webhook in &declared.webhooks {
            let slug = Some(webhook.slug.as_str());
            self.webhook(webhook, webhooks.iter().find(|row| row.slug.as_deref() == slug), &ids);
        }
        for row in webhooks.iter().filter(|row| row.managed_by != MANAGED_BY_API) {
            let slug = row.slug.clone().unwrap_or_default();
            if !declared.webhooks.iter().any(|webhook| webhook.slug.as_str() == slug) {
                self.made.webhooks_gone.push(row.id.clone());
                self.change(Action::Remove, Kind::Webhook, &slug, Some(row.url.clone()), Fields::default());
            }
        }
        self.plugins(&declared, &plugins);
        self.made
    }

    fn change(&mut self, action: Action, kind: Kind, name: &str, about: Option<String>, fields: Fields) {
        let declared = &self.made.file.declared;
        self.made.changes.push(Change {
            action,
            kind,
            tenant: declared.slug.to_string(),
            file: declared.file.clone(),
            name: name.to_owned(),
            about,
            fields: fields.0,
        });
    }

    fn tenant(&mut self, declared: &Declared, row: &TenantRow, plugins: &[PluginRow]) {
        let mut fields = Fields::default();
        fields.value("file", row.managed_by.as_str(), declared.file.as_str());
        fields.value("name", row.name.as_str(), declared.name.as_str());
        fields.value("status", row.status.as_str(), status(declared).as_str());
        fields.leaves("limits", &limits(&row.limits), &limits(&declared.limits));
        fields.leaves("media", &json!(row.media), &json!(declared.media));
        let still = |name: &str| declared.plugins.iter().any(|plugin| plugin.name.as_str() == name);
        let placed: Vec<&str> = plugins
            .iter()
            .filter(|row| row.managed_by != MANAGED_BY_API && still(&row.name))
            .map(|row| row.name.as_str())
            .collect();
        let wanted: Vec<&str> =
            declared.plugins.iter().map(|plugin| plugin.name.as_str()).filter(|name| placed.contains(name)).collect();
        if placed != wanted {
            self.made.plugins_differ = true;
            fields.value("order of plugins", json!(placed), json!(wanted));
        }
        if row.managed_by != declared.file {
            self.made.plugins_differ = true;
        }
        if !fields.0.is_empty() {
            self.change(Action::Change, Kind::Tenant, declared.slug.as_str(), None, fields);
        }
    }

    /// Returns the id of every device of the file by its slug.
    fn devices(&mut self, declared: &Declared, rows: &[DeviceRow]) -> BTreeMap<String, DeviceId> {
        let mut ids = BTreeMap::new();
        for device in &declared.devices {
            let slug = device.slug.to_string();
            let row = rows.iter().find(|row| row.slug.as_deref() == Some(slug.as_str()));
            let id = row.map_or_else(DeviceId::generate, |row| row.id.clone());
            ids.insert(slug.clone(), id.clone());
            let write = DeviceWrite { id, is_new: row.is_none(), slug: slug.clone(), label: device.label.clone() };
            let mut fields = Fields::default();
            match row {
                None => self.change(Action::Add, Kind::Device, &slug, Some(device.label.clone()), fields),
                Some(row) => {
                    fields.value("label", row.label.as_str(), device.label.as_str());
                    if fields.0.is_empty() {
                        continue;
                    }
                    self.change(Action::Change, Kind::Device, &slug, None, fields);
                }
            }
            self.made.devices.push(write);
        }
        for row in rows.iter().filter(|row| row.managed_by != MANAGED_BY_API) {
            let slug = row.slug.clone().unwrap_or_default();
            if !ids.contains_key(&slug) {
                self.made.devices_gone.push(row.id.clone());
                let about = if row.linked { "linked" } else { "not linked" };
                self.change(Action::Remove, Kind::Device, &slug, Some(about.to_owned()), Fields::default());
            }
            // Webhooks are compared by the names of devices, also of those that go.
            ids.entry(slug).or_insert_with(|| row.id.clone());
        }
        ids
    }

    fn webhook(&mut self, webhook: &Webhook, row: Option<&WebhookRow>, ids: &BTreeMap<String, DeviceId>) {
        let device_ids = webhook.devices.as_ref().map(|slugs| {
            slugs.iter().filter_map(|slug| ids.get(slug.as_str())).map(|id| id.as_str().to_owned()).collect()
        });
        let write = WebhookWrite {
            id: row.map_or_else(WebhookId::generate, |row| row.id.clone()),
            is_new: row.is_none(),
            slug: webhook.slug.to_string(),
            spec: WebhookSpec {
                name: webhook.name.clone(),
                url: webhook.url.clone(),
                events: webhook.events.clone(),
                enabled: webhook.enabled,
                secret: webhook.secret.clone(),
                headers: webhook.headers.clone(),
                retry_count: webhook.retry_count,
                timeout_ms: webhook.timeout_ms,
                device_ids,
                format: webhook.format.as_ref().map(ToString::to_string),
                shared_token: webhook.shared_token.clone(),
                schedule: webhook.schedule,
                order: webhook.order,
                filter: webhook.filter.clone(),
                raw: webhook.raw,
            },
        };
        let slug = webhook.slug.as_str();
        match row {
            None => self.change(Action::Add, Kind::Webhook, slug, Some(webhook.url.clone()), Fields::default()),
            Some(row) => {
                let fields = self.webhook_fields(&write.spec, row, ids);
                if fields.0.is_empty() {
                    return;
                }
                self.change(Action::Change, Kind::Webhook, slug, row.disabled_reason.clone(), fields);
            }
        }
        self.made.webhooks.push(write);
    }

    fn webhook_fields(&self, spec: &WebhookSpec, row: &WebhookRow, ids: &BTreeMap<String, DeviceId>) -> Fields {
        let named = |devices: &Option<Vec<String>>| match devices {
            None => Value::Null,
            Some(all) => {
                let slug = |id: &String| {
                    let found = ids.iter().find(|(_, known)| known.as_str() == id);
                    found.map_or_else(|| id.clone(), |(slug, _)| slug.clone())
                };
                json!(all.iter().map(slug).collect::<BTreeSet<_>>())
            }
        };
        let mut fields = Fields::default();
        fields.value("name", row.name.clone(), spec.name.clone());
        fields.value("url", row.url.as_str(), spec.url.as_str());
        fields.value("events", json!(row.events), json!(spec.events));
        fields.secret("secret", Some(&row.secret), Some(&spec.secret));
        fields.secrets("headers", &row.headers, &spec.headers);
        fields.value("retry_count", row.retry_count, spec.retry_count);
        fields.value("timeout_ms", row.timeout_ms, spec.timeout_ms);
        fields.value("devices", named(&row.device_ids), named(&spec.device_ids));
        fields.value("format", row.format.clone(), spec.format.clone());
        fields.secret("shared_token", row.shared_token.as_ref(), spec.shared_token.as_ref());
        fields.value("schedule", row.schedule.as_str(), spec.schedule.as_str());
        fields.value("ordering", row.order.as_str(), spec.order.as_str());
        fields.value("filter", json!(row.filter), json!(spec.filter));
        fields.value("raw", row.raw, spec.raw);
        // One that the gateway switched off stays off until somebody asks or changes it: a receiver that says 410 would
        // otherwise be asked again at every start.
        let switched_off = !row.enabled && row.disabled_reason.is_some();
        if !switched_off || !fields.0.is_empty() || matches!(self.occasion, Occasion::Asked { .. }) {
            fields.value("enabled", row.enabled, spec.enabled);
        }
        fields
    }

    fn plugins(&mut self, declared: &Declared, rows: &[PluginRow]) {
        let components = self.made.file.components.clone();
        for (plugin, found) in declared.plugins.iter().zip(&components) {
            let component = &found.component;
            let name = plugin.name.as_str();
            // One that the API made under this name is refused when the change is tried.
            let row = rows.iter().find(|row| row.name == name && row.managed_by != MANAGED_BY_API);
            let Some(row) = row else {
                self.made.plugins_differ = true;
                let about = component.manifest.as_ref().map(|m| format!("{} {}", m.name, m.version));
                let about = match plugin.trial.as_ref().map(|trial| (trial, &trial.candidate)) {
                    None => about,
                    Some((trial, Some(_))) => {
                        let known = found.candidate.as_ref().and_then(|one| one.manifest.as_ref());
                        let version = known.map_or("", |manifest| manifest.version.as_str());
                        Some(format!("{}, candidate {version} as {}", about.unwrap_or_default(), shown(trial.mode)))
                    }
                    Some((trial, None)) => Some(format!("{}, as {}", about.unwrap_or_default(), shown(trial.mode))),
                };
                self.change(Action::Add, Kind::Plugin, name, about, Fields::default());
                continue;
            };
            let mut fields = Fields::default();
            fields.value("sha256", row.sha256.as_str(), component.sha256.as_str());
            fields.value("file", row.file.clone(), component.file.clone());
            fields.value("enabled", row.enabled, plugin.enabled);
            fields.leaves("", &on_trial(row.trial.as_ref()), &on_trial(trial(plugin, found).as_ref()));
            fields.leaves("", &row.settings, &serde_json::to_value(&plugin.settings).unwrap_or_default());
            fields.secrets("secrets", &row.secrets, &plugin.secrets);
            if !fields.0.is_empty() {
                self.made.plugins_differ = true;
                self.change(Action::Change, Kind::Plugin, name, None, fields);
            }
        }
        for row in rows.iter().filter(|row| row.managed_by != MANAGED_BY_API) {
            if !declared.plugins.iter().any(|plugin| plugin.name.as_str() == row.name) {
                self.made.plugins_differ = true;
                self.change(Action::Remove, Kind::Plugin, &row.name, None, Fields::default());
            }
        }
    }
}

/// As the file writes it.
fn on_trial(trial: Option<&Trial>) -> Value {
    let said = |trial: Option<&Trial>| {
        let mode = trial.map(|trial| trial.mode);
        let candidate = trial.and_then(|trial| trial.candidate.as_ref());
        json!({
            // A canary is said by its weight.
            "mode": mode.filter(|mode| mode.weight().is_none()).map(TrialMode::as_str),
            "weight": mode.and_then(TrialMode::weight),
            "file": candidate.and_then(|candidate| candidate.file.as_ref()),
            "sha256": candidate.map(|candidate| &candidate.sha256),
        })
    };
    let (alone, beside) = match trial {
        Some(one) if one.is_alone() => (trial, None),
        _ => (None, trial),
    };
    let alone = said(alone);
    json!({ "mode": alone["mode"], "weight": alone["weight"], "candidate": said(beside) })
}

fn shown(mode: TrialMode) -> String {
    match mode.weight() {
        Some(weight) => format!("canary of {weight} percent"),
        None => mode.as_str().to_owned(),
    }
}

/// As the file writes them.
fn limits(limits: &Allowance) -> Value {
    let allowed = |allowed: Option<Allowed>| match allowed {
        None => Value::Null,
        Some(Allowed::Off) => json!("off"),
        Some(Allowed::Max(most)) => json!(most),
    };
    json!({
        "requests": allowed(limits.requests),
        "requests_window_s": limits.requests_window_s,
        "text_per_minute": allowed(limits.text_per_minute),
        "media_per_minute": allowed(limits.media_per_minute),
        "location_per_minute": allowed(limits.location_per_minute),
        "contact_per_minute": allowed(limits.contact_per_minute),
        "reaction_per_minute": allowed(limits.reaction_per_minute),
        "poll_per_minute": allowed(limits.poll_per_minute),
        "forward_per_minute": allowed(limits.forward_per_minute),
        "status_per_minute": allowed(limits.status_per_minute),
        "groups_per_minute": allowed(limits.groups_per_minute),
        "streams": allowed(limits.streams),
        "events_keep_days": allowed(limits.events_keep_days),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::media::TenantMedia;
    use crate::store::AuditEntry;
    use crate::tenants::component::Component;
    use crate::tenants::declared::{self, tests::egress};
    use std::path::Path;

    const FILE: &str = r#"
        name = "Acme"
        [[webhooks]]
        slug = "crm"
        url = "https://crm.example.com/hook"
        events = ["*"]
        secret = "a secret of the hook"
        [[plugins]]
        name = "first"
        sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        [[plugins]]
        name = "second"
        sha256 = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    "#;

    fn file() -> TenantFile {
        let declared = declared::read("acme.toml", FILE, Path::new("."), &|_| None, &egress()).expect("reads");
        let found = |digit: &str| Found {
            component: Component { sha256: digit.repeat(64), file: None, bytes: None, manifest: None },
            candidate: None,
        };
        TenantFile { declared, components: vec![found("a"), found("b")] }
    }

    /// The store as it is after the file was applied.
    fn standing() -> Standing {
        let file = file();
        let tenant = TenantRow {
            id: TenantId::generate(),
            slug: Some("acme".into()),
            managed_by: "acme.toml".into(),
            name: "Acme".into(),
            status: TenantStatus::Active,
            limits: Allowance::default(),
            media: TenantMedia::default(),
            created_at: 0,
            updated_at: 0,
        };
        let hook = &file.declared.webhooks[0];
        let webhook = WebhookRow {
            id: WebhookId::generate(),
            tenant: tenant.id.clone(),
            slug: Some("crm".into()),
            managed_by: "acme.toml".into(),
            name: None,
            url: hook.url.clone(),
            events: hook.events.clone(),
            enabled: true,
            disabled_reason: None,
            secret: hook.secret.clone(),
            headers: BTreeMap::new(),
            retry_count: hook.retry_count,
            timeout_ms: hook.timeout_ms,
            device_ids: None,
            format: None,
            previous_secret: None,
            shared_token: None,
            schedule: hook.schedule,
            order: hook.order,
            filter: hook.filter.clone(),
            raw: hook.raw,
            failing_since: None,
            created_at: 0,
            updated_at: 0,
        };
        let plugin = |(position, plugin): (usize, &Plugin)| PluginRow {
            tenant: tenant.id.clone(),
            name: plugin.name.to_string(),
            managed_by: "acme.toml".into(),
            position: u32::try_from(position).expect("few"),
            enabled: true,
            sha256: file.components[position].component.sha256.clone(),
            previous_sha256: None,
            file: None,
            settings: serde_json::to_value(&plugin.settings).expect("json"),
            secrets: BTreeMap::new(),
            trial: None,
            reason: None,
            created_at: 0,
            updated_at: 0,
        };
        let plugins = file.declared.plugins.iter().enumerate().map(plugin).collect();
        Standing { tenant, devices: Vec::new(), webhooks: vec![webhook], plugins }
    }

    fn compared(standing: Standing, occasion: &Occasion) -> Difference {
        compare(vec![file()], vec![standing], occasion).expect("compares")
    }

    #[test]
    fn what_was_applied_does_not_differ() {
        assert_eq!(compared(standing(), &Occasion::Start).plan, Plan::default());
    }

    #[test]
    fn a_webhook_that_the_gateway_switched_off_stays_off_until_somebody_asks_or_changes_it() {
        let mut off = standing();
        off.webhooks[0].enabled = false;
        off.webhooks[0].disabled_reason = Some("the receiver answered 410".into());
        let mut moved = off.clone();
        moved.webhooks[0].url = "https://old.example.com/".into();
        let asked = Occasion::Asked { audit: Box::<AuditEntry>::default(), allow_remove: false };
        let fields = |difference: &Difference| -> Vec<String> {
            let changes = difference.plan.changes.iter().flat_map(|change| &change.fields);
            changes.map(|field| field.field.clone()).collect()
        };

        assert!(compared(off.clone(), &Occasion::Changed).plan.is_empty());
        assert_eq!(fields(&compared(off, &asked)), ["enabled"]);
        let changed = compared(moved, &Occasion::Changed);
        assert_eq!(fields(&changed), ["url", "enabled"]);
        assert!(changed.tenants[0].webhooks[0].spec.enabled);
    }

    #[test]
    fn another_order_of_plugins_differs_and_one_of_the_api_among_them_does_not() {
        let mut beside = standing();
        let of_api = PluginRow { name: "own".into(), managed_by: "api".into(), ..beside.plugins[0].clone() };
        beside.plugins.insert(1, of_api);
        assert!(compared(beside.clone(), &Occasion::Start).plan.is_empty());

        beside.plugins.reverse();
        let difference = compared(beside, &Occasion::Start);
        let field = &difference.plan.changes[0].fields[0];
        assert_eq!((field.field.as_str(), &field.new), ("order of plugins", &json!(["first", "second"])));
        assert!(difference.tenants[0].plugins_differ);
    }

    #[test]
    fn a_trial_is_compared_as_the_file_writes_it_and_not_by_what_became_of_it() {
        let canary = |weight, halted| {
            let candidate = Some(Candidate { sha256: "c".repeat(64), file: None });
            Some(Trial { candidate, mode: TrialMode::Canary { weight }, halted })
        };
        assert_eq!(on_trial(canary(5, None).as_ref()), on_trial(canary(5, Some("why".into())).as_ref()));
        let mut before = standing();
        before.plugins[0].trial = canary(5, None);

        let difference = compared(before, &Occasion::Start);

        assert!(difference.tenants[0].plugins_differ);
        let told = difference.plan.to_string();
        assert!(told.contains("candidate.weight: 5 -> (none)") && told.contains("candidate.sha256: \"cccc"), "{told}");
    }

    #[test]
    fn a_file_that_is_gone_takes_its_tenant_only_when_that_is_allowed() {
        let difference = compare(Vec::new(), vec![standing()], &Occasion::Start).expect("compares");
        assert_eq!(difference.plan.needs_allow_remove, ["tenant \"acme\" (devices: 0, linked: 0)"]);
        assert_eq!(difference.gone.len(), 1);
    }
}
