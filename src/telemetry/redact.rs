//! Takes secrets out of text on its way to a log: fields by their name, values by their form.

pub const MASK: &str = "[redacted]";

/// Fields whose value is never written, whatever it looks like: compared without case, by containment.
const SECRET_FIELDS: [&str; 5] = ["secret", "token", "password", "authorization", "cookie"];

pub fn is_secret_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_key = name == "key" || name.ends_with("_key") || name.ends_with("-key") || name.ends_with("apikey");
    is_key || SECRET_FIELDS.iter().any(|secret| name.contains(secret))
}

/// The text with everything masked that has the form of a secret: webhook secrets and API keys wherever they stand, what
/// follows `Bearer`, and the value of `name=value` when the name is a secret's.
pub fn redact(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-+=~%".contains(c);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    let mut behind_bearer = false;
    while let Some(start) = rest.find(is_word) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_word(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        clean.push_str(before);
        match word.split_once('=') {
            _ if behind_bearer || is_secret(word) => clean.push_str(MASK),
            Some((name, value)) if is_secret_field(name) && !value.is_empty() => {
                clean.push_str(name);
                clean.push('=');
                clean.push_str(MASK);
            }
            _ => clean.push_str(word),
        }
        behind_bearer = word.eq_ignore_ascii_case("bearer");
        rest = after;
    }
    clean.push_str(rest);
    clean
}

fn is_secret(word: &str) -> bool {
    let value = word.split_once('=').map_or(word, |(_, value)| value);
    let plausible = |text: &str| text.starts_with("tenant_") && crate::vault::api_key::plausible(text);
    word.starts_with("whsec_") || value.starts_with("whsec_") || plausible(word) || plausible(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_secrets_and_api_keys_are_masked_and_ids_are_not() {
        let tenant = crate::domain::ids::TenantId::generate();
        let key = crate::vault::api_key::mint(&tenant, 1, 2, &crate::domain::secret::Secret::new("m"));
        let text = format!("tenant {tenant} used {0} and /x/{0} and \"whsec_MfKQ9r8GKYqTwjUP=\"", key.expose());

        let clean = redact(&text);

        assert_eq!(clean, format!("tenant {tenant} used {MASK} and /x/{MASK} and \"{MASK}\""));
    }

    #[test]
    fn what_is_presented_is_masked_by_where_it_stands() {
        assert_eq!(redact("Authorization: Bearer abc.def"), format!("Authorization: Bearer {MASK}"));
        assert_eq!(redact("GET /ws?token=abc&x=1"), format!("GET /ws?token={MASK}&x=1"));
        assert_eq!(redact("X-API-Key=abc"), format!("X-API-Key={MASK}"));
        assert_eq!(redact("status=200 took=3"), "status=200 took=3");
    }

    #[test]
    fn a_field_is_secret_by_its_name() {
        for name in ["webhook_Secret", "Authorization", "key", "X-API-Key", "master_key"] {
            assert!(is_secret_field(name), "{name}");
        }
        assert!(!is_secret_field("tenant") && !is_secret_field("keyboard"));
    }
}
