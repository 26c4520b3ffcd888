//! What would change, for people and for programs. Secrets are shown as changed, never as what they are.

use serde::Serialize;
use serde_json::Value;
use std::fmt;
use utoipa::ToSchema;

/// Characters of a value that people are shown; programs get all of it.
const VALUE_CHARS_MAX: usize = 120;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Add,
    Change,
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Tenant,
    Device,
    Webhook,
    Plugin,
}

/// One thing that differs from what the files declare.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Change {
    pub action: Action,
    pub kind: Kind,
    /// The tenant's slug.
    pub tenant: String,
    /// The file that declares it, or did.
    pub file: String,
    /// Slug or name of a device, webhook or plugin; the tenant's slug for itself.
    pub name: String,
    /// What a person wants to know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    pub fields: Vec<FieldChange>,
}

/// A field that differs. A secret shows neither value.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FieldChange {
    pub field: String,
    #[schema(value_type = Object)]
    pub old: Value,
    #[schema(value_type = Object)]
    pub new: Value,
    pub secret: bool,
}

/// Everything that differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Plan {
    pub changes: Vec<Change>,
    /// What goes only when somebody allows it: devices and tenants.
    pub needs_allow_remove: Vec<String>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn count(&self, action: Action) -> usize {
        self.changes.iter().filter(|change| change.action == action).count()
    }
}

impl Change {
    /// Which fields, without their values: for logs, events and the audit.
    pub(super) fn summary(&self) -> Value {
        let fields: Vec<&str> = self.fields.iter().map(|field| field.field.as_str()).collect();
        serde_json::json!({ "action": self.action, "kind": self.kind, "name": self.name, "fields": fields })
    }
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Device => "device",
            Self::Webhook => "webhook",
            Self::Plugin => "plugin",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(f, "nothing would change");
        }
        let mut tenant = None;
        for change in &self.changes {
            if tenant != Some(&change.tenant) {
                writeln!(f, "{}: tenant {:?}", change.file, change.tenant)?;
                tenant = Some(&change.tenant);
            }
            write!(f, "{change}")?;
        }
        let (added, changed, removed) =
            (self.count(Action::Add), self.count(Action::Change), self.count(Action::Remove));
        write!(f, "{added} to add, {changed} to change, {removed} to remove")?;
        for what in &self.needs_allow_remove {
            write!(f, "\nneeds --allow-remove: {what}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.action {
            Action::Add => '+',
            Action::Change => '~',
            Action::Remove => '-',
        };
        write!(f, "  {sign} {} {:?}", self.kind.text(), self.name)?;
        match &self.about {
            Some(about) => writeln!(f, " ({about})")?,
            None => writeln!(f)?,
        }
        for field in &self.fields {
            if field.secret {
                writeln!(f, "      {}: changed", field.field)?;
            } else {
                writeln!(f, "      {}: {} -> {}", field.field, shown(&field.old), shown(&field.new))?;
            }
        }
        Ok(())
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "(none)".to_owned();
    }
    let text = value.to_string();
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    format!("{}...", text.chars().take(VALUE_CHARS_MAX).collect::<String>())
}
