//! API keys of tenants: `tenantId.issuedMs.expiresMs.salt.hmac`.
//!
//! What decides is the look-up of the key's SHA-256 in the store. [`plausible`] refuses noise by its form before that; it
//! does not verify the HMAC (SHA-256, keyed from the master key, over the first four parts), so that a changed master key
//! revokes nobody.

use crate::domain::clock::UnixMs;
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Characters of the longest thing that may be a key.
pub const KEY_CHARS_MAX: usize = 256;
const SALT_BYTES: usize = 16;

/// A new key. Shown once; only [`sha256_hex`] of it is stored.
pub fn mint(tenant: &TenantId, issued: UnixMs, expires: UnixMs, master: &Secret) -> Secret {
    let salt: [u8; SALT_BYTES] = rand::random();
    let body = format!("{tenant}.{issued}.{expires}.{}", hex::encode(salt));
    let mac = sign(&body, master);
    Secret::new(format!("{body}.{mac}"))
}

/// Whether the text has the form of a key: five parts, or the four of the older form. Anything else is refused
/// without asking the store. The HMAC is not required to match: a key minted under an earlier master key stays valid.
pub fn plausible(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let hex = |part: &str, digits: usize| part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit());
    let number = |part: &str| !part.is_empty() && part.len() <= 16 && part.bytes().all(|b| b.is_ascii_digit());
    text.len() <= KEY_CHARS_MAX
        && match parts.as_slice() {
            [_, issued, expires, salt, mac] => number(issued) && number(expires) && hex(salt, 32) && hex(mac, 64),
            [tenant, issued, salt, mac] => !tenant.is_empty() && number(issued) && !salt.is_empty() && !mac.is_empty(),
            _ => false,
        }
}

/// What is stored of a key, and of the master password.
pub fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Whether `password` is the one whose SHA-256 (64 hex digits) is known. Takes the same time either way.
pub fn is_master(password: &str, hash_hex: &Secret) -> bool {
    sha256_hex(password).as_bytes().ct_eq(hash_hex.expose().to_ascii_lowercase().as_bytes()).into()
}

/// Whether `given` is the secret. Takes the same time for every text of its length.
pub fn is_token(given: &str, token: &Secret) -> bool {
    sha256_hex(given).as_bytes().ct_eq(sha256_hex(token.expose()).as_bytes()).into()
}

fn sign(body: &str, master: &Secret) -> String {
    // HMAC takes keys of any length.
    let key = Zeroizing::new(<[u8; 32]>::from(
        Sha256::new().chain_update("rijan api key ").chain_update(master.expose()).finalize(),
    ));
    match <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_slice()) {
        Ok(mut mac) => {
            mac.update(body.as_bytes());
            hex::encode(mac.finalize().into_bytes())
        }
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_has_five_parts_and_is_plausible() {
        let key = mint(&TenantId::generate(), 1, 2, &Secret::new("master"));
        assert_eq!(key.expose().split('.').count(), 5);
        assert!(plausible(key.expose()));
    }

    #[test]
    fn the_older_form_stays_plausible_and_noise_does_not() {
        assert!(plausible("tenant_1.1700000000000.abcd.ef01"));
        for noise in ["", "a.b", "x.1.2.zz.zz", &"a".repeat(300), "a.b.c.d.e.f"] {
            assert!(!plausible(noise), "{noise}");
        }
    }

    #[test]
    fn only_the_password_behind_the_hash_is_the_master() {
        let hash = Secret::new(sha256_hex("correct horse"));
        assert!(is_master("correct horse", &hash));
        assert!(!is_master("battery staple", &hash));
    }
}
