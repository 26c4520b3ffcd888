//! Secrets at rest: pure cryptography, no SQL. The store calls it.
//!
//! One random root key per store, wrapped once by a key derived from the master key (PBKDF2-HMAC-SHA256, 600,000 rounds:
//! one derivation per start). From the root key, HKDF-SHA256 derives a pair of keys per device (with the device's own
//! salt) and per purpose: AES-256-GCM for values, HMAC-SHA256 for look-up keys. A sealed value is bound to the identity
//! of its row and says which version of this layout it has.
//!
//! Keys are wiped when they are dropped, and so are the key schedules that the ciphers compute from them (the feature
//! `zeroize` of each). What the compiler or those crates leave on the stack meanwhile is not ours to promise.

pub mod api_key;
pub mod file;
mod sealing;

pub use sealing::{Corrupt, DeviceVault};

use crate::domain::secret::Secret;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use rand::RngExt as _;
use sha2::Sha256;
use zeroize::Zeroizing;

/// OWASP's figure for PBKDF2-HMAC-SHA256 (2023).
const WRAP_ROUNDS: u32 = 600_000;
const WRAP_VERSION: u8 = 1;
const WRAP_SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const ROOT_BYTES: usize = 32;
const WRAP_CONTEXT: &[u8] = b"rijan root key";

/// The master key is not the one the root key was wrapped with, or the wrapping was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the master key does not open the root key")]
pub struct WrongMasterKey;

/// The root key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedRoot {
    salt: [u8; WRAP_SALT_BYTES],
    nonce: [u8; NONCE_BYTES],
    ciphertext: Vec<u8>,
}

impl WrappedRoot {
    /// Version, salt, nonce, ciphertext with its tag.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[WRAP_VERSION][..], &self.salt, &self.nonce, &self.ciphertext].concat()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let (version, rest) = bytes.split_first().ok_or(Corrupt)?;
        let (salt, rest) = rest.split_first_chunk().ok_or(Corrupt)?;
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(Corrupt)?;
        if *version != WRAP_VERSION {
            return Err(Corrupt);
        }
        Ok(Self { salt: *salt, nonce: *nonce, ciphertext: ciphertext.to_vec() })
    }
}

/// The root key in memory. Zeroized when dropped.
pub struct Vault {
    root: Zeroizing<[u8; ROOT_BYTES]>,
}

impl Vault {
    /// A new root key, wrapped by `master`.
    pub fn create(master: &Secret) -> (Self, WrappedRoot) {
        let mut vault = Self { root: Zeroizing::new([0; ROOT_BYTES]) };
        rand::rng().fill(vault.root.as_mut_slice());
        let wrapped = vault.rewrap(master);
        (vault, wrapped)
    }

    pub fn open(master: &Secret, wrapped: &WrappedRoot) -> Result<Self, WrongMasterKey> {
        let cipher = wrapping_cipher(master, &wrapped.salt);
        let payload = Payload { msg: &wrapped.ciphertext, aad: WRAP_CONTEXT };
        let plain = cipher.decrypt(&Nonce::from(wrapped.nonce), payload).map_err(|_| WrongMasterKey)?;
        let plain = Zeroizing::new(plain);
        let mut root = Zeroizing::new([0; ROOT_BYTES]);
        if plain.len() != ROOT_BYTES {
            return Err(WrongMasterKey);
        }
        root.copy_from_slice(&plain);
        Ok(Self { root })
    }

    /// The same root key under another master key: everything sealed stays readable.
    pub fn rewrap(&self, master: &Secret) -> WrappedRoot {
        let (salt, nonce): ([u8; WRAP_SALT_BYTES], [u8; NONCE_BYTES]) = (rand::random(), rand::random());
        let payload = Payload { msg: self.root.as_slice(), aad: WRAP_CONTEXT };
        let sealed = wrapping_cipher(master, &salt).encrypt(&Nonce::from(nonce), payload);
        // AES-GCM refuses only plaintexts beyond 64 GiB.
        WrappedRoot { salt, nonce, ciphertext: sealed.unwrap_or_default() }
    }

    /// The keys of one device.
    pub fn device_keys(&self, salt: &[u8; 32]) -> DeviceVault {
        self.derive(salt, "device session")
    }

    /// The keys of one purpose beside the devices, such as webhook secrets.
    pub fn purpose(&self, name: &str) -> DeviceVault {
        self.derive(&[0; 32], name)
    }

    fn derive(&self, salt: &[u8; 32], purpose: &str) -> DeviceVault {
        let kdf = Hkdf::<Sha256>::new(Some(salt), self.root.as_slice());
        let key = |use_: &str| {
            let mut key = Zeroizing::new([0_u8; 32]);
            // HKDF refuses only outputs beyond 8,160 bytes.
            let _ = kdf.expand_multi_info(&[b"rijan ", purpose.as_bytes(), b" ", use_.as_bytes()], key.as_mut_slice());
            key
        };
        DeviceVault::new(&key("seal"), &key("index"))
    }
}

fn wrapping_cipher(master: &Secret, salt: &[u8; WRAP_SALT_BYTES]) -> Aes256Gcm {
    let mut key = Zeroizing::new([0_u8; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(master.expose().as_bytes(), salt, WRAP_ROUNDS, key.as_mut_slice());
    Aes256Gcm::new((&*key).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        Vault { root: Zeroizing::new([7; ROOT_BYTES]) }
    }

    #[test]
    fn the_root_key_opens_with_its_master_key_only_and_survives_a_rewrap() {
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let (vault, wrapped) = Vault::create(&old);
        let sealed = vault.purpose("test").seal(b"row", b"value");

        let stored = WrappedRoot::from_bytes(&wrapped.to_bytes()).expect("parses");
        assert!(Vault::open(&new, &stored).is_err());
        let rewrapped = Vault::open(&old, &stored).expect("opens").rewrap(&new);

        let reopened = Vault::open(&new, &rewrapped).expect("opens with the new key");
        assert_eq!(reopened.purpose("test").open(b"row", &sealed).as_deref(), Ok(&b"value"[..]));
    }

    #[test]
    fn devices_and_purposes_have_keys_of_their_own() {
        let vault = vault();
        let sealed = vault.device_keys(&[1; 32]).seal(b"row", b"value");
        assert!(vault.device_keys(&[2; 32]).open(b"row", &sealed).is_err());
        assert!(vault.purpose("device session").open(b"row", &sealed).is_err());
    }

    #[test]
    fn what_was_stored_by_an_earlier_version_still_opens() {
        // Written by another implementation (Python's hashlib and cryptography) of what the head of this module says; a
        // difference would make every stored secret unreadable.
        let hex = |text: &str| hex::decode(text).expect("hex");
        let wrapped = hex(concat!(
            "0105050505050505050505050505050505090909090909090909090909739d86f5f243fb5c5fc3f3c4cd472698",
            "e2eaad304382f3718067dac546c2d6a6ada64a4c1516de41c4c77b91107a5b8e"
        ));
        let of_device = hex("0103030303030303030303030361cbef81be86f5fd542ced87246bb133024260b986");
        let of_webhooks = hex("01030303030303030303030303c81d0720042f699026629ee9bc9ded53ae1fd0a670");

        let wrapped = WrappedRoot::from_bytes(&wrapped).expect("parses");
        let vault = Vault::open(&Secret::new("master"), &wrapped).expect("opens");
        let device = vault.device_keys(&[1; 32]);

        assert_eq!(device.open(b"row", &of_device).as_deref(), Ok(&b"value"[..]));
        assert_eq!(vault.purpose("webhook").open(b"row", &of_webhooks).as_deref(), Ok(&b"value"[..]));
        assert_eq!(hex::encode(device.index(&[b"kind", b"key"])), "ce1e8c49c9718cc9035f019111399039");
    }

    #[test]
    fn keys_and_key_schedules_are_wiped_when_they_are_dropped() {
        // True of these types only with the feature `zeroize` of their crates. An HMAC is two states of its hash.
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<Aes256Gcm>();
        wiped::<Sha256>();
        wiped::<Zeroizing<[u8; ROOT_BYTES]>>();
    }

    #[test]
    fn what_is_not_a_wrapped_root_key_is_refused() {
        assert!(WrappedRoot::from_bytes(b"").is_err());
        assert!(WrappedRoot::from_bytes(&[9; 80]).is_err());
    }
}
