//! The one place that says yes or no: what a plugin wants, what its component imports, what the tenant grants.

use super::manifest::{EffectKind, Import, Manifest};
use super::settings::Grants;
use std::collections::BTreeSet;
use url::Url;

/// Why a component may not be loaded for a tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("plugin {plugin:?} imports {import:?}, which its manifest does not ask for")]
    NotAsked { plugin: String, import: &'static str },
    #[error("plugin {plugin:?} asks for {import:?}, and the tenant does not grant it: add it to grants.imports")]
    NotGranted { plugin: String, import: &'static str },
}

/// What a plugin may do, decided once when it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    effects: BTreeSet<EffectKind>,
    hosts: Vec<(HostPattern, HostPattern)>,
    secrets: BTreeSet<String>,
    devices: Vec<String>,
}

/// Decides what `manifest`, with these imports in its component, may do under `grants`.
pub(super) fn decide(manifest: &Manifest, imports: &BTreeSet<Import>, grants: &Grants) -> Result<Granted, Refused> {
    let plugin = || manifest.name.to_string();
    for import in imports.iter().filter(|import| import.needs_grant()) {
        let import_name = import.as_str();
        if !manifest.wants.imports.contains(import) {
            return Err(Refused::NotAsked { plugin: plugin(), import: import_name });
        }
        if !grants.imports.contains(import) {
            return Err(Refused::NotGranted { plugin: plugin(), import: import_name });
        }
    }
    let wanted = || manifest.wants.hosts.iter().map(|host| HostPattern::parse(host));
    let pairs = grants.hosts.iter().flat_map(|granted| {
        let granted = HostPattern::parse(granted);
        wanted().map(move |wanted| (wanted, granted.clone()))
    });
    Ok(Granted {
        effects: manifest.wants.effects.intersection(&grants.effects).copied().collect(),
        hosts: pairs.collect(),
        secrets: manifest.wants.secrets.iter().filter(|name| grants.secrets.contains(name)).cloned().collect(),
        devices: grants.devices.clone(),
    })
}

impl Granted {
    pub(super) fn allows_effect(&self, effect: EffectKind) -> bool {
        self.effects.contains(&effect)
    }

    /// Named by the plugin and by the tenant, both. Whether the address is public is the egress's to say.
    pub(super) fn allows_url(&self, url: &Url) -> bool {
        self.hosts.iter().any(|(wanted, granted)| wanted.covers(url) && granted.covers(url))
    }

    pub(super) fn allows_secret(&self, name: &str) -> bool {
        self.secrets.contains(name)
    }

    /// A device beside the event's own, by its id or slug.
    pub(super) fn allows_device(&self, names: &[&str]) -> bool {
        self.devices.iter().any(|granted| granted == "*" || names.contains(&granted.as_str()))
    }
}

/// `host`, `host:port`, `*.host`. Without a port: the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HostPattern {
    host: String,
    subdomains: bool,
    port: Option<u16>,
}

impl HostPattern {
    fn parse(text: &str) -> Self {
        let text = text.trim().trim_end_matches('.').to_ascii_lowercase();
        let (text, subdomains) = match text.strip_prefix("*.") {
            Some(rest) => (rest.to_owned(), true),
            None => (text, false),
        };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
                Ok(port) => (host.to_owned(), Some(port)),
                Err(_) => (text.clone(), None),
            },
            _ => (text.clone(), None),
        };
        Self { host, subdomains, port }
    }

    fn covers(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let port_fits = match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            None => url.port().is_none(),
        };
        let host_fits = if self.subdomains {
            host.strip_suffix(&self.host).is_some_and(|rest| rest.ends_with('.'))
        } else {
            host == self.host
        };
        !self.host.is_empty() && port_fits && host_fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(wants: serde_json::Value) -> Manifest {
        let manifest = json!({ "name": "p", "version": "1", "hooks": { "outbound": true }, "wants": wants });
        Manifest::from_json(manifest.to_string().as_bytes()).expect("manifest")
    }

    fn grants(grants: serde_json::Value) -> Grants {
        serde_json::from_value(grants).expect("grants")
    }

    #[test]
    fn every_import_that_needs_a_grant_is_refused_without_it() {
        for import in Import::ALL.iter().copied() {
            let asks = manifest(json!({ "imports": [import.as_str()] }));
            let imports = BTreeSet::from([import]);
            let silent = manifest(json!({}));

            let without = decide(&asks, &imports, &Grants::default());
            let unasked = decide(&silent, &imports, &grants(json!({ "imports": [import.as_str()] })));
            let with = decide(&asks, &imports, &grants(json!({ "imports": [import.as_str()] })));

            let needs = import.needs_grant();
            assert_eq!(matches!(without, Err(Refused::NotGranted { .. })), needs, "{import}");
            assert_eq!(matches!(unasked, Err(Refused::NotAsked { .. })), needs, "{import}");
            assert!(with.is_ok(), "{import}");
        }
    }

    #[test]
    fn an_effect_a_secret_and_a_host_need_both_sides() {
        let asks = manifest(json!({
            "imports": ["http", "secrets"], "effects": ["reply", "send"], "hosts": ["*.example.com", "other.test:8443"],
            "secrets": ["A", "B"],
        }));
        let given = grants(json!({
            "imports": ["http", "secrets"], "effects": ["reply", "forward"],
            "hosts": ["api.example.com", "other.test:8443", "evil.test"], "secrets": ["B", "C"],
        }));

        let granted = decide(&asks, &BTreeSet::from([Import::Http]), &given).expect("granted");

        assert!(granted.allows_effect(EffectKind::Reply));
        assert!(!granted.allows_effect(EffectKind::Send) && !granted.allows_effect(EffectKind::Forward));
        assert!(granted.allows_secret("B") && !granted.allows_secret("A") && !granted.allows_secret("C"));
        let allows = |url: &str| granted.allows_url(&Url::parse(url).expect("url"));
        assert!(allows("https://api.example.com/x") && allows("https://API.example.com./x"));
        assert!(allows("https://other.test:8443/"));
        for url in [
            "https://www.example.com/",
            "https://example.com/",
            "https://api.example.com:8443/",
            "https://other.test/",
            "https://evil.test/",
            "https://api.example.com.evil.test/",
            "https://notexample.com/",
        ] {
            assert!(!allows(url), "{url}");
        }
    }
}
