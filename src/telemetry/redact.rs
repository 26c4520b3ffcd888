//! Takes secrets out of text on its way to a log: fields by their name, values by their form.

/// Fields whose value is never written, whatever it looks like. Compared without case, by containment.
const SECRET_FIELDS: [&str; 6] = ["secret", "token", "password", "authorization", "api_key", "master_key"];
const MASK: &str = "[redacted]";

pub fn is_secret_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_FIELDS.iter().any(|secret| name.contains(secret))
}

/// The text with everything that has the form of a secret of ours masked: webhook secrets and API keys.
pub fn redact(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-+/=".contains(c);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_word(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        clean.push_str(before);
        clean.push_str(if is_secret(word) { MASK } else { word });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

fn is_secret(word: &str) -> bool {
    word.starts_with("whsec_") || (word.starts_with("tenant_") && crate::vault::api_key::plausible(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_secrets_and_api_keys_are_masked_and_ids_are_not() {
        let tenant = crate::domain::ids::TenantId::generate();
        let key = crate::vault::api_key::mint(&tenant, 1, 2, &crate::domain::secret::Secret::new("m"));
        let text = format!("tenant {tenant} used {} and \"whsec_MfKQ9r8GKYqTwjUP=\"", key.expose());

        let clean = redact(&text);

        assert_eq!(clean, format!("tenant {tenant} used [redacted] and \"[redacted]\""));
    }

    #[test]
    fn a_field_is_secret_by_its_name() {
        assert!(is_secret_field("webhook_Secret"));
        assert!(is_secret_field("Authorization"));
        assert!(!is_secret_field("tenant"));
    }
}
