//! Identifiers: a prefix that names the kind and 32 hex digits that sort by time. Clients treat them as opaque.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The text is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected \"{prefix}\" followed by 32 hex digits")]
pub struct InvalidId {
    pub prefix: &'static str,
}

/// Hex digits behind the prefix.
const ID_HEX_DIGITS: usize = 32;

fn generate(prefix: &str) -> String {
    format!("{prefix}{}", uuid::Uuid::now_v7().simple())
}

/// An identifier that follows from what it names, in place of chance: the same time and parts give the same one.
fn derive(prefix: &str, at: super::clock::UnixMs, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let mut random = [0; 10];
    random.copy_from_slice(&hash.finalize()[..10]);
    let id = uuid::Builder::from_unix_timestamp_millis(u64::try_from(at).unwrap_or(0), &random).into_uuid();
    format!("{prefix}{}", id.simple())
}

fn parse(prefix: &'static str, text: &str) -> Result<String, InvalidId> {
    let digits = text.strip_prefix(prefix).ok_or(InvalidId { prefix })?;
    let hex = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if digits.len() == ID_HEX_DIGITS && hex { Ok(text.to_owned()) } else { Err(InvalidId { prefix }) }
}

/// An identifier that says nothing of its time: all of it is chance, so that knowing some helps nobody to guess another.
fn unguessable(prefix: &str) -> String {
    format!("{prefix}{}", hex::encode(rand::random::<[u8; ID_HEX_DIGITS / 2]>()))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        id!($(#[$doc])* $name, $prefix, generate);
    };
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $generate:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier. Later ones sort behind earlier ones, to the millisecond, unless they are unguessable.
            pub fn generate() -> Self {
                Self($generate($prefix))
            }

            /// The identifier of what these parts name at this time; always the same one.
            pub fn derived(at: crate::domain::clock::UnixMs, parts: &[&str]) -> Self {
                Self(derive($prefix, at, parts))
            }

            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                parse($prefix, text).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// A tenant.
    TenantId, "tenant_"
);
id!(
    /// A device: one linked WhatsApp account.
    DeviceId, "device_"
);
id!(
    /// An outgoing message, as our clients know it. WhatsApp's own id stands beside it.
    MessageId, "msg_"
);
id!(
    /// An API key of a tenant (the row, not the secret).
    KeyId, "key_"
);
id!(
    /// A webhook.
    WebhookId, "whk_"
);
id!(
    /// A template.
    TemplateId, "tpl_"
);
id!(
    /// An event of the log.
    EventId, "evt_"
);
id!(
    /// One event on its way to one webhook.
    DeliveryId, "dlv_"
);
id!(
    /// A line of the audit log.
    AuditId, "audit_"
);
id!(
    /// A media file of a tenant. Unguessable: it stands in addresses that people hand around.
    MediaId, "media_", unguessable
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = TenantId::generate();
        assert_eq!(TenantId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn another_kind_or_length_or_alphabet_is_refused() {
        let id = DeviceId::generate();
        assert!(TenantId::parse(id.as_str()).is_err());
        assert!(TenantId::parse("tenant_12").is_err());
        assert!(TenantId::parse(&format!("tenant_{}", "G".repeat(32))).is_err());
        assert!(TenantId::parse(&format!("tenant_{}", "A".repeat(32))).is_err());
    }

    #[test]
    fn a_media_id_carries_no_time() {
        let (one, other) = (MediaId::generate(), MediaId::generate());
        let shared = one.as_str().bytes().zip(other.as_str().bytes()).take_while(|(a, b)| a == b).count();
        assert!(shared < MediaId::PREFIX.len() + 8, "{one} and {other} begin alike");
        assert_eq!(MediaId::parse(one.as_str()), Ok(one));
    }

    #[test]
    fn later_ids_sort_behind_earlier_ones() {
        let ids: Vec<_> = (0..100).map(|_| EventId::generate()).collect();
        assert!(ids.is_sorted());
    }
}
