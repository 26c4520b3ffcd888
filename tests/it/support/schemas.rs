//! What the gateways of the tests tell, held against the schemas in docs/events. A field that a schema does not name is a
//! problem too: it lacks its documentation.

use super::record;
use jsonschema::Validator;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static VALIDATORS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap())
                .unwrap_or_else(|error| panic!("{} is no JSON: {error}", file.display()));
            close(&mut schema);
            let validator = jsonschema::draft202012::new(&schema);
            (name, validator.unwrap_or_else(|error| panic!("{} is no schema: {error}", file.display())))
        })
        .collect()
});

/// No field but those that are named, unless the schema itself says otherwise. What a condition says is left alone.
fn close(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.contains_key("properties") && !object.contains_key("additionalProperties") {
        object.insert("additionalProperties".to_owned(), false.into());
    }
    for named in ["properties", "$defs"] {
        object
            .get_mut(named)
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
            .for_each(|(_, schema)| close(schema));
    }
    object.get_mut("items").into_iter().for_each(close);
}

/// What is wrong with an event.
pub fn problems(type_: &str, data: &Value) -> Vec<String> {
    match VALIDATORS.get(type_) {
        None => vec![format!("{type_} has no schema in docs/events")],
        Some(validator) => {
            let named = |error: jsonschema::ValidationError<'_>| format!("{type_}: {error}: {data}");
            validator.iter_errors(data).map(named).collect()
        }
    }
}

/// An event that a test has in hand, and no gateway has told.
pub fn hold_to_its_schema(type_: &str, data: &Value) {
    assert_eq!(problems(type_, data), Vec::<String>::new());
    record::told(std::thread::current().name().unwrap_or_default(), type_);
}

/// The log of a gateway, or of one tenant of it. Read when dropped; what is wrong then fails the test.
pub struct Told {
    database: PathBuf,
    tenant: Option<String>,
    test: String,
}

impl Told {
    /// For the test on whose thread it is made.
    pub fn new(database: PathBuf, tenant: Option<String>) -> Self {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        Self { database, tenant, test }
    }

    fn events(&self) -> rusqlite::Result<Vec<(String, String)>> {
        // Read-only, so that what a killed process left is left alone.
        let database =
            rusqlite::Connection::open_with_flags(&self.database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut statement =
            database.prepare("SELECT type, data FROM event_logs WHERE tenant_id = ?1 OR ?1 IS NULL ORDER BY seq")?;
        statement.query_map([&self.tenant], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // A database that a test took away or damaged tells nothing.
        let Ok(events) = self.events() else { return };
        let wrong: Vec<String> = events
            .iter()
            .flat_map(|(type_, data)| match serde_json::from_str(data) {
                Ok(data) => problems(type_, &data),
                Err(error) => vec![format!("{type_}: {error}: {data}")],
            })
            .collect();
        events.iter().for_each(|(type_, _)| record::told(&self.test, type_));
        assert!(wrong.is_empty(), "what was told is not what docs/events says:\n{}", wrong.join("\n"));
    }
}
