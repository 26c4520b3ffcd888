//! The operations of the API document, and which one a path belongs to.

use serde_json::Value;

pub struct Operation {
    /// Such as `GET /v1/devices/{device}`.
    pub name: String,
    method: String,
    pattern: Vec<String>,
    pub described: Value,
}

/// Whose key is asked for.
pub enum Caller {
    Anybody,
    Tenant,
    Operator,
}

pub struct Operations(pub Vec<Operation>);

impl Operations {
    pub fn documented() -> Self {
        let document = serde_json::to_value(rijan::api::document()).unwrap();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, described) in item.as_object().unwrap() {
                let method = method.to_uppercase();
                let name = format!("{method} {path}");
                let pattern = path.split('/').map(str::to_owned).collect();
                operations.push(Operation { name, method, pattern, described: described.clone() });
            }
        }
        Self(operations)
    }

    /// The name of the operation that a path of a request belongs to. Where several fit, the one with fewer variables.
    pub fn of(&self, method: &str, path: &str) -> Option<String> {
        // What the operator does is served at both.
        let path = path.strip_prefix("/v1").filter(|rest| rest.starts_with("/admin/")).unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        let fitting = self.0.iter().filter(|one| one.method == method && one.fits(&parts));
        fitting.min_by_key(|one| one.variables()).map(|one| one.name.clone())
    }
}

impl Operation {
    fn fits(&self, parts: &[&str]) -> bool {
        let same = |(pattern, part): (&String, &&str)| {
            if is_variable(pattern) { !part.is_empty() } else { pattern == part }
        };
        self.pattern.len() == parts.len() && self.pattern.iter().zip(parts).all(same)
    }

    pub fn variables(&self) -> usize {
        self.pattern.iter().filter(|part| is_variable(part)).count()
    }

    /// Statuses of its documented answers.
    pub fn documented(&self) -> Vec<u16> {
        let responses = self.described["responses"].as_object().unwrap();
        responses.keys().map(|status| status.parse().unwrap()).collect()
    }

    /// Statuses that tell that it was done; for what the client library lacks, that it cannot be.
    pub fn successes(&self) -> Vec<u16> {
        let documented = self.documented();
        if documented.contains(&501) {
            return vec![501];
        }
        documented.into_iter().filter(|status| *status < 400).collect()
    }

    pub fn caller(&self) -> Caller {
        let asks = |name: &str| {
            let schemes = self.described["security"].as_array();
            schemes.is_some_and(|schemes| schemes.iter().any(|scheme| scheme.get(name).is_some()))
        };
        match (asks("masterKey"), asks("apiKey")) {
            (true, _) => Caller::Operator,
            (false, true) => Caller::Tenant,
            (false, false) => Caller::Anybody,
        }
    }
}

fn is_variable(part: &str) -> bool {
    part.starts_with('{')
}

#[test]
fn a_path_belongs_to_the_operation_with_the_fewest_variables_that_fits() {
    let operations = Operations::documented();
    let of = |method: &str, path: &str| operations.of(method, path);

    assert_eq!(of("GET", "/v1/devices/sessions").as_deref(), Some("GET /v1/devices/sessions"));
    assert_eq!(of("GET", "/v1/devices/device_1").as_deref(), Some("GET /v1/devices/{device}"));
    assert_eq!(of("GET", "/v1/admin/tenants").as_deref(), Some("GET /admin/tenants"));
    assert_eq!(of("PUT", "/v1/devices/device_1"), None);
    assert_eq!(of("GET", "/v1/devices/"), None);
}
