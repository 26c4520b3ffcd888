//! How large what a tenant says of a webhook may be, over the API and in a file alike; and which events one filters out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub const NAME_CHARS_MAX: usize = 100;
pub const URL_CHARS_MAX: usize = 2_048;
pub const SHARED_TOKEN_CHARS_MAX: usize = 256;
/// How long the secret before still signs after a rotation.
pub const ROTATION_MS: i64 = 24 * 3_600_000;
pub const EVENTS_MAX: usize = 64;
pub const HEADERS_MAX: usize = 20;
pub const DEVICES_MAX: usize = 1_000;
pub const TIMEOUT_MS_DEFAULT: u32 = 10_000;
pub const TIMEOUT_MS_MIN: u32 = 100;
pub const TIMEOUT_MS_MAX: u32 = 30_000;
/// Every event looks at each of them; one more is refused.
pub const WEBHOOKS_PER_TENANT_MAX: u32 = 100;
/// Entries of one list of a filter.
pub const FILTER_ENTRIES_MAX: usize = 1_000;

/// Which of the events that it subscribes to a webhook wants. What an event does not tell cannot keep it out: one about a
/// device passes a filter of chats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// As the event's `chat`.
    pub chats: Option<Vec<String>>,
    /// As the `type` of a message.
    pub types: Option<Vec<String>>,
    pub from_me: Option<bool>,
    pub is_group: Option<bool>,
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn passes(&self, data: &Value) -> bool {
        let listed = |wanted: &Option<Vec<String>>, field: &str| match (wanted, data.get(field).and_then(Value::as_str))
        {
            (Some(wanted), Some(told)) => wanted.iter().any(|one| one == told),
            _ => true,
        };
        let same = |wanted: Option<bool>, field: &str| match (wanted, data.get(field).and_then(Value::as_bool)) {
            (Some(wanted), Some(told)) => wanted == told,
            _ => true,
        };
        listed(&self.chats, "chat")
            && listed(&self.types, "type")
            && same(self.from_me, "fromMe")
            && same(self.is_group, "isGroup")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_passes_unless_it_tells_what_the_filter_does_not_want() {
        let filter = Filter {
            chats: Some(vec!["a@g.us".into()]),
            types: Some(vec!["text".into()]),
            from_me: Some(false),
            is_group: Some(true),
        };
        let message = json!({ "chat": "a@g.us", "type": "text", "fromMe": false, "isGroup": true });
        assert!(filter.passes(&message) && Filter::default().passes(&message) && filter.passes(&json!({})));
        for (field, other) in
            [("chat", json!("b@g.us")), ("type", json!("image")), ("fromMe", json!(true)), ("isGroup", json!(false))]
        {
            let mut message = message.clone();
            message[field] = other;
            assert!(!filter.passes(&message), "{field}");
        }
    }
}
