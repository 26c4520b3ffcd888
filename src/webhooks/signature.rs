//! The two signatures of a delivery: `X-Rijan-Signature`, and the set of the Standard Webhooks specification
//! (standardwebhooks.com), which public libraries verify.

use crate::domain::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const STANDARD_PREFIX: &str = "whsec_";
/// The Standard Webhooks specification asks for 24 to 64 bytes.
const GENERATED_BYTES: usize = 32;
pub const SECRET_CHARS_MIN: usize = 16;
pub const SECRET_CHARS_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    #[error("must be {SECRET_CHARS_MIN} to {SECRET_CHARS_MAX} characters")]
    Length,
    #[error("starts with whsec_ but is not base64 behind it")]
    Base64,
}

/// A new secret in the `whsec_` form.
pub fn generate_secret() -> Secret {
    Secret::new(format!("{STANDARD_PREFIX}{}", BASE64.encode(rand::random::<[u8; GENERATED_BYTES]>())))
}

pub fn validate_secret(secret: &str) -> Result<(), InvalidSecret> {
    if !(SECRET_CHARS_MIN..=SECRET_CHARS_MAX).contains(&secret.chars().count()) {
        return Err(InvalidSecret::Length);
    }
    match secret.strip_prefix(STANDARD_PREFIX) {
        Some(rest) if BASE64.decode(rest).is_err() => Err(InvalidSecret::Base64),
        _ => Ok(()),
    }
}

/// The form to give to a Standard Webhooks library, whatever form the secret has.
pub fn standard_form(secret: &Secret) -> Secret {
    if secret.expose().starts_with(STANDARD_PREFIX) {
        return secret.clone();
    }
    Secret::new(format!("{STANDARD_PREFIX}{}", BASE64.encode(secret.expose())))
}

/// `X-Rijan-Signature`: hex HMAC-SHA256 over the body, keyed with the secret's characters as they are.
pub(super) fn rijan(secret: &Secret, body: &[u8]) -> String {
    hex::encode(hmac(secret.expose().as_bytes(), &[body]))
}

/// `webhook-signature`: one `v1,<base64>` per secret, so that both verify while a secret is being rotated.
pub(super) fn standard(secrets: &[Secret], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let sign = |secret: &Secret| {
        let key = match secret.expose().strip_prefix(STANDARD_PREFIX).map(|rest| BASE64.decode(rest)) {
            Some(Ok(bytes)) => bytes,
            _ => secret.expose().as_bytes().to_vec(),
        };
        let head = format!("{id}.{timestamp_s}.");
        format!("v1,{}", BASE64.encode(hmac(&key, &[head.as_bytes(), body])))
    };
    secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of any length; the error of the interface does not happen.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_comes_out() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqTwjUPD8ILPZIo2LaLaSw=");
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signature = standard(std::slice::from_ref(&secret), id, 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,APzAMjTmGJD1CHe1l3psPWqHBNm7LdzUn7zexTcoEpk=");
    }

    #[test]
    fn a_plain_secret_signs_with_its_characters_and_has_a_standard_form_that_signs_the_same() {
        let plain = Secret::new("a plain secret of mine");
        let both = [plain.clone(), standard_form(&plain)];
        let signatures = standard(&both, "evt_1", 1, b"{}");
        let (first, second) = signatures.split_once(' ').expect("two");
        assert_eq!(first, second);
        assert_eq!(
            rijan(&Secret::new("key"), b"The quick brown fox jumps over the lazy dog"),
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
        );
    }

    #[test]
    fn secrets_are_checked_and_generated_ones_pass() {
        assert_eq!(validate_secret("short"), Err(InvalidSecret::Length));
        assert_eq!(validate_secret("whsec_not base64 at all"), Err(InvalidSecret::Base64));
        assert_eq!(validate_secret(generate_secret().expose()), Ok(()));
        assert_eq!(validate_secret(&"é".repeat(15)), Err(InvalidSecret::Length), "characters count, not bytes");
        assert_eq!(validate_secret(&"é".repeat(256)), Ok(()));
    }
}
