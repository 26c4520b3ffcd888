//! Sealing values and hiding look-up keys, with the keys of one device or purpose.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
pub const INDEX_BYTES: usize = 16;

/// The value was not sealed by these keys for this row, or was changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open")]
pub struct Corrupt;

/// One device's keys, with the cipher's key schedule computed once: sealing is on the path of every message.
pub struct DeviceVault {
    cipher: Aes256Gcm,
    index: Hmac<Sha256>,
}

impl DeviceVault {
    pub(super) fn new(seal: &Zeroizing<[u8; 32]>, index: &Zeroizing<[u8; 32]>) -> Self {
        Self {
            cipher: Aes256Gcm::new((&**seal).into()),
            index: {
                // HMAC pads its key to the block length of the hash.
                let mut block = Zeroizing::new([0_u8; 64]);
                block[..32].copy_from_slice(index.as_slice());
                <Hmac<Sha256> as hmac::KeyInit>::new((&*block).into())
            },
        }
    }

    /// Version, random nonce, ciphertext with its tag. `associated` names the row and is not stored.
    pub fn seal(&self, associated: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        // AES-GCM refuses only plaintexts beyond 64 GiB; an empty ciphertext would not open again.
        let sealed =
            self.cipher.encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: associated }).unwrap_or_default();
        [&[VERSION][..], &nonce, &sealed].concat()
    }

    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Corrupt> {
        let (version, rest) = sealed.split_first().ok_or(Corrupt)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Corrupt)?;
        if *version != VERSION {
            return Err(Corrupt);
        }
        let payload = Payload { msg: ciphertext, aad: associated };
        self.cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| Corrupt)
    }

    /// A look-up key that says nothing without these keys. Lengths in front keep ("a", "bc") and ("ab", "c") apart.
    pub fn index(&self, parts: &[&[u8]]) -> [u8; INDEX_BYTES] {
        let mut mac = self.index.clone();
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        let full = mac.finalize().into_bytes();
        let mut index = [0; INDEX_BYTES];
        index.copy_from_slice(&full[..INDEX_BYTES]);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> DeviceVault {
        DeviceVault::new(&Zeroizing::new([1; 32]), &Zeroizing::new([2; 32]))
    }

    #[test]
    fn a_value_opens_for_its_row_only_and_not_after_a_change() {
        let keys = keys();
        let sealed = keys.seal(b"row 1", b"value");
        assert_eq!(keys.open(b"row 1", &sealed).as_deref(), Ok(&b"value"[..]));
        assert_eq!(keys.open(b"row 2", &sealed), Err(Corrupt));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open(b"row 1", &changed), Err(Corrupt), "byte {at}");
        }
    }

    #[test]
    fn the_same_value_never_looks_the_same() {
        let keys = keys();
        assert_ne!(keys.seal(b"row", b"value"), keys.seal(b"row", b"value"));
    }

    #[test]
    fn parts_of_a_look_up_key_do_not_run_together() {
        let keys = keys();
        assert_ne!(keys.index(&[b"a", b"bc"]), keys.index(&[b"ab", b"c"]));
        assert_eq!(keys.index(&[b"a", b"bc"]), keys.index(&[b"a", b"bc"]));
    }
}
