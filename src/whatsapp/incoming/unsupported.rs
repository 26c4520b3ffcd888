//! What is not read yet: its name, by what WhatsApp's protobuf calls it. No list of ours, so it never lags behind the library.

use crate::whatsapp::raw;
use serde_json::Value;
use waproto::whatsapp as wa;

/// Fields that come along with any kind.
const BESIDE: [&str; 3] =
    ["messageContextInfo", "senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage"];
/// What the library has no field for has no name either.
pub(super) const NAMELESS: &str = "unknown";

/// The field that is set, in snake case and without `_message`: `payment_invite` of `paymentInviteMessage`.
pub(super) fn name(message: &wa::Message) -> Option<String> {
    let Some(Value::Object(set)) = raw::form(message) else { return None };
    let field = set.keys().find(|field| !BESIDE.contains(&field.as_str()))?;
    let mut name = String::with_capacity(field.len() + 8);
    for letter in field.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    Some(name.replace("_message", ""))
}

#[cfg(test)]
mod tests {
    use super::super::{content, hook};
    use super::*;
    use buffa::Message as _;
    use std::collections::BTreeSet;

    #[test]
    fn every_field_of_a_message_has_a_kind_or_a_name() {
        let mut names = BTreeSet::new();
        for number in 1_u32..=500 {
            let key = (number << 3) | 2;
            let bytes = match key {
                0..0x80 => vec![u8::try_from(key).expect("seven bits"), 0],
                _ => vec![
                    u8::try_from(key & 0x7f).expect("seven bits") | 0x80,
                    u8::try_from(key >> 7).expect("seven bits"),
                    0,
                ],
            };
            let message = wa::Message::decode_from_slice(&bytes).expect("decodes");
            if hook::is_empty(&message) {
                continue;
            }
            let (_, kind, fields) = content(&message);
            let is_beside = name(&message).is_none();
            if kind == "unsupported" && !is_beside {
                let name = fields["kind"].as_str().expect("a name").to_owned();
                assert_ne!(name, NAMELESS, "field {number}");
                assert!(
                    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                    "{name}"
                );
                assert!(names.insert(name.clone()), "two kinds are {name}");
            }
        }
        for name in [
            "payment_invite",
            "send_payment",
            "call",
            "keep_in_chat",
            "poll_result_snapshot_v3",
            "view_once_v2",
            "comment",
        ] {
            assert!(names.contains(name), "{name} is not among {names:?}");
        }
    }
}
